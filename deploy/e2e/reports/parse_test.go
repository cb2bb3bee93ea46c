package reports

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// report is a delivery status notification taken apart.
type report struct {
	header  mail.Header
	words   string
	message textproto.MIMEHeader   // the fields about the message
	rcpts   []textproto.MIMEHeader // and about each recipient
	third   string                 // type of the third part, "" without one
}

var (
	perMessage   = []string{"Original-Envelope-Id", "Reporting-Mta", "Received-From-Mta", "Arrival-Date", "Deliver-By-Date", "Future-Release-Request"}
	perRecipient = []string{"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-Mta", "Diagnostic-Code", "Last-Attempt-Date", "Final-Log-Id", "Will-Retry-Until", "X-Actual-Recipient"}
	classes      = map[string]string{"failed": "45", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}
	statusCode   = regexp.MustCompile(`^[245]\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$`)
	typed        = regexp.MustCompile(`^[A-Za-z0-9-]+; ?\S`)
)

// parse reads a message of a maildir; whatever RFC 3464 and RFC 6522 forbid is an error.
func parse(text string) (*report, error) {
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	r := &report{header: m.Header}
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/report" || params["report-type"] != "delivery-status" {
		return nil, fmt.Errorf("type %s %v: %w", typ, params, err)
	}
	for _, f := range []string{"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Auto-Submitted"} {
		if len(m.Header[f]) != 1 {
			return nil, fmt.Errorf("%s: %q", f, m.Header[f])
		}
	}
	if m.Header.Get("Return-Path") != "<>" {
		return nil, fmt.Errorf("it came from %s", m.Header.Get("Return-Path"))
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for i := 0; ; i++ {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			if i < 2 {
				return nil, fmt.Errorf("%d parts", i)
			}
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		typ, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0 && typ == "text/plain":
			r.words = string(b)
		case i == 1 && typ == "message/delivery-status":
			if err := r.status(b); err != nil {
				return nil, err
			}
		case i == 2 && (typ == "message/rfc822" || typ == "text/rfc822-headers"):
			r.third = typ
		default:
			return nil, fmt.Errorf("part %d is %s", i+1, typ)
		}
	}
}

func (r *report) status(b []byte) error {
	for _, c := range b {
		if c >= 0x80 {
			return fmt.Errorf("message/delivery-status is not ASCII")
		}
	}
	b = append(bytes.ReplaceAll(bytes.TrimSpace(b), []byte("\r\n"), []byte("\n")), '\n')
	for i, block := range bytes.Split(b, []byte("\n\n")) {
		h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.TrimRight(block, "\n"), "\n\n"...)))).ReadMIMEHeader()
		if err != nil {
			return fmt.Errorf("block %q: %w", block, err)
		}
		allowed, needed := perRecipient, []string{"Final-Recipient", "Action", "Status"}
		if i == 0 {
			allowed, needed = perMessage, []string{"Reporting-Mta"}
		}
		for name, values := range h {
			// RFC 3464 section 2.4: names that begin with X- are everybody's.
			if len(values) != 1 || !slices.Contains(allowed, name) && !strings.HasPrefix(name, "X-") {
				return fmt.Errorf("%s: %q", name, values)
			}
			typing := strings.HasSuffix(name, "-Mta") || strings.HasSuffix(name, "-Recipient") || name == "Diagnostic-Code"
			if typing && !typed.MatchString(values[0]) {
				return fmt.Errorf("%s: %q has no type", name, values[0])
			}
			if strings.HasSuffix(name, "-Date") || name == "Will-Retry-Until" {
				if _, err := mail.ParseDate(values[0]); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		for _, name := range needed {
			if h.Get(name) == "" {
				return fmt.Errorf("block %d has no %s", i, name)
			}
		}
		if i == 0 {
			r.message = h
			continue
		}
		if s := h.Get("Status"); !statusCode.MatchString(s) || !strings.Contains(classes[h.Get("Action")], s[:1]) {
			return fmt.Errorf("Action: %s, Status: %s", h.Get("Action"), s)
		}
		r.rcpts = append(r.rcpts, h)
	}
	if len(r.rcpts) == 0 {
		return fmt.Errorf("no recipient")
	}
	return nil
}
