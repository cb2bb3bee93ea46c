package deliver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Masquerade puts another domain in place of the organisation's own ones, in MAIL
// FROM and in the From field of mail that its users send out (the book, chapter 5,
// "masquerade domain"). The zero value does nothing.
type Masquerade struct {
	Domain string
	// Ours says whether a domain is one to be replaced.
	Ours func(domain string) bool
}

// hides says whether the sender's domain is to be replaced.
func (m Masquerade) hides(from mail.Address) bool {
	return m.Domain != "" && m.Ours != nil && !from.IsZero() && m.Ours(from.Domain)
}

// masqueraded is a content with other From fields.
type masqueraded struct {
	mail.Content
	edits []edit
	size  int64
}

// edit puts text in the place of length octets at offset.
type edit struct {
	offset, length int64
	text           []byte
}

// Open implements mail.Content.
func (m masqueraded) Open() (io.ReadCloser, error) {
	rc, err := m.Content.Open()
	if err != nil {
		return nil, err
	}
	var parts []io.Reader
	at := int64(0)
	for _, e := range m.edits {
		parts = append(parts, io.LimitReader(rc, e.offset-at), bytes.NewReader(e.text), &skipper{rc, e.length})
		at = e.offset + e.length
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(append(parts, rc)...), rc}, nil
}

// Size implements mail.Content.
func (m masqueraded) Size() int64 { return m.size }

// skipper reads n octets away and gives nothing.
type skipper struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (s *skipper) Read([]byte) (int, error) {
	if s.n > 0 {
		if _, err := io.CopyN(io.Discard, s.r, s.n); err != nil {
			return 0, err
		}
		s.n = 0
	}
	return 0, io.EOF
}

// maxHeader bounds how far the From field is looked for.
const maxHeader = 1 << 20

// apply gives the content with the masquerade in its From fields.
func (m Masquerade) apply(c mail.Content) (mail.Content, error) {
	rc, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = rc.Close() }()
	out := masqueraded{Content: c, size: c.Size()}
	br := bufio.NewReader(io.LimitReader(rc, maxHeader))
	var offset, begin int64
	var field []byte
	done := func() {
		if name, _, ok := bytes.Cut(field, []byte(":")); ok && strings.EqualFold(string(bytes.TrimRight(name, " \t")), "from") {
			if text := m.rewrite(field); !bytes.Equal(text, field) {
				out.edits = append(out.edits, edit{begin, int64(len(field)), text})
				out.size += int64(len(text) - len(field))
			}
		}
	}
	for {
		line, err := br.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if !folded {
			done()
			begin, field = offset, nil
		}
		if err != nil || len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		field = append(field, line...)
		offset += int64(len(line))
	}
	if len(out.edits) == 0 {
		return c, nil
	}
	return out, nil
}

// rewrite replaces the domains of the addresses in a field (RFC 5322 section
// 3.4); what is quoted or a comment is text.
func (m Masquerade) rewrite(field []byte) []byte {
	out := make([]byte, 0, len(field)+len(m.Domain))
	quoted, depth := false, 0
	for i := 0; i < len(field); i++ {
		c := field[i]
		out = append(out, c)
		switch {
		case c == '\\' && (quoted || depth > 0) && i+1 < len(field):
			i++
			out = append(out, field[i])
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '@' && depth == 0:
			end := i + 1
			for end < len(field) && !strings.ContainsRune(" \t\r\n,;<>()\"", rune(field[end])) {
				end++
			}
			domain := field[i+1 : end]
			if m.Ours(string(domain)) {
				domain = []byte(m.Domain)
			}
			out = append(out, domain...)
			i = end - 1
		}
	}
	return out
}
