package deliver

import (
	"bufio"
	"bytes"
)

// dotWriter writes content for DATA (RFC 5321 section 4.5.2). A dot is doubled
// after every LF, not only after CRLF: a host that wrongly ends lines at a bare
// LF must not find an end of data in the middle of a message.
type dotWriter struct {
	w       *bufio.Writer
	started bool
	last    byte // last octet written
	before  byte // the one before it
}

// Write writes b, with its dots doubled where a line begins with one.
func (d *dotWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if b[0] == '.' && (!d.started || d.last == '\n') {
			if err := d.w.WriteByte('.'); err != nil {
				return 0, err
			}
		}
		end := bytes.Index(b, []byte("\n."))
		if end < 0 {
			end = len(b)
		} else {
			end++ // the dot begins the next round
		}
		if _, err := d.w.Write(b[:end]); err != nil {
			return 0, err
		}
		d.note(b[:end])
		b = b[end:]
	}
	return n, nil
}

func (d *dotWriter) note(b []byte) {
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
