package queue

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// message is what delivery needs besides the body.
type message struct {
	env     *mail.Envelope
	targets []mail.Target
}

// cache keeps the messages planned last, so that one that is delivered at once
// is never read back from disk. It is an optimisation only: the oldest goes when
// the room is used up.
type cache struct {
	mu   sync.Mutex
	by   map[mail.ID]*message
	ring []mail.ID
	pos  int
}

func newCache(size int) *cache {
	return &cache{by: make(map[mail.ID]*message, size), ring: make([]mail.ID, size)}
}

func (c *cache) put(id mail.ID, m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.ring[c.pos]; !old.IsZero() {
		delete(c.by, old)
	}
	c.ring[c.pos] = id
	c.pos = (c.pos + 1) % len(c.ring)
	c.by[id] = m
}

func (c *cache) get(id mail.ID) *message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[id]
}

func (c *cache) remove(id mail.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, id)
}

// load gives a planned message, from memory or from the spool.
func (r *Runner) load(id mail.ID) (*message, error) {
	if m := r.cache.get(id); m != nil {
		return m, nil
	}
	st, err := r.c.Store.Load(spool.ID(id))
	if err != nil {
		return nil, err
	}
	return decodeMessage(st)
}

func decodeMessage(st spool.Stored) (*message, error) {
	env, err := codec.DecodeEnvelope(st.Envelope)
	if err != nil {
		return nil, err
	}
	targets, err := codec.DecodePlan(st.Plan)
	if err != nil {
		return nil, err
	}
	for i, t := range targets {
		if t.Recipient >= len(env.Recipients) {
			return nil, fmt.Errorf("plan: %w: target %d is of recipient %d, the envelope has %d",
				codec.ErrCorrupt, i, t.Recipient, len(env.Recipients))
		}
	}
	return &message{env, targets}, nil
}

// content is a message's body, opened when somebody wants it.
type content struct {
	store Store
	id    spool.ID
	size  int64
	beat  func() // called when some of it was read; nil: nobody listens
	// damage is why it cannot be read, once that was found.
	damage atomic.Pointer[error]
}

// Open implements mail.Content.
func (c *content) Open() (io.ReadCloser, error) {
	b, err := c.store.OpenBody(c.id)
	w := watched{b, &c.damage, func() {}}
	if err != nil {
		w.note(err)
		return nil, err
	}
	if c.beat != nil {
		w.beat = c.beat
	}
	return w, nil
}

// Read implements io.Reader.
func (w watched) Read(p []byte) (int, error) {
	w.beat()
	n, err := w.BodyReader.Read(p)
	w.note(err)
	return n, err
}

// WriteTo implements io.WriterTo.
func (w watched) WriteTo(to io.Writer) (int64, error) {
	n, err := w.BodyReader.WriteTo(pulseWriter{to, w.beat})
	w.note(err)
	return n, err
}

type pulseWriter struct {
	io.Writer
	beat func()
}

// Write implements io.Writer.
func (p pulseWriter) Write(b []byte) (int, error) {
	p.beat()
	return p.Writer.Write(b)
}

// Size implements mail.Content.
func (c *content) Size() int64 { return c.size }
