package smtpd

import (
	"bytes"
	"io"
	"net"
	"time"
)

// source gives content block by block. Blocks are valid until the next call.
// A fault of the content is a *smtp.SMTPError and does not end the stream: later
// calls go on behind it, so that what is refused can be read away.
type source interface {
	next() ([]byte, error)
	// ready says whether next would give something without blocking; a wrong
	// "no" costs a short Read, a wrong "yes" delay.
	ready() bool
}

// body is the reader a session's Data gets.
type body struct {
	src   source
	left  []byte // of the last block
	size  int64
	limit int64 // 0: none
	nul   bool  // NUL is allowed, or has been left out already
	head  header
	fault error // why the content is refused; a *smtp.SMTPError
	end   error // io.EOF, or why the rest will never come
}

// newBody is the content of the present transaction as src decodes it.
func (c *Conn) newBody(src source) *body {
	b := &body{src: src, limit: c.maxSize(), head: header{maxSize: c.cfg.MaxHeaderSize, maxLines: c.cfg.MaxHeaderLines}}
	if c.tx.binary {
		b.nul = true // RFC 3030 section 3: any octet
		return b
	}
	ends, nuls := c.cfg.LineEnds == LineEndsRepair, c.cfg.NULs == NULsDrop
	if ends || nuls {
		b.src = &repair{src: src, ends: ends, nuls: nuls}
		b.nul = nuls
	}
	return b
}

// lenient says that the source need not judge line ends: they are repaired, or
// may be anything.
func (c *Conn) lenient() bool { return c.tx.binary || c.cfg.LineEnds == LineEndsRepair }

// block gives the next block, or fault or end.
func (b *body) block() ([]byte, error) {
	if b.fault != nil {
		return nil, b.fault
	}
	block, err := b.step()
	if err != nil {
		return nil, err
	}
	b.inspect(block)
	return block, b.fault
}

// inspect looks for what makes the content unacceptable, but for its line ends.
func (b *body) inspect(block []byte) {
	switch {
	case b.fault != nil:
	case b.limit > 0 && b.size > b.limit:
		b.fault = errTooBig
	case !b.nul && bytes.IndexByte(block, 0) >= 0:
		b.fault = errNUL
	case b.head.tooLarge(block):
		b.fault = errHeader
	}
}

// step moves the source on and sorts its errors.
func (b *body) step() ([]byte, error) {
	if b.end != nil {
		return nil, b.end
	}
	block, err := b.src.next()
	b.size += int64(len(block))
	switch {
	case err == nil:
	case isFault(err):
		if b.fault == nil {
			b.fault = err
		}
	default:
		b.end = err
	}
	return block, err
}

func isFault(err error) bool {
	return err == errTooBig || err == errBareLF || err == errBareCR || err == errNUL || err == errHeader
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.left) == 0 {
			// What has been copied is not held back while the network is slow.
			if n > 0 && !b.src.ready() {
				return n, nil
			}
			if b.left, err = b.block(); err != nil {
				b.left = nil
				if n > 0 {
					return n, nil // fault and end come again
				}
				return 0, err
			}
		}
		k := copy(p[n:], b.left)
		b.left = b.left[k:]
		n += k
	}
	return n, nil
}

// WriteTo implements io.WriterTo: blocks go from the receive buffer to w.
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	for {
		block := b.left
		b.left = nil
		if len(block) == 0 {
			if block, err = b.block(); err == io.EOF {
				return n, nil
			} else if err != nil {
				return n, err
			}
		}
		k, err := w.Write(block)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
}

// drain reads away what the session left. It returns nil at the end of the
// content, or why that was not reached.
func (b *body) drain() error {
	b.left = nil
	for {
		block, err := b.step()
		switch {
		case err == io.EOF:
			return nil
		case b.end != nil:
			return b.end
		}
		b.inspect(block)
	}
}

// contentClock bounds the time that content takes (RFC 5321 section 4.5.3.2.5), so
// that a client which sends an octet a minute does not stay for ever.
type contentClock struct{ until time.Time }

func (c *Conn) contentClock() contentClock {
	return contentClock{time.Now().Add(c.cfg.Timeouts.Message)}
}

// fill reads more content from the network.
func (t contentClock) fill(c *Conn) error {
	c.flush()
	if c.broken {
		return net.ErrClosed
	}
	d := time.Now().Add(c.cfg.Timeouts.Data)
	if t.until.Before(d) {
		d = t.until
	}
	c.raw.SetDeadline(d) // as in wait
	c.in.grow()
	return c.in.fill()
}
