package deliver

import (
	"bufio"
	"bytes"
)

// unixLines turns CRLF into LF and leaves every other octet alone.
type unixLines struct {
	w  *bufio.Writer
	cr bool // a CR is held back until it is known whether LF follows
}

// Write writes b with its line ends turned.
func (u *unixLines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if u.cr {
			u.cr = false
			if b[0] != '\n' {
				if err := u.w.WriteByte('\r'); err != nil {
					return 0, err
				}
			}
		}
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			i = len(b)
		}
		if _, err := u.w.Write(b[:i]); err != nil {
			return 0, err
		}
		if i < len(b) {
			u.cr = true
			i++
		}
		b = b[i:]
	}
	return n, nil
}

// end writes what was held back.
func (u *unixLines) end() error {
	if !u.cr {
		return nil
	}
	u.cr = false
	return u.w.WriteByte('\r')
}
