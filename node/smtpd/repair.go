package smtpd

import (
	"bytes"
	"io"
)

// repair stands between a source and the body where [LineEndsRepair] or
// [NULsDrop] rules. What leaves it has CRLF only, or no NUL, whatever came in; blocks that
// are clean pass without a copy.
type repair struct {
	src   source
	ends  bool // repair line ends
	nuls  bool // drop NUL
	cr    bool // the last octet was a CR that is held back
	ended bool
	buf   []byte
}

func (r *repair) ready() bool { return r.src.ready() }

func (r *repair) next() ([]byte, error) {
	for {
		if r.ended {
			return nil, io.EOF
		}
		block, err := r.src.next()
		if err == io.EOF && r.cr {
			r.cr, r.ended = false, true
			return []byte(" "), nil
		}
		if err != nil {
			return nil, err
		}
		if out := r.mend(block); len(out) > 0 {
			return out, nil
		}
	}
}

// mend does one block.
func (r *repair) mend(block []byte) []byte {
	if !r.cr && r.clean(block) {
		return block
	}
	out := r.buf[:0]
	for _, b := range block {
		if b == 0 && r.nuls {
			// Before anything else: CR NUL LF must not become a CRLF unseen.
			if r.ends && r.cr {
				out, r.cr = append(out, ' '), false
			}
			continue
		}
		if !r.ends {
			out = append(out, b)
			continue
		}
		switch {
		case b == '\n':
			out, r.cr = append(out, '\r', '\n'), false
			continue
		case r.cr:
			out, r.cr = append(out, ' '), false
		}
		if b == '\r' {
			r.cr = true
			continue
		}
		out = append(out, b)
	}
	r.buf = out
	return out
}

// clean says whether a block needs no mending; one that ends in CR is not known to be.
func (r *repair) clean(block []byte) bool {
	if r.nuls && bytes.IndexByte(block, 0) >= 0 {
		return false
	}
	if !r.ends {
		return true
	}
	for {
		i := bytes.IndexByte(block, '\n')
		line := block
		if i >= 0 {
			if i == 0 || block[i-1] != '\r' {
				return false
			}
			line, block = block[:i-1], block[i+1:]
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			return false
		}
		if i < 0 {
			return true
		}
	}
}
