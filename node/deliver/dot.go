package deliver

import (
	"bufio"
	"bytes"
)

// dotWriter writes content for DATA (RFC 5321 section 4.5.2). A dot is doubled
// not only after CRLF, but after each CR and LF, and NULs between them count for nothing:
// a host that wrongly ends lines there, or drops NULs, must not find an end of
// data in the middle of a message. Content with CRLF only, which is all that a
// virtual server lets in as text, never shows the difference.
type dotWriter struct {
	w       *bufio.Writer
	started bool
	inLine  bool // an octet other than NUL has come since the last CR or LF
	last    byte // last octet written
	before  byte // the one before it
}

// Write writes b, with its dots doubled where a line begins with one.
func (d *dotWriter) Write(b []byte) (int, error) {
	start := 0
	for i := 0; ; i++ {
		k := bytes.IndexByte(b[i:], '.')
		if k < 0 {
			break
		}
		i += k
		if !d.beginsLine(b[:i]) {
			continue
		}
		if _, err := d.w.Write(b[start:i]); err != nil {
			return 0, err
		}
		if err := d.w.WriteByte('.'); err != nil {
			return 0, err
		}
		start = i
	}
	if _, err := d.w.Write(b[start:]); err != nil {
		return 0, err
	}
	if len(b) > 0 {
		d.note(b)
	}
	return len(b), nil
}

// beginsLine says whether what follows head, in this block, begins a line for
// anybody.
func (d *dotWriter) beginsLine(head []byte) bool {
	for i := len(head) - 1; i >= 0; i-- {
		if c := head[i]; c != 0 {
			return c == '\n' || c == '\r'
		}
	}
	return !d.inLine
}

func (d *dotWriter) note(b []byte) {
	d.inLine = !d.beginsLine(b)
	d.started = true
	if len(b) > 1 {
		d.before = b[len(b)-2]
	} else {
		d.before = d.last
	}
	d.last = b[len(b)-1]
}

// terminator is what ends the data: CRLF is added only if the content lacks it.
func (d *dotWriter) terminator() string {
	if !d.started || d.last == '\n' && d.before == '\r' {
		return ".\r\n"
	}
	return "\r\n.\r\n"
}
