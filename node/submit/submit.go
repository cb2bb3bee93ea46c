package submit

import (
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// Store is the part of *spool.Spool that acceptance needs.
type Store interface {
	NewBody() *spool.Body
	Accept(...spool.Incoming) error
}

// Config of a Submitter.
type Config struct {
	Store Store
	// Node is this node, which knows its own trace fields again by a mark made of it,
	// whatever host name they give; zero: there is no mark, and none is looked for.
	Node mail.GUID
	// Group is the routing group this node is in now; zero while it is unknown.
	Group func() mail.GUID
	// Next is called once for each accepted message, after it is durable. It
	// must not block: the client's 250 waits for it.
	Next func(*mail.Envelope)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Random gives the random part of IDs and may not fail; nil: crypto/rand.
	Random io.Reader
}

// Submitter accepts messages. It is safe for many goroutines.
type Submitter struct {
	c       Config
	mark    []byte
	streams sync.Pool
}

// New builds a Submitter.
func New(c Config) *Submitter {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	return &Submitter{c: c, mark: markOf(c.Node), streams: sync.Pool{New: newStream}}
}

// Submit stores a message durably and sends it on its way. When it returns nil
// this node is responsible for the message (RFC 5321 section 6.1) and
// s.Envelope, which belongs to the next stage from then on, is complete. It
// returns a *[Refusal], or whatever error content gave; then nothing was
// accepted.
func (t *Submitter) Submit(s *mail.Submission, content io.Reader) error {
	in, err := t.Prepare(s, content)
	if err != nil {
		return err
	}
	if err := t.c.Store.Accept(in); err != nil {
		in.Body.Discard()
		return storage(err)
	}
	t.Announce(s.Envelope)
	return nil
}

// Prepare does all that Submit does but accepting and announcing. The caller
// either has the spool accept what it gets, in whatever transaction, and then
// calls Announce, or calls Discard on its Body.
func (t *Submitter) Prepare(s *mail.Submission, content io.Reader) (spool.Incoming, error) {
	t.name(s.Envelope)
	body, whole := t.c.Store.NewBody(), false
	defer func() { // also after a panic in content: its connection ends, the node goes on
		if !whole {
			body.Discard()
		}
	}()
	st := t.streams.Get().(*stream)
	h, err := st.run(body, s, content, t.mark)
	st.content.Reset(nil)
	st.limited, st.out = limited{}, writer{}
	t.streams.Put(st)
	if err != nil {
		return spool.Incoming{}, err
	}
	whole = true
	e := s.Envelope
	e.Hops, e.Size, e.LongLines = h.received, body.Size(), h.nature.long
	if e.Body == mail.Body7Bit && h.nature.eightBit {
		e.Body = mail.Body8BitMIME // not declared, and so all the same
	}
	if e.FromNode.IsZero() && e.Priority == mail.PriorityNormal {
		e.Priority = h.priority // an earlier node's word counts more than the header
	}
	return spool.Incoming{ID: spool.ID(e.ID), Body: body, Envelope: codec.EncodeEnvelope(e), Recipients: len(e.Recipients)}, nil
}

// Announce hands an accepted message to the next stage.
func (t *Submitter) Announce(e *mail.Envelope) {
	if t.c.Next != nil {
		t.c.Next(e)
	}
}

// name gives the message its ID here and, on the first node, in the
// organisation.
func (t *Submitter) name(e *mail.Envelope) {
	var random [10]byte
	io.ReadFull(t.c.Random, random[:])
	e.Received = t.c.Now().UTC()
	e.ID = mail.NewID(e.Received, random)
	if e.Origin.IsZero() {
		e.Origin = e.ID
	}
	if e.Created.IsZero() {
		e.Created = e.Received
	}
	if g := t.group(); !g.IsZero() && (len(e.Visited) == 0 || e.Visited[len(e.Visited)-1] != g) {
		e.Visited = append(e.Visited[:len(e.Visited):len(e.Visited)], g)
	}
}

func (t *Submitter) group() mail.GUID {
	if t.c.Group == nil {
		return mail.GUID{}
	}
	return t.c.Group()
}
