package smtpd

import "bytes"

// header measures the header section of a message as it passes: all up to the
// first empty line. Everything behind it costs one comparison a block.
type header struct {
	maxSize, maxLines int // as [Config] has them
	size, lines       int
	text              bool // the present line has begun
	over              bool // the empty line has passed
}

// tooLarge takes the next block of content.
func (h *header) tooLarge(block []byte) bool {
	for !h.over && len(block) > 0 {
		i := bytes.IndexByte(block, '\n')
		if i < 0 {
			h.size += len(block)
			// A block may end between CR and LF.
			h.text = h.text || len(block) > 1 || block[0] != '\r'
			break
		}
		if line := block[:i]; !h.text && (i == 0 || i == 1 && line[0] == '\r') {
			h.over = true
			break
		}
		h.size += i + 1
		h.lines++
		h.text = false
		block = block[i+1:]
	}
	return h.maxSize > 0 && h.size > h.maxSize || h.maxLines > 0 && h.lines > h.maxLines
}
