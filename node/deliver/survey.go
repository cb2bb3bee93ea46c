package deliver

import (
	"io"

	"github.com/postroad/postroad/node/mail"
)

// nature is what a content really is, whatever its sender declared.
type nature struct {
	eightBit   bool // octets above 127
	binary     bool // NUL, bare CR or LF, or lines above 998 octets (RFC 2045 section 2.9)
	utf8Header bool // octets above 127 before the first blank line
}

const maxContentLine = 998

// survey reads a content once. It is asked for only when a peer lacks something
// that the sender declared.
func survey(c mail.Content) (nature, error) {
	rc, err := c.Open()
	if err != nil {
		return nature{}, err
	}
	defer func() { _ = rc.Close() }()
	s := surveyor{header: true, empty: true}
	_, err = io.Copy(&s, rc)
	return s.nature, err
}

type surveyor struct {
	nature
	header, empty, cr bool // in the header; nothing in the line yet; last was CR
	length            int
}

func (s *surveyor) Write(b []byte) (int, error) {
	for _, c := range b {
		s.next(c)
	}
	return len(b), nil
}

func (s *surveyor) next(c byte) {
	switch {
	case c == '\n':
		if !s.cr {
			s.binary = true
		}
		if s.empty {
			s.header = false
		}
		s.empty, s.cr, s.length = true, false, 0
		return
	case s.cr, c == 0:
		s.binary = true
	}
	s.cr = c == '\r'
	if s.cr {
		return
	}
	s.empty = false
	if s.length++; s.length > maxContentLine {
		s.binary = true
	}
	if c >= 0x80 {
		s.eightBit = true
		s.utf8Header = s.utf8Header || s.header
	}
}
