package pickup

import (
	"errors"
	"io"
)

var (
	errBareCR = errors.New("it has a CR without LF: end lines with LF or CRLF")
	errNUL    = errors.New("it has a NUL octet: encode binary content (base64)")
)

// lineEnds makes every line end a CRLF and refuses what no line may hold (RFC
// 5321 section 2.3.8, RFC 5322 section 2.2).
type lineEnds struct {
	r       io.Reader
	buf     [16 << 10]byte
	pending []byte
	cr      bool // the last octet was CR
	within  bool // the last octet written does not end a line
	err     error
}

func (l *lineEnds) Read(p []byte) (n int, err error) {
	for n == 0 {
		if len(l.pending) == 0 {
			if l.err != nil {
				if err := l.end(); err != nil {
					return 0, err
				}
				continue
			}
			var k int
			k, l.err = l.r.Read(l.buf[:])
			l.pending = l.buf[:k]
			continue
		}
		if n, err = l.convert(p); err != nil {
			l.err, l.pending = err, nil
			return n, err
		}
	}
	return n, nil
}

// end closes the last line if the file does not.
func (l *lineEnds) end() error {
	switch {
	case l.err == io.EOF && l.cr:
		l.err = errBareCR
	case l.err == io.EOF && l.within:
		l.pending = []byte{'\n'}
		return nil
	}
	return l.err
}

// convert copies until p or what is pending is used up. A CR is written with
// its LF, which keeps the two together.
func (l *lineEnds) convert(p []byte) (n int, err error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	for len(l.pending) > 0 && n+2 <= len(p) {
		c := l.pending[0]
		if l.cr && c != '\n' {
			return n, errBareCR
		}
		l.pending = l.pending[1:]
		l.cr = c == '\r'
		switch c {
		case 0:
			return n, errNUL
		case '\r':
		case '\n':
			p[n], p[n+1] = '\r', '\n'
			n += 2
			l.within = false
		default:
			p[n] = c
			n++
			l.within = true
		}
	}
	return n, nil
}
