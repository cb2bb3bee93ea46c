package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// Problem is something in a spool that the state table of the package
// documentation does not allow, or that cannot be read.
type Problem struct {
	Message ID // zero: it belongs to no message, or nobody can tell to which
	Text    string
}

// Census is what Check found besides problems.
type Census struct {
	Messages  int64 `json:"messages"`
	Submitted int64 `json:"submitted"` // of Messages: accepted and not planned yet
	Entries   int64 `json:"entries"`   // in all queues
	Bodies    int64 `json:"bodies"`
	Octets    int64 `json:"octets"` // of the bodies, each once
	// Orphans are bodies that no message has: they were never acknowledged, or their
	// files were kept to be written again. They are no problem: the next Open deletes them.
	Orphans int64 `json:"orphans"`
	// Aside are messages that were set aside because they could not be read.
	Aside int64 `json:"aside"`
	// Recipients of Messages, if Options.Recipients counts them.
	Recipients int64 `json:"recipients"`
	// Ledger, by the names of its lines; nil if there is none, or if a release that
	// keeps none had the spool last: then the next Open begins it anew.
	Ledger map[string]Tally `json:"ledger,omitempty"`
}

// Check reads every key and every octet and calls found for each problem. It
// sees the spool as it is at the beginning and may run beside other calls. It
// keeps some 150 octets for each message in memory. Where a block cannot be read,
// it says so and goes on behind it. Errors: ErrClosed, and that of ctx.
func (s *Spool) Check(ctx context.Context, found func(Problem)) (Census, error) {
	snap, release, ok := s.snapshot()
	if !ok {
		return Census{}, ErrClosed
	}
	defer release()
	c := checker{
		ctx: ctx, found: found, spool: s,
		messages: map[ID]*checkedMessage{}, bodies: map[bodyID]*checkedBody{},
		named: map[uint64]struct{}{}, ledger: Ledger{}, weigher: weigher{recipients: s.recipients},
	}
	if err := errors.Join(c.walk(snap), c.orphans()); err != nil {
		return Census{}, err
	}
	c.judge()
	return c.census, nil
}

// checkedMessage is what the keys say of one message. Entries are compared with
// the queues' side by their number and the sum of their hashes.
type checkedMessage struct {
	body                      stored
	enveloped, planned        bool
	nameless                  bool // the envelope cannot be read, so nothing is known of the body
	submitted                 bool
	outcomes, entries, queued uint32
	entryHash, queueHash      uint64
}

// checkedBody is what the keys say of one body.
type checkedBody struct {
	size         int64
	chunks, last uint32 // how many; the greatest number
	owners       uint32 // envelopes that have it
	references   uint32
	open         bool
}

type checker struct {
	ctx      context.Context
	found    func(Problem)
	spool    *Spool
	messages map[ID]*checkedMessage
	bodies   map[bodyID]*checkedBody
	named    map[uint64]struct{} // files
	// unread: a block could not be read, so what is missing may be there.
	unread bool
	// nameless: there are messages of whose bodies nothing is known.
	nameless bool
	census   Census

	ledger       Ledger
	weigher      weigher
	epoch, since []byte // the spool's, and the ledger's
}

func (c *checker) say(id ID, format string, args ...any) {
	c.found(Problem{Message: id, Text: fmt.Sprintf(format, args...)})
}

