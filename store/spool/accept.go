package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Accept stores messages durably, all or none: when it returns nil they survive
// a crash, and they are submitted. This is the acknowledgement point. After
// ErrFull nothing was written and the bodies may be offered again or discarded.
// Errors: ErrInvalid, ErrFull, ErrFailed, ErrClosed.
func (s *Spool) Accept(msgs ...Incoming) error {
	size, err := checkIncoming(s, msgs)
	if err != nil {
		return err
	}
	if err := s.admit(size); err != nil {
		return err
	}
	if err := s.fault(faultAcceptBegin); err != nil {
		return err
	}
	if err := s.secure(msgs); err != nil {
		return err
	}
	batch := s.db.NewBatchWithSize(int(size))
	if err := addIncoming(batch, msgs); err != nil {
		return err
	}
	var room [2]posted
	posts := postings(room[:0])
	posts.incoming(Accepted, msgs)
	if len(msgs) > 0 {
		if err := posts.write(batch, msgs[0].ID); err != nil {
			return err
		}
	}
	set := shardsOf(msgs)
	s.lockAll(set)
	err = s.learn(msgs)
	s.unlockAll(set)
	if err != nil {
		return err
	}
	if err := s.commitSynced(batch); err != nil {
		s.lockAll(set)
		s.forget(msgs)
		s.unlockAll(set)
		return err
	}
	s.book.add(posts)
	s.accepted(msgs)
	return s.fault(faultAcceptSynced)
}

// checkIncoming refuses what would break the rules of the keys, and measures
// what is to be written, in octets.
func checkIncoming(s *Spool, msgs []Incoming) (size int64, err error) {
	for i := range msgs {
		m := &msgs[i]
		switch {
		case m.ID == ID{}:
			return 0, fmt.Errorf("%w: a message without an ID", ErrInvalid)
		case m.Body == nil || m.Body.spool != s:
			return 0, fmt.Errorf("%w: message %x has no body of this spool", ErrInvalid, m.ID)
		case m.Body.err != nil:
			return 0, m.Body.err
		}
		for j := range i {
			if msgs[j].ID == m.ID {
				return 0, fmt.Errorf("%w: message %x is there twice", ErrInvalid, m.ID)
			}
		}
		size += int64(len(m.Envelope)) + 256
		if firstUse(msgs, i) {
			size += int64(len(m.Body.last))
		}
	}
	return size, nil
}

func firstUse(msgs []Incoming, i int) bool {
	for j := range i {
		if msgs[j].Body == msgs[i].Body {
			return false
		}
	}
	return true
}

func isShared(msgs []Incoming, i int) bool {
	for j := range msgs {
		if j != i && msgs[j].Body == msgs[i].Body {
			return true
		}
	}
	return false
}

// addIncoming adds messages to a batch, each body before its first envelope.
func addIncoming(batch *pebble.Batch, msgs []Incoming) error {
	var buf [64]byte
	for i := range msgs {
		m := &msgs[i]
		if firstUse(msgs, i) {
			if err := addBody(batch, m.Body); err != nil {
				return err
			}
		}
		body := m.Body.stored(isShared(msgs, i))
		if body.shared {
			if err := batch.Set(appendReferenceKey(buf[:0], body.id, m.ID), nil, nil); err != nil {
				return err
			}
		}
		d := batch.SetDeferred(len(appendMessageKey(buf[:0], m.ID, kindEnvelope)), body.head()+len(m.Envelope))
		copy(d.Key, appendMessageKey(buf[:0], m.ID, kindEnvelope))
		appendEnvelope(d.Value[:0], body, m.Envelope)
		if err := d.Finish(); err != nil {
			return err
		}
		if err := batch.Set(appendSubmittedKey(buf[:0], m.ID), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func addBody(batch *pebble.Batch, b *Body) error {
	if b.file != nil || len(b.last) == 0 {
		return nil
	}
	return batch.Set(appendChunkKey(nil, b.id, 0), b.last, nil)
}

func shardsOf(msgs []Incoming) (set uint64) {
	for i := range msgs {
		set |= 1 << shardOf(msgs[i].ID)
	}
	return set
}

// learn remembers messages before they are committed: nobody else knows their
// IDs yet, and after the commit an older memory could not be told from a newer.
// The shards must be locked.
func (s *Spool) learn(msgs []Incoming) error {
	for i := range msgs {
		h := &s.shards[shardOf(msgs[i].ID)]
		if h.known[msgs[i].ID] != nil {
			s.forget(msgs[:i])
			return fmt.Errorf("%w: message %x was accepted before; give each message an ID of its own", ErrInvalid, msgs[i].ID)
		}
		h.remember(msgs[i].ID, &message{body: msgs[i].Body.stored(isShared(msgs, i))})
	}
	return nil
}

// forget undoes learn. The shards must be locked.
func (s *Spool) forget(msgs []Incoming) {
	for i := range msgs {
		delete(s.shards[shardOf(msgs[i].ID)].known, msgs[i].ID)
	}
}

var errAccepted = fmt.Errorf("%w: the body was accepted before", ErrInvalid)

// accepted ends the bodies and counts.
func (s *Spool) accepted(msgs []Incoming) {
	for i := range msgs {
		s.counts.message(1, msgs[i].Body.size)
	}
	for i := range msgs {
		if b := msgs[i].Body; b.err == nil {
			if b.file != nil {
				s.files.named(b.stored(false).length())
			}
			b.end(errAccepted)
		}
	}
}
