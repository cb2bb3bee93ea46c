package recode

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is how much of a line is looked at together. It is longer than any
// delimiter and any sound header field.
const maxLine = 64 << 10

// lines cuts a stream at CRLF, and only there: in binary content CR and LF by
// themselves are content.
type lines struct{ br *bufio.Reader }

// line is a line without its CRLF, or a piece of one that is too long.
type line struct {
	b     []byte // valid until the next call
	start bool   // begins a line
	crlf  bool   // the line's end was read
}

var crlf = []byte("\r\n")

// next gives the next line; started says that the one before was cut off.
func (l *lines) next(started bool) (line, error) {
	searched := 0
	for {
		b, err := l.br.Peek(l.br.Buffered())
		if err != nil {
			return line{}, err
		}
		if i := bytes.Index(b[searched:], crlf); i >= 0 {
			i += searched
			_, err := l.br.Discard(i + len(crlf))
			return line{b[:i], !started, true}, err
		}
		if len(b) >= maxLine {
			return l.piece(b, started)
		}
		searched = max(len(b)-1, 0) // CR may be the last so far
		switch _, err := l.br.Peek(len(b) + 1); {
		case errors.Is(err, io.EOF) && len(b) == 0:
			return line{}, io.EOF
		case errors.Is(err, io.EOF):
			b, _ = l.br.Peek(l.br.Buffered())
			_, err := l.br.Discard(len(b))
			return line{b, !started, false}, err
		case err != nil:
			return line{}, err
		}
	}
}

// piece gives all but a CR at the end, which may be half of a line's end.
func (l *lines) piece(b []byte, started bool) (line, error) {
	if b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	_, err := l.br.Discard(len(b))
	return line{b, !started, false}, err
}
