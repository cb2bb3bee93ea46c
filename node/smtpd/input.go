package smtpd

import (
	"bytes"
	"io"
	"sync"
)

const (
	idleBuffer = 1 << 10  // holds a first group of commands; more is lent
	busyBuffer = 32 << 10 // more than any line may have

	maxEmptyReads = 100
)

// buffers lends busy buffers to the connections of a server.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[busyBuffer]byte {
	if p, ok := b.pool.Get().(*[busyBuffer]byte); ok {
		return p
	}
	return new([busyBuffer]byte)
}

// input is the read buffer of a connection. buf[r:w] has been received and not
// consumed. Slices of it are valid until the next fill.
type input struct {
	src    io.Reader
	lender *buffers
	buf    []byte
	r, w   int
	taken  int64             // octets consumed since the connection began
	idle   []byte            // allocated once
	busy   *[busyBuffer]byte // nil while idle
}

func (in *input) window() []byte { return in.buf[in.r:in.w] }
func (in *input) empty() bool    { return in.r == in.w }
func (in *input) advance(n int)  { in.r, in.taken = in.r+n, in.taken+int64(n) }

// fill reads from the source. It makes room first; a window that fills the
// busy buffer is the caller's fault, since no line may be that long.
func (in *input) fill() error {
	if in.buf == nil {
		in.idle = make([]byte, idleBuffer)
		in.buf = in.idle
	}
	left := in.w - in.r
	switch {
	case left == 0:
		in.r, in.w = 0, 0
	case in.r > 0 && (in.w == len(in.buf) || left <= idleBuffer/4):
		copy(in.buf, in.buf[in.r:in.w])
		in.r, in.w = 0, left
	}
	if in.w == len(in.buf) {
		if in.busy != nil {
			return io.ErrShortBuffer
		}
		in.grow()
	}
	for range maxEmptyReads {
		n, err := in.src.Read(in.buf[in.w:])
		in.w += n
		switch {
		case n > 0:
			return nil // an error that came with octets comes again at the next read
		case err == io.EOF:
			// To a session io.EOF means that its message is complete; that the
			// connection has ended must never look like it.
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// grow switches to the busy buffer.
func (in *input) grow() {
	if in.busy != nil {
		return
	}
	in.busy = in.lender.get()
	in.w = copy(in.busy[:], in.window())
	in.r = 0
	in.buf = in.busy[:]
}

// shrink gives the busy buffer back; the window must be empty.
func (in *input) shrink() {
	if in.busy != nil {
		in.lender.pool.Put(in.busy)
		in.busy = nil
	}
	in.buf, in.r, in.w = in.idle, 0, 0
}

// line finds the first line in the window, seen octets of which are known to
// hold no LF. ok is false if there is no LF yet. bad says that the line does not
// end in CRLF or holds a NUL. The line is consumed, and returned without its end.
func (in *input) line(seen int) (line []byte, bad string, ok bool) {
	win := in.window()
	i := bytes.IndexByte(win[seen:], '\n')
	if i < 0 {
		return nil, "", false
	}
	i += seen
	in.advance(i + 1)
	if i == 0 || win[i-1] != '\r' {
		return nil, "bare LF", true
	}
	line = win[:i-1]
	switch {
	case bytes.IndexByte(line, '\r') >= 0:
		bad = "bare CR"
	case bytes.IndexByte(line, 0) >= 0:
		bad = "NUL"
	}
	return line, bad, true
}
