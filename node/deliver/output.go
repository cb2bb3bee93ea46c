package deliver

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// flushSteps enters the noted steps into the FIFO, then writes the group. In
// this order no reply can find the FIFO without its command.
func (s *session) flushSteps(b []byte) bool {
	s.scratch = b
	s.mu.Lock()
	if s.failed != nil {
		s.mu.Unlock()
		return false
	}
	s.pending = append(s.pending, s.steps...)
	s.mu.Unlock()
	s.steps = s.steps[:0]
	_, err := s.peer.out.Write(b)
	return s.wrote(err)
}

// send writes one command whose reply is e.
func (s *session) send(b []byte, e expectation) bool {
	s.steps = s.steps[:0]
	s.step(e.f, e.step, e.target, int64(len(b)))
	return s.flushSteps(b)
}

// exchange sends a group and waits for all its replies.
func (s *session) exchange(b []byte) bool {
	return s.flushSteps(b) && s.flush() && s.await(func() bool { return len(s.pending) == 0 })
}

func (s *session) flush() bool { return s.wrote(s.peer.out.Flush()) }

// lastWords is how long a peer that takes no more is listened to.
const lastWords = time.Second

// wrote ends the session if a write failed. A peer that closes has often said
// why; so the reader first gets what has arrived.
func (s *session) wrote(err error) bool {
	if err == nil {
		return true
	}
	s.mu.Lock()
	s.hurry = true
	_ = s.peer.wire.SetReadDeadline(time.Now().Add(lastWords))
	s.mu.Unlock()
	s.await(func() bool { return s.gone })
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if !gone {
		s.fail(lost(err, "what was being sent"))
	}
	return false
}

// errTorn is a content that is not as long as its size says.
var errTorn = errors.New("the content's length is not its size")

// copyExact writes a chunk of exactly the announced size. Anything else leaves
// the peer in the middle of a chunk, so it costs the connection.
func (s *session) copyExact(f *flight, rc io.Reader) bool {
	w := &counter{w: s.peer.out, left: f.size}
	_, err := io.Copy(w, rc)
	if err == nil && w.left > 0 {
		err = fmt.Errorf("%w: %d octets are missing of %d", errTorn, w.left, f.size)
	}
	return s.copied(f, w.failed, err)
}

// copyContent writes content for DATA. An error leaves the peer in the middle
// of it; to send the final dot would make half a message whole.
func (s *session) copyContent(f *flight, d *dotWriter, rc io.Reader) bool {
	w := &counter{w: d, left: -1}
	_, err := io.Copy(w, rc)
	return s.copied(f, w.failed, err)
}

// copied tells a bad connection from a bad content.
func (s *session) copied(f *flight, write, err error) bool {
	switch {
	case write != nil:
		return s.wrote(write)
	case err != nil:
		s.mu.Lock()
		s.settle(f, unreadable(err))
		s.ours = true
		s.mu.Unlock()
		s.fail(mail.Defer(mail.StatusDropped, "the connection was given up, since the content of another message cannot be read"))
		return false
	}
	return true
}

// counter passes at most left octets on, if left is not negative, and keeps the
// writer's error apart from the reader's.
type counter struct {
	w      io.Writer
	left   int64
	failed error
}

func (c *counter) Write(b []byte) (int, error) {
	if c.left >= 0 {
		if int64(len(b)) > c.left {
			return 0, fmt.Errorf("%w: it is longer", errTorn)
		}
		c.left -= int64(len(b))
	}
	n, err := c.w.Write(b)
	if err != nil {
		c.failed = err
	}
	return n, err
}
