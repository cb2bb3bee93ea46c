package spool

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// chunkSize is how much of a body one key or frame holds, in octets, and how much
// of it memory holds while it streams in. Larger bodies have files.
const chunkSize = 256 << 10

// smallBuffer is what a body starts with; most mail fits.
const smallBuffer = 16 << 10

// buffers are reused between bodies: those that grew to a chunk stay whole.
type buffers struct{ small, large sync.Pool }

func newBuffers() *buffers {
	return &buffers{
		small: sync.Pool{New: func() any { return new([smallBuffer]byte) }},
		large: sync.Pool{New: func() any { return new([chunkSize]byte) }},
	}
}

func (p *buffers) put(buf []byte) {
	switch cap(buf) {
	case smallBuffer:
		p.small.Put((*[smallBuffer]byte)(buf[:smallBuffer]))
	case chunkSize:
		p.large.Put((*[chunkSize]byte)(buf[:chunkSize]))
	}
}

// grow gives a buffer with the same octets and room for at least one more.
func (p *buffers) grow(buf []byte) []byte {
	if buf == nil {
		return p.small.Get().(*[smallBuffer]byte)[:0]
	}
	large := append(p.large.Get().(*[chunkSize]byte)[:0], buf...)
	p.put(buf)
	return large
}

// Body is the content of messages about to be accepted. It is not safe for use
// by several goroutines.
type Body struct {
	spool  *Spool
	id     bodyID
	size   int64
	chunks uint32 // on disk
	last   []byte // the chunk that is filling
	// file has the chunks of a body of more than one; secured: all of them, durably.
	file    *bodyFile
	secured bool
	err     error // ended: why nothing can be done with it any more
}

// NewBody begins a body. It must end in an accepted Incoming or in Discard.
func (s *Spool) NewBody() *Body {
	return &Body{spool: s, id: newBodyID(s.epoch, s.bodies.Add(1))}
}

// Write appends to the body. Full chunks go to disk at once, unsynced: the
// Accept that follows syncs them too, and after it nothing more is written. Errors:
// ErrFull, ErrFailed, ErrClosed; the body is then of no more use. ErrInvalid after Accept.
func (b *Body) Write(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.secured {
		return 0, fmt.Errorf("%w: the body was offered already", ErrInvalid)
	}
	written := 0
	for len(p) > 0 {
		if len(b.last) == cap(b.last) {
			if len(b.last) < chunkSize {
				b.last = b.spool.buffers.grow(b.last)
			} else if err := b.flush(); err != nil {
				b.Discard()
				b.err = err
				return written, err
			}
		}
		n := copy(b.last[len(b.last):cap(b.last)], p)
		b.last = b.last[:len(b.last)+n]
		b.size += int64(n)
		p, written = p[n:], written+n
	}
	return written, nil
}

// Size is the number of octets written.
func (b *Body) Size() int64 { return b.size }

// Discard drops a body that will not be accepted. After Accept it does nothing.
func (b *Body) Discard() {
	if b.err != nil {
		return
	}
	if b.file != nil {
		b.drop()
	}
	b.end(fmt.Errorf("%w: the body was discarded", ErrInvalid))
	_ = b.spool.fault(faultBodyDiscarded)
}

// end closes the body for use and gives its buffer back.
func (b *Body) end(why error) {
	b.spool.buffers.put(b.last)
	b.last, b.file, b.err = nil, nil, why
}

// stored describes the body as it will be on disk once the last chunk is.
func (b *Body) stored(shared bool) stored {
	s := stored{id: b.id, size: b.size, chunks: uint32(chunksOf(b.size)), shared: shared}
	if b.file != nil {
		s.file = b.file.number
	}
	return s
}

// deleteChunks removes chunks 0 to n-1 of a body in the store. Each was set exactly once, which is what
// SingleDelete asks for; so a chunk and its deletion that meet in a memtable both
// vanish and are never written to a table.
func deleteChunks(batch *pebble.Batch, b bodyID, n uint32) error {
	var buf [17]byte
	for i := range n {
		if err := batch.SingleDelete(appendChunkKey(buf[:0], b, i), nil); err != nil {
			return err
		}
	}
	return nil
}
