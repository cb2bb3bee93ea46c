package submit

import (
	"bytes"
	"encoding/binary"
)

// maxLine is the longest line that SMTP has room for, in octets with its CRLF (RFC 5321
// section 4.5.3.1.6).
const maxLine = 1000

// nature is what the octets of a message are, whatever its sender declared. The next
// host may take less than this one did; who passes the message on has to know without
// reading it again.
type nature struct {
	eightBit bool // an octet above 127
	long     bool // a line longer than maxLine

	run int // octets since the last LF
}

// note looks at the next octets.
func (n *nature) note(b []byte) {
	if !n.eightBit {
		n.eightBit = !isASCII(b)
	}
	if !n.long {
		n.measure(b)
	}
}

// measure goes from the last LF within reach to the next: lines that end before it are
// short enough, so most are never looked at.
func (n *nature) measure(b []byte) {
	for at := 0; at < len(b); {
		reach := b[at:min(len(b), at+maxLine-n.run)]
		i := bytes.LastIndexByte(reach, '\n')
		switch {
		case i >= 0:
			at, n.run = at+i+1, 0
		case n.run+len(reach) == maxLine:
			n.long = true
			return
		default:
			n.run += len(reach)
			return
		}
	}
}

// whole is the nature of a message that ends here: where it goes by DATA, its last line
// gets an end if it has none.
func (n nature) whole() nature {
	n.long = n.long || n.run > maxLine-len(crlf)
	return n
}

// isASCII looks at eight octets at a time.
func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b)&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
