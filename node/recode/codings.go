package recode

import (
	"bytes"
	"encoding/base64"
)

const (
	codedLine = 76 // RFC 2045 sections 6.7 (5) and 6.8
	hexDigits = "0123456789ABCDEF"
)

// quoter writes quoted-printable (RFC 2045 section 6.7). CRLF of the text stay
// line ends; CR and LF by themselves are encoded.
type quoter struct {
	column int
	held   byte // a blank or tab that may end the line, 0: none
}

func (q *quoter) write(out *bytes.Buffer, b []byte, end bool) {
	for _, c := range b {
		q.release(out)
		switch {
		case c == ' ' || c == '\t':
			q.held = c // rule (3): not at the end of a line
		case c > ' ' && c < 0x7f && c != '=':
			q.put(out, c)
		default:
			q.escape(out, c)
		}
	}
	if end {
		q.breakLine(out)
	}
}

// release writes the blank that something follows.
func (q *quoter) release(out *bytes.Buffer) {
	if q.held != 0 {
		c := q.held
		q.held = 0
		q.put(out, c)
	}
}

// settle writes the blank that nothing follows.
func (q *quoter) settle(out *bytes.Buffer) {
	if q.held != 0 {
		c := q.held
		q.held = 0
		q.escape(out, c)
	}
}

func (q *quoter) breakLine(out *bytes.Buffer) {
	q.settle(out)
	out.Write(crlf)
	q.column = 0
}

func (q *quoter) put(out *bytes.Buffer, c byte) {
	q.room(out, 1)
	out.WriteByte(c)
	q.column++
}

func (q *quoter) escape(out *bytes.Buffer, c byte) {
	q.room(out, 3)
	out.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
	q.column += 3
}

// room breaks the line softly if n more would leave no place for "=".
func (q *quoter) room(out *bytes.Buffer, n int) {
	if q.column+n > codedLine-1 {
		out.WriteString("=\r\n")
		q.column = 0
	}
}

// end ends the text. Where the message ends without a line end, a soft one
// follows, because content for DATA must have one (RFC 5321 section 4.1.1.4).
func (q *quoter) end(out *bytes.Buffer, last bool) {
	q.settle(out)
	if last && q.column > 0 {
		out.WriteString("=\r\n")
	}
}

// mend encodes what quoted-printable may not have, and leaves the rest. A line
// that is too long is broken softly, but never within "=XX".
func (q *quoter) mend(out *bytes.Buffer, b []byte, end bool) {
	for _, c := range b {
		if q.column >= maxContentLine-8 && (q.held == 0 || c == '=') {
			out.WriteString("=\r\n")
			q.column, q.held = 0, 0
		}
		if c == '=' {
			q.held = 3 // it and the two after belong together
		}
		if q.held > 0 {
			q.held--
		}
		if c == '\t' || c >= ' ' && c < 0x7f {
			out.WriteByte(c)
			q.column++
			continue
		}
		out.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
		q.column += 3
	}
	if end {
		out.Write(crlf)
		q.column, q.held = 0, 0
	}
}

// base64Writer writes base64 in lines of 76 characters (RFC 2045 section 6.8).
type base64Writer struct {
	rest   [3]byte
	n      int
	column int
}

func (w *base64Writer) write(out *bytes.Buffer, b []byte) {
	for _, c := range b {
		w.rest[w.n] = c
		if w.n++; w.n == len(w.rest) {
			w.flush(out)
		}
	}
}

func (w *base64Writer) flush(out *bytes.Buffer) {
	if w.column == codedLine {
		out.Write(crlf)
		w.column = 0
	}
	var four [4]byte
	base64.StdEncoding.Encode(four[:], w.rest[:w.n])
	out.Write(four[:])
	w.n = 0
	w.column += len(four)
}

func (w *base64Writer) end(out *bytes.Buffer, last bool) {
	if w.n > 0 {
		w.flush(out)
	}
	if last && w.column > 0 {
		out.Write(crlf)
	}
}

// mend keeps the characters of base64 and breaks lines anew.
func (w *base64Writer) mend(out *bytes.Buffer, b []byte) {
	for _, c := range b {
		if c == '+' || c == '/' || c == '=' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			if w.column == codedLine {
				out.Write(crlf)
				w.column = 0
			}
			out.WriteByte(c)
			w.column++
		}
	}
}

func (w *base64Writer) endMended(out *bytes.Buffer, last bool) { w.end(out, last) }
