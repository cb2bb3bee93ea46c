package recode

import (
	"bytes"
	"mime"
	"strings"
)

type kind uint8

const (
	leaf      kind = iota
	multipart      // parts between delimiters
	enclosed       // message/rfc822: another message follows
)

// coding is a Content-Transfer-Encoding (RFC 2045 section 6.1).
type coding uint8

const (
	identity coding = iota // 7bit, 8bit, binary, or none
	quotedPrintable
	base64Coding
	unknownCoding
)

// entity is what the header of a message or of a part says.
type entity struct {
	raw      []byte // header, with the blank line if there is one
	kind     kind
	boundary string
	text     bool // text/*, and what has no type
	opaque   bool // message/partial, message/external-body: must not be encoded
	coding   coding
	label    string // the Content-Transfer-Encoding as written, lower case
	top      bool   // the header of a message, not of a part
	mime     bool   // says something of MIME
	version  bool   // has MIME-Version
	dkim     bool
	seals    bool // multipart/signed
	sealed   bool // inside one
	eightBit bool // a field is not ASCII
}

func parseEntity(raw []byte, message bool) (*entity, error) {
	e := &entity{raw: raw, top: message, text: true, eightBit: !isASCII(raw)}
	contentType := ""
	for f := range fields(raw) {
		name, value, ok := strings.Cut(string(f), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(strings.NewReplacer("\r\n", "").Replace(value))
		switch strings.ToLower(strings.TrimRight(name, " \t")) {
		case "content-type":
			contentType, e.mime = value, true
		case "content-transfer-encoding":
			e.label, e.mime = strings.ToLower(withoutComment(value)), true
		case "mime-version":
			e.version, e.mime = true, true
		case "dkim-signature":
			e.dkim = true
		}
	}
	switch e.label {
	case "", "7bit", "8bit", "binary":
	case "quoted-printable":
		e.coding = quotedPrintable
	case "base64":
		e.coding = base64Coding
	default:
		e.coding = unknownCoding
	}
	e.classify(contentType)
	return e, nil
}

func (e *entity) classify(contentType string) {
	if contentType == "" {
		return // RFC 2045 section 5.2: text/plain
	}
	typ, params, err := mime.ParseMediaType(contentType)
	if err != nil && typ == "" {
		return // RFC 2045 section 5.2 again: what cannot be read counts as text/plain
	}
	e.text = strings.HasPrefix(typ, "text/")
	switch {
	case e.coding != identity:
		// RFC 2045 section 6.4 forbids it for composite types; it can only be kept.
	case strings.HasPrefix(typ, "multipart/") && params["boundary"] != "":
		e.kind, e.boundary, e.seals = multipart, params["boundary"], typ == "multipart/signed"
	case strings.HasPrefix(typ, "multipart/"):
		e.opaque = true
	case typ == "message/rfc822":
		e.kind = enclosed
	case typ == "message/partial", typ == "message/external-body":
		e.opaque = true
	}
	if strings.HasPrefix(typ, "message/") {
		e.text = true // header fields: readable when quoted
	}
}

// withoutComment takes RFC 822 comments off a token.
func withoutComment(s string) string {
	if i := strings.IndexByte(s, '('); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

// fields gives each field of a header with its folded lines and the last CRLF.
func fields(raw []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(raw) > 0 {
			end := len(raw)
			for at := 0; ; {
				i := bytes.Index(raw[at:], crlf)
				if i < 0 {
					break
				}
				at += i + len(crlf)
				if at == len(raw) || raw[at] != ' ' && raw[at] != '\t' {
					end = at
					break
				}
			}
			if bytes.Equal(raw[:end], crlf) {
				return // the blank line
			}
			if !yield(raw[:end]) {
				return
			}
			raw = raw[end:]
		}
	}
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// rewritten is the header with another encoding. untyped says that the message
// said nothing of its type and has 8-bit characters.
func (e *entity) rewritten(label string, untyped bool) []byte {
	out := make([]byte, 0, len(e.raw)+128)
	rest := e.raw
	for f := range fields(e.raw) {
		rest = rest[len(f):]
		if name, _, ok := bytes.Cut(f, []byte(":")); ok && strings.EqualFold(string(bytes.TrimRight(name, " \t")), "content-transfer-encoding") {
			continue
		}
		out = append(out, f...)
	}
	if !bytes.HasSuffix(out, crlf) && len(out) > 0 {
		out = append(out, crlf...)
	}
	if e.top && !e.version {
		out = append(out, "MIME-Version: 1.0\r\n"...)
	}
	if untyped {
		out = append(out, "Content-Type: text/plain; charset=unknown-8bit\r\n"...) // RFC 1428 section 3
	}
	out = append(append(append(out, "Content-Transfer-Encoding: "...), label...), crlf...)
	if len(rest) == 0 {
		rest = crlf // there was no blank line
	}
	return append(out, rest...)
}
