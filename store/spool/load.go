package spool

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Load reads all of a message but its body. Errors: ErrNotFound, ErrCorrupt,
// ErrClosed.
func (s *Spool) Load(id ID) (Stored, error) {
	if s.closed.Load() {
		return Stored{}, ErrClosed
	}
	h := &s.shards[shardOf(id)]
	// Who holds the lock may wait for room on the disk; a scan needs none.
	if !h.TryLock() {
		return s.loadScan(id)
	}
	if m := h.known[id]; m != nil && len(m.entries)+len(m.targets) <= fewKeys {
		defer h.Unlock()
		return s.loadKnown(id, m)
	}
	h.Unlock()
	return s.loadScan(id)
}

// fewKeys: up to so many keys are read one by one if they are known. A key of a
// fresh message is found in the memtable, where a scan has to ask all tables for
// others.
const fewKeys = 8

// loadKnown reads the keys that a known message has. Its shard must be locked,
// so that the keys do not change meanwhile.
func (s *Spool) loadKnown(id ID, m *message) (Stored, error) {
	var buf [64]byte
	v, err := s.get(appendMessageKey(buf[:0], id, kindEnvelope))
	if err != nil {
		return Stored{}, err
	}
	out := Stored{BodySize: m.body.size}
	if _, out.Envelope, err = parseEnvelope(v); err != nil {
		return Stored{}, err
	}
	if m.planned {
		if out.Plan, err = s.get(appendMessageKey(buf[:0], id, kindPlan)); err != nil {
			return Stored{}, err
		}
	}
	for _, t := range m.targets {
		if v, err = s.get(appendOutcomeKey(buf[:0], id, t)); err != nil {
			return Stored{}, err
		}
		out.Outcomes = append(out.Outcomes, OutcomeRecord{Target: t, Payload: v})
	}
	for _, e := range m.entries {
		if v, err = s.get(appendEntryKey(buf[:0], id, e)); err != nil {
			return Stored{}, err
		}
		out.Entries = append(out.Entries, Entry{Queue: e.queue, Due: e.due, Tag: v})
	}
	// As a scan gives them.
	slices.SortFunc(out.Outcomes, func(a, b OutcomeRecord) int { return cmp.Compare(a.Target, b.Target) })
	slices.SortFunc(out.Entries, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Queue, b.Queue)) })
	return out, nil
}

// get gives a copy of a value, never nil.
func (s *Spool) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, s.readError(err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, s.closeRead(closer)
}

func (s *Spool) closeRead(c io.Closer) error {
	if err := c.Close(); err != nil {
		return s.readError(err)
	}
	return nil
}

func (s *Spool) loadScan(id ID) (Stored, error) {
	var out Stored
	err := s.scanMessage(id, func(k messageKey, v []byte) error {
		switch k.kind {
		case kindEnvelope:
			body, envelope, err := parseEnvelope(v)
			if err != nil {
				return err
			}
			out.BodySize, out.Envelope = body.size, bytes.Clone(envelope)
		case kindPlan:
			out.Plan = append([]byte{}, v...) // not nil, even if empty
		case kindOutcome:
			out.Outcomes = append(out.Outcomes, OutcomeRecord{Target: k.target, Payload: append([]byte{}, v...)})
		case kindEntry:
			out.Entries = append(out.Entries, Entry{Queue: k.entry.queue, Due: k.entry.due, Tag: append([]byte{}, v...)})
		}
		return nil
	})
	if err == nil && out.Plan == nil && len(out.Entries) > 0 {
		err = errNoPlan
	}
	if err != nil {
		return Stored{}, err
	}
	return out, nil
}

// Submitted lists messages that were accepted and not yet planned, in the order
// of their IDs, after the given one (zero: from the first), at most limit.
func (s *Spool) Submitted(after ID, limit int) ([]ID, error) {
	var ids []ID
	err := s.scan(append(appendSubmittedKey(nil, after), 0), []byte{tagSubmitted + 1}, func(it *pebble.Iterator) (bool, error) {
		if len(ids) >= limit {
			return false, nil
		}
		id, err := parseSubmittedKey(it.Key())
		if err == nil {
			ids = append(ids, id)
		}
		return it.Next(), err
	})
	if unread(err) {
		s.fellBack("submitted", err)
		return s.submittedAnew(after, limit)
	}
	return ids, err
}

// Queues lists all queues that have entries, by name, each with its oldest due
// time. It costs one seek a queue, however long the queues are.
func (s *Spool) Queues() ([]QueueHead, error) {
	var heads []QueueHead
	var next []byte
	err := s.scan([]byte{tagQueue}, []byte{tagQueue + 1}, func(it *pebble.Iterator) (bool, error) {
		queue, p, err := parseQueueKey(it.Key())
		if err != nil {
			return false, err
		}
		heads = append(heads, QueueHead{Queue: queue, Due: p.Due})
		next = appendQueueName(next[:0], queue, queueAfter)
		return it.SeekGE(next), nil
	})
	if unread(err) {
		s.fellBack("queues", err)
		return s.queuesAnew()
	}
	return heads, err
}

// Entries lists entries of one queue by due time and ID, after the given
// position, at most limit.
func (s *Spool) Entries(queue string, after Position, limit int) ([]QueueEntry, error) {
	var entries []QueueEntry
	low := appendQueueName(nil, queue, queueEnd)
	if after != (Position{}) {
		low = append(appendQueueKey(nil, queue, after.Due, after.ID), 0)
	}
	err := s.scan(low, appendQueueName(nil, queue, queueAfter), func(it *pebble.Iterator) (bool, error) {
		if len(entries) >= limit {
			return false, nil
		}
		_, p, err := parseQueueKey(it.Key())
		if err != nil {
			return false, err
		}
		tag, err := it.ValueAndErr()
		if err != nil {
			return false, s.readError(err)
		}
		entries = append(entries, QueueEntry{ID: p.ID, Due: p.Due, Tag: bytes.Clone(tag)})
		return it.Next(), nil
	})
	if unread(err) {
		s.fellBack("queue "+queue, err)
		return s.entriesAnew(queue, after, limit)
	}
	return entries, err
}

// scan calls f at the first key in [low, high); f moves the iterator on and says
// whether it stands on a key.
func (s *Spool) scan(low, high []byte, f func(*pebble.Iterator) (bool, error)) error {
	if s.closed.Load() {
		return ErrClosed
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return s.readError(err)
	}
	for ok := it.First(); ok && err == nil; {
		ok, err = f(it)
	}
	if e := it.Close(); err == nil && e != nil {
		err = s.readError(e)
	}
	return err
}

// Messages calls f with the ID of every message, in the order of the IDs, until
// it returns an error, which comes back. Errors also: ErrCorrupt, ErrClosed.
func (s *Spool) Messages(f func(ID) error) error {
	var next []byte
	return s.scan([]byte{tagMessage}, []byte{tagMessage + 1}, func(it *pebble.Iterator) (bool, error) {
		k, err := parseMessageKey(it.Key())
		if err != nil {
			return false, err
		}
		if err := f(k.id); err != nil {
			return false, err
		}
		next = appendMessageKey(next[:0], k.id, 0xff)
		return it.SeekGE(next), nil
	})
}