// walk reads all keys forwards, and if a block stops it, from the end backwards
// up to the same block.
func (c *checker) walk(r pebble.Reader) error {
	last, err := c.run(r, nil, (*pebble.Iterator).First, (*pebble.Iterator).Next)
	if err == nil || c.ctx.Err() != nil {
		return err
	}
	c.unread = true
	first, back := c.run(r, last, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
	if c.ctx.Err() != nil {
		return back
	}
	c.say(ID{}, "keys after %x and before %x cannot be read: %v", last, first, err)
	return nil
}

// run visits the keys above low until the end or the first that cannot be read;
// it gives the last key that could.
func (c *checker) run(r pebble.Reader, low []byte, begin, next func(*pebble.Iterator) bool) (at []byte, err error) {
	o := &pebble.IterOptions{}
	if low != nil {
		o.LowerBound = append(bytes.Clone(low), 0)
	}
	it, err := r.NewIter(o)
	if err != nil {
		return nil, err
	}
	for ok := begin(it); ok; ok = next(it) {
		if err := c.ctx.Err(); err != nil {
			return at, errors.Join(err, it.Close())
		}
		v, err := it.ValueAndErr()
		if err != nil {
			c.unread = true
			c.say(owner(it.Key()), "the value of key %x cannot be read: %v", it.Key(), err)
			v = nil
		} else if err := c.key(it.Key(), v); err != nil {
			c.say(owner(it.Key()), "key %x: %v", it.Key(), err)
		}
		at = append(at[:0], it.Key()...)
	}
	return at, it.Close()
}

// owner is the message that a key names, as far as it does.
func owner(k []byte) (id ID) {
	switch {
	case len(k) > len(id) && (k[0] == tagMessage || k[0] == tagSubmitted || k[0] == tagAside):
		copy(id[:], k[1:])
	case len(k) > len(id) && (k[0] == tagQueue || k[0] == tagReference):
		copy(id[:], k[len(k)-len(id):])
	}
	return id
}

func (c *checker) message(id ID) *checkedMessage {
	m := c.messages[id]
	if m == nil {
		m = &checkedMessage{}
		c.messages[id] = m
	}
	return m
}

func (c *checker) body(k []byte) *checkedBody {
	var id bodyID
	copy(id[:], k[1:])
	return c.bodyOf(id)
}

func (c *checker) bodyOf(id bodyID) *checkedBody {
	b := c.bodies[id]
	if b == nil {
		b = &checkedBody{}
		c.bodies[id] = b
	}
	return b
}

func (c *checker) key(k, v []byte) error {
	switch k[0] {
	case tagMeta:
		return c.metaKey(k, v)
	case tagBody:
		chunk, err := parseChunkKey(k)
		if err != nil {
			return err
		}
		b := c.body(k)
		b.chunks++
		b.last = max(b.last, chunk)
		b.size += int64(len(v))
	case tagReference:
		if len(k) != len(appendReferenceKey(nil, bodyID{}, ID{})) {
			return badKey(k)
		}
		c.body(k).references++
	case tagOpenBody:
		if _, err := parseOpenBodyKey(k); err != nil {
			return err
		}
		c.body(k).open = true
	case tagSubmitted:
		id, err := parseSubmittedKey(k)
		if err != nil {
			return err
		}
		c.message(id).submitted = true
	case tagQueue:
		queue, p, err := parseQueueKey(k)
		if err != nil {
			return err
		}
		m := c.message(p.ID)
		m.queued++
		m.queueHash += entryHash(entryKey{queue, p.Due}, v)
	case tagMessage:
		return c.messageKey(k, v)
	case tagAside:
		return c.asideKey(k, v)
	default:
		return badKey(k)
	}
	return nil
}

func (c *checker) metaKey(k, v []byte) error {
	switch {
	case string(k) == keyFormat:
	case string(k) == keyEpoch:
		c.epoch = bytes.Clone(v)
	case string(k) == keyControl, string(k) == keyControlLost, len(k) == len(keyReclaim)+len(ID{}) && string(k[:len(keyReclaim)]) == keyReclaim:
	case string(k) == keySince:
		c.since = bytes.Clone(v)
	case len(k) == len(keyLedger)+1 && string(k[:len(keyLedger)]) == keyLedger && k[len(keyLedger)] < stripes:
		c.ledger.read(v)
	default:
		return badKey(k)
	}
	return nil
}

// file reads a body that has a file.
func (c *checker) file(id ID, body stored, b *checkedBody) {
	c.named[body.file] = struct{}{}
	r := BodyReader{spool: c.spool, id: id, body: body}
	defer r.Close()
	_, err := r.WriteTo(io.Discard)
	if err != nil && !errors.Is(err, ErrNotFound) { // it was finished meanwhile
		c.say(id, "its body cannot be read: %v", err)
	}
	b.size, b.chunks, b.last = body.size, body.chunks, body.chunks-1 // all is said
}

// orphans counts files that no envelope names. While the spool is in use such files
// are nothing to wonder at: bodies that stream in, and those kept to be written again.
func (c *checker) orphans() error {
	if !c.spool.readOnly {
		return nil
	}
	there, err := c.spool.files.list()
	for _, n := range there {
		if _, ok := c.named[n]; !ok {
			c.census.Orphans++
		}
	}
	return err
}

// asideKey counts what is aside as if it were where it was.
func (c *checker) asideKey(k, v []byte) error {
	rec, err := decodeAside(v)
	if err != nil || len(k) != 1+len(ID{}) {
		return errors.Join(err, badKey(k))
	}
	m := c.message(ID(k[1:]))
	m.submitted = rec.submitted
	for _, e := range rec.entries {
		m.queued++
		m.queueHash += entryHash(entryKey{e.Queue, e.Due}, e.Tag)
	}
	c.census.Aside++
	return nil
}

func (c *checker) messageKey(k, v []byte) error {
	key, err := parseMessageKey(k)
	if err != nil {
		return err
	}
	c.weigher.key(key, v)
	m := c.message(key.id)
	switch key.kind {
	case kindEnvelope:
		m.enveloped = true
		if m.body, _, err = parseEnvelope(v); err != nil {
			m.nameless, c.nameless = true, true
			return err
		}
		b := c.bodyOf(m.body.id)
		if b.owners++; b.owners == 1 && m.body.file != 0 {
			c.file(key.id, m.body, b)
		}
	case kindPlan:
		m.planned = true
	case kindOutcome:
		m.outcomes++
	case kindEntry:
		m.entries++
		m.entryHash += entryHash(key.entry, v)
	}
	return nil
}
