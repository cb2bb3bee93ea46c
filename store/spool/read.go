package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// BodyReader reads one body from the first octet. It implements io.WriterTo.
// It holds at most one chunk in memory and nothing of the store: a slow reader
// costs no more. It is not safe for use by several goroutines.
type BodyReader struct {
	spool *Spool
	id    ID
	body  stored
	file  vfs.File // of a body that has one, while it is read
	next  uint32   // chunk
	buf   []byte   // whole chunk
	rest  []byte   // of buf, not yet read
	err   error
}

// OpenBody opens the body of a message. If the message is finished while it is
// read, reading ends with ErrNotFound. Errors: ErrNotFound, ErrCorrupt, ErrClosed.
func (s *Spool) OpenBody(id ID) (*BodyReader, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	body, err := s.bodyOf(id)
	if err != nil {
		return nil, err
	}
	return &BodyReader{spool: s, id: id, body: body}, nil
}

// bodyOf does not wait for the message's lock: who holds it may wait for room on the
// disk.
func (s *Spool) bodyOf(id ID) (stored, error) {
	if h := &s.shards[shardOf(id)]; h.TryLock() {
		m, err := s.message(id)
		h.Unlock()
		if err != nil {
			return stored{}, err
		}
		return m.body, nil
	}
	v, err := s.get(appendMessageKey(nil, id, kindEnvelope))
	if err != nil {
		return stored{}, err
	}
	body, _, err := parseEnvelope(v)
	return body, err
}

// Size is the length of the whole body in octets.
func (r *BodyReader) Size() int64 { return r.body.size }

// Read implements io.Reader. Errors: ErrNotFound, ErrCorrupt, ErrClosed.
func (r *BodyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: one Write a chunk.
func (r *BodyReader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		switch err := r.fill(); err {
		case nil:
		case io.EOF:
			return written, nil
		default:
			return written, err
		}
		n, err := w.Write(r.rest)
		r.rest = r.rest[n:]
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Close ends reading.
func (r *BodyReader) Close() error {
	if r.file != nil {
		_ = r.file.Close() // it was only read
		r.file = nil
	}
	if r.err == nil || r.buf != nil {
		r.spool.buffers.put(r.buf)
		r.buf, r.rest, r.err = nil, nil, ErrClosed
	}
	return nil
}

// fill makes rest not empty, or returns io.EOF or why it cannot.
func (r *BodyReader) fill() error {
	if len(r.rest) > 0 {
		return nil
	}
	if r.err != nil {
		return r.err
	}
	if r.next == r.body.chunks {
		return io.EOF
	}
	r.err = r.read()
	return r.err
}

// read copies the next chunk: a value that is lent by the store would keep a
// memtable alive for as long as a peer is slow.
func (r *BodyReader) read() error {
	s := r.spool
	if s.closed.Load() {
		return ErrClosed
	}
	if r.body.file != 0 {
		return r.readFrame()
	}
	var key [17]byte
	v, closer, err := s.db.Get(appendChunkKey(key[:0], r.body.id, r.next))
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("body %x, chunk %d: %w", r.body.id, r.next, r.missing())
	}
	if err != nil {
		return s.readError(err)
	}
	defer closer.Close()
	if want := r.body.chunk(r.next); int64(len(v)) != want {
		return fmt.Errorf("%w: body %x, chunk %d has %d octets, not %d", ErrCorrupt, r.body.id, r.next, len(v), want)
	}
	for cap(r.buf) < len(v) {
		r.buf = s.buffers.grow(r.buf)
	}
	r.buf = append(r.buf[:0], v...)
	r.rest = r.buf
	r.next++
	return nil
}

// readFrame reads the next chunk from the body's file.
func (r *BodyReader) readFrame() (err error) {
	s := r.spool
	if r.file == nil {
		if r.file, err = s.files.fs.Open(s.files.path(r.body.file)); err != nil {
			return s.frameError(r.id, r.body, err)
		}
	}
	n := r.body.chunk(r.next)
	for int64(cap(r.buf)) < n {
		r.buf = s.buffers.grow(r.buf)
	}
	r.buf = r.buf[:n]
	if err := readFrame(r.file, r.body.id, r.next, r.buf); err != nil {
		return s.frameError(r.id, r.body, err)
	}
	r.rest = r.buf
	r.next++
	return nil
}

// frameError sorts an error of a body's file. Once the message is finished it belongs
// to others.
func (s *Spool) frameError(id ID, body stored, err error) error {
	if _, e := s.get(appendMessageKey(nil, id, kindEnvelope)); errors.Is(e, ErrNotFound) {
		return fmt.Errorf("body %x: %w", body.id, ErrNotFound)
	}
	err = fmt.Errorf("file %s: %w", s.files.path(body.file), err)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return s.readError(err)
}

// missing says why a chunk is not there. It goes in one batch with the envelope; if that
// is there still, the chunk was in a block that is lost.
func (r *BodyReader) missing() error {
	if _, err := r.spool.get(appendMessageKey(nil, r.id, kindEnvelope)); err != nil {
		return err
	}
	return fmt.Errorf("%w: it is not there", ErrCorrupt)
}
