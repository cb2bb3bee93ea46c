package vserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	netmail "net/mail"
	"strings"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// displayNames say in which header fields the directory's recipients get their
// display names (the book, chapter 6, ResolveP2). The original did it everywhere
// and for everybody, so that a forged sender looked like a colleague.
type displayNames struct {
	from, recipients, replyTo bool
	anonymous                 bool
}

func newDisplayNames(d *directoryv1.DisplayNames) displayNames {
	return displayNames{d.GetFrom(), d.GetRecipients(), d.GetReplyTo(), d.GetAnonymous()}
}

// concerns says whether a message of the client may be changed at all. What
// another node hands over was done there.
func (d displayNames) concern(c client, trusted bool) bool {
	return !c.node && (d.fields(c, trusted) != displayNames{})
}

// fields is what is resolved for a client: a stranger's word on who he is does
// not count, unless the settings say so.
func (d displayNames) fields(c client, trusted bool) displayNames {
	if c.stranger() && !trusted && !d.anonymous {
		d.from, d.replyTo = false, false
	}
	d.anonymous = false
	return d
}

// resolves says whether addresses in a header field get names.
func (d displayNames) resolves(field string) bool {
	switch strings.ToLower(field) {
	case "from", "sender":
		return d.from
	case "to", "cc":
		return d.recipients
	case "reply-to":
		return d.replyTo
	}
	return false
}

// maxNamedHeader is how long a header section may be to be looked at; of a
// longer one nothing is changed.
const maxNamedHeader = 128 << 10

// nameOf gives the display name of an address, "" if it has none.
type nameOf func(mail.Address) string

// resolveNames gives content with display names in its header. Everything else
// stays octet for octet; reading fails where content does.
func (d displayNames) resolveNames(content io.Reader, name nameOf) io.Reader {
	in := bufio.NewReaderSize(content, 4<<10)
	var head bytes.Buffer
	for {
		line, err := in.ReadSlice('\n')
		head.Write(line)
		switch {
		case err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull):
			return io.MultiReader(&head, failing{err})
		case head.Len() >= maxNamedHeader:
			return io.MultiReader(&head, in)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF, isBlank(line):
			return io.MultiReader(bytes.NewReader(d.header(head.Bytes(), name)), in)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func isBlank(line []byte) bool { return len(bytes.TrimRight(line, "\r\n")) == 0 }

// header rewrites the fields that it resolves.
func (d displayNames) header(h []byte, name nameOf) []byte {
	out := make([]byte, 0, len(h)+256)
	for len(h) > 0 {
		field := h[:fieldEnd(h)]
		h = h[len(field):]
		key, value, ok := bytes.Cut(field, []byte{':'})
		if ok && d.resolves(string(bytes.TrimRight(key, " \t"))) {
			if list, changed := nameList(string(value), name); changed {
				out = append(append(append(out, key...), ": "...), list...)
				out = append(out, "\r\n"...)
				continue
			}
		}
		out = append(out, field...)
	}
	return out
}

// fieldEnd is where the field that h begins with ends, continuation lines (RFC
// 5322 section 2.2.3) included.
func fieldEnd(h []byte) int {
	for i := 0; i < len(h); i++ {
		if h[i] == '\n' && (i+1 == len(h) || h[i+1] != ' ' && h[i+1] != '\t') {
			return i + 1
		}
	}
	return len(h)
}

// nameList writes the addresses of a field with their display names, one a
// line. Fields that hold groups, or anything that cannot be read, stay as they
// are.
func nameList(value string, name nameOf) (string, bool) {
	if strings.Contains(value, ";") {
		return "", false
	}
	// RFC 5322 section 2.2.3: unfolding.
	list, err := netmail.ParseAddressList(strings.TrimSpace(strings.NewReplacer("\r\n", "", "\n", "").Replace(value)))
	if err != nil {
		return "", false
	}
	changed := false
	parts := make([]string, len(list))
	for i, a := range list {
		if parsed, err := mail.ParseAddress(a.Address); err == nil && parsed.IsASCII() {
			if n := name(parsed); n != "" && n != a.Name {
				a.Name, changed = n, true
			}
		}
		parts[i] = a.String()
	}
	return strings.Join(parts, ",\r\n "), changed
}
