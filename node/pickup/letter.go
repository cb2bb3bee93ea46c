package pickup

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"strings"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
)

// maxHeader bounds the header block in octets, X-Envelope included.
const maxHeader = 4 << 20

// Fields of the envelope, lower case.
const (
	fieldSender   = "x-sender"
	fieldReceiver = "x-receiver"
	fieldEnvelope = "x-envelope"
)

var errNobody = errors.New("it has no recipients: write X-Receiver, To, Cc or Bcc")

// Letter is a message in a file.
type Letter struct {
	Envelope *mail.Envelope
	// Content is what follows the envelope, lines ended by CRLF.
	Content io.Reader
}

// Read reads the envelope of a file and leaves its content to be read. Errors
// name what is wrong with the file, in words for whoever wrote it.
func Read(r io.Reader) (*Letter, error) {
	in := bufio.NewReaderSize(&lineEnds{r: r}, 32<<10)
	fields, end, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	if end != "" && end != "\r\n" {
		return nil, fmt.Errorf("line %d is %.40q: a file begins with header fields, such as \"To: ada@example.com\", and an empty line ends them",
			len(fields)+1, strings.TrimSpace(end))
	}
	l := &Letter{Envelope: &mail.Envelope{}}
	rest, err := l.addressed(fields)
	if err != nil {
		return nil, err
	}
	l.Content = io.MultiReader(strings.NewReader(strings.Join(rest, "")+end), in)
	return l, nil
}

// readHeader reads fields with their folded lines and line ends. end is the line
// after them: the empty line, one that is no field, or nothing if the file ends.
func readHeader(in *bufio.Reader) (fields []string, end string, err error) {
	for size := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, "", err
		}
		if size += len(line); size > maxHeader {
			return nil, "", fmt.Errorf("the header has more than %d octets", maxHeader)
		}
		switch name, _, ok := strings.Cut(line, ":"); {
		case line == "" || line == "\r\n":
			return fields, line, nil
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			fields[len(fields)-1] += line
		case ok && isFieldName(name):
			fields = append(fields, line)
		default:
			return fields, line, nil
		}
		if err == io.EOF {
			return fields, "", nil
		}
	}
}

// isFieldName is RFC 5322 section 2.2.
func isFieldName(s string) bool {
	s = strings.TrimRight(s, " \t")
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

func split(field string) (name, value string) {
	name, value, _ = strings.Cut(field, ":")
	value = strings.NewReplacer("\r\n", "", "\n", "").Replace(value)
	return strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
}

// addressed fills the envelope and gives the fields that are the message's own.
func (l *Letter) addressed(fields []string) (rest []string, err error) {
	e := l.Envelope
	var sender *mail.Address
	var receivers []mail.Address
	i := 0
	for ; i < len(fields); i++ {
		name, value := split(fields[i])
		switch name {
		case fieldSender:
			a, err := path(value)
			if err != nil {
				return nil, fmt.Errorf("X-Sender: %w", err)
			}
			sender = &a
		case fieldReceiver:
			a, err := path(value)
			if err == nil && a.IsZero() {
				err = errors.New("an address is missing")
			}
			if err != nil {
				return nil, fmt.Errorf("X-Receiver: %w", err)
			}
			receivers = append(receivers, a)
		case fieldEnvelope:
			if e, err = record(value); err != nil {
				return nil, fmt.Errorf("X-Envelope: %w", err)
			}
			l.Envelope = e
		default:
			rest = fields[i:]
			i = len(fields)
		}
	}
	if receivers == nil {
		if receivers, rest, err = headerRecipients(rest); err != nil {
			return nil, err
		}
	}
	if e.Recipients = recipients(e.Recipients, receivers); len(e.Recipients) == 0 {
		return nil, errNobody
	}
	if sender == nil {
		if sender, err = headerSender(rest); err != nil {
			return nil, err
		}
	}
	e.From = *sender
	return rest, nil
}

// path reads an address with or without brackets; "<>" is the null path.
func path(s string) (mail.Address, error) {
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		s = s[1 : len(s)-1]
		if s == "" {
			return mail.Address{}, nil
		}
	}
	return mail.ParseAddress(s)
}

func record(value string) (*mail.Envelope, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil {
		return nil, errors.New("it is not base64; leave the field out if it is damaged")
	}
	return codec.DecodeEnvelope(b)
}

// recipients are those of the X-Receiver fields, with what the record says of
// them (NOTIFY, ORCPT): so the fields may be edited.
func recipients(known []mail.Recipient, addresses []mail.Address) (all []mail.Recipient) {
	by := map[string]mail.Recipient{}
	for _, r := range known {
		by[r.Address.Key()] = r
	}
	seen := map[string]bool{}
	for _, a := range addresses {
		if seen[a.Key()] {
			continue
		}
		seen[a.Key()] = true
		r := by[a.Key()]
		r.Address = a
		all = append(all, r)
	}
	return all
}

// headerRecipients reads To, Cc and Bcc, or the Resent ones, and takes Bcc out.
func headerRecipients(fields []string) (all []mail.Address, rest []string, err error) {
	resent := false
	for _, f := range fields {
		name, _ := split(f)
		resent = resent || name == "resent-to" || name == "resent-cc" || name == "resent-bcc"
	}
	for _, f := range fields {
		name, value := split(f)
		plain, isResent := strings.CutPrefix(name, "resent-")
		if plain != "bcc" {
			rest = append(rest, f)
		}
		if isResent != resent || plain != "to" && plain != "cc" && plain != "bcc" || value == "" {
			continue
		}
		list, err := addresses(value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, list...)
	}
	return all, rest, nil
}

// headerSender obeys RFC 5322 section 3.6.2: Sender, if it is there, sent it.
func headerSender(fields []string) (*mail.Address, error) {
	var from string
	for _, f := range fields {
		switch name, value := split(f); name {
		case "sender":
			from = value
		case "from":
			if from == "" {
				from = value
			}
		}
	}
	if from == "" {
		return nil, errors.New("it has no sender: write X-Sender or From (X-Sender: <> for none)")
	}
	list, err := addresses(from)
	if err != nil || len(list) == 0 {
		return nil, fmt.Errorf("sender %q: %w", from, err)
	}
	return &list[0], nil
}

func addresses(value string) (all []mail.Address, err error) {
	list, err := netmail.ParseAddressList(value)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "mail: "))
	}
	for _, a := range list {
		parsed, err := mail.ParseAddress(a.Address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Address, err)
		}
		all = append(all, parsed)
	}
	return all, nil
}

// Write writes a message that Read reads, for these recipients of the envelope.
// The visited groups and the chosen connector stay behind: wherever the file is
// picked up, the way is chosen anew.
func Write(w io.Writer, e *mail.Envelope, to []mail.Recipient, content io.Reader) error {
	copied := *e
	copied.Recipients, copied.Visited, copied.Connector = to, nil, mail.GUID{}
	var b bytes.Buffer
	fmt.Fprintf(&b, "X-Sender: <%s>\r\n", e.From)
	for _, r := range to {
		fmt.Fprintf(&b, "X-Receiver: <%s>\r\n", r.Address)
	}
	b.WriteString("X-Envelope:")
	const width = 72
	for s := base64.StdEncoding.EncodeToString(codec.EncodeEnvelope(&copied)); s != ""; s = s[min(width, len(s)):] {
		b.WriteString(" " + s[:min(width, len(s))] + "\r\n")
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}
