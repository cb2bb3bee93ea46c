package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// A message that cannot be read is set aside: its entries leave their queues, its
// place among the submitted ends, and a record of its own says which those were
// and why. All its other keys stay, the message's own side of its entries too. The
// record may be written, and undone, without reading the message.

// aside is the record of a message that was set aside.
type aside struct {
	submitted bool
	entries   []Entry
	note      []byte
}

// asides are the messages that are aside, with those of their entries that are.
type asides struct {
	mu sync.Mutex
	of map[ID]map[entryKey]struct{}
}

func (a *asides) has(id ID, e entryKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.of[id][e]
	return ok
}

func (a *asides) get(id ID) (entries map[entryKey]struct{}, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	entries, ok = a.of[id]
	return entries, ok
}

func (a *asides) set(id ID, rec *aside) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if rec == nil {
		delete(a.of, id)
		return
	}
	m := make(map[entryKey]struct{}, len(rec.entries))
	for _, e := range rec.entries {
		m[entryKey{e.Queue, e.Due}] = struct{}{}
	}
	a.of[id] = m
}

func (a *asides) ids() []ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(maps.Keys(a.of), func(a, b ID) int { return slices.Compare(a[:], b[:]) })
}

func appendAsideKey(k []byte, id ID) []byte { return append(append(k, tagAside), id[:]...) }

func (rec *aside) encode() []byte {
	var v []byte
	if rec.submitted {
		v = append(v, 1)
	} else {
		v = append(v, 0)
	}
	v = binary.AppendUvarint(v, uint64(len(rec.entries)))
	text := func(b []byte) { v = append(binary.AppendUvarint(v, uint64(len(b))), b...) }
	for _, e := range rec.entries {
		v = binary.AppendUvarint(v, uint64(e.Due))
		text([]byte(e.Queue))
		text(e.Tag)
	}
	return append(v, rec.note...)
}

func decodeAside(v []byte) (*aside, error) {
	bad := fmt.Errorf("%w: a record of a message that was set aside", ErrCorrupt)
	if len(v) == 0 || v[0] > 1 {
		return nil, bad
	}
	rec := &aside{submitted: v[0] == 1}
	v = v[1:]
	number := func() uint64 {
		n, k := binary.Uvarint(v)
		if k <= 0 {
			n, k = 1<<62, 0
		}
		v = v[k:]
		return n
	}
	text := func() []byte {
		n := number()
		if n > uint64(len(v)) {
			v, rec = nil, nil
			return nil
		}
		b := v[:n:n]
		v = v[n:]
		return slices.Clone(b)
	}
	for n := number(); n > 0; n-- {
		e := Entry{Due: int64(number())}
		e.Queue, e.Tag = string(text()), text()
		if rec == nil || n > 1<<20 {
			return nil, bad
		}
		rec.entries = append(rec.entries, e)
	}
	rec.note = slices.Clone(v)
	return rec, nil
}

// SetAside takes a message that cannot be read out of the given queues, durably;
// without entries, from among the submitted. note is the caller's, and replaces an
// earlier one. The message itself is not read. Errors: ErrFull, ErrFailed,
// ErrClosed, ErrCorrupt if an earlier record of it cannot be read.
func (s *Spool) SetAside(id ID, note []byte, entries ...Entry) error {
	return s.changeAside(id, func(rec *aside, batch *pebble.Batch, t *tally, size int64) (*aside, error) {
		if rec == nil {
			rec = &aside{}
		}
		rec.note = note
		if len(entries) == 0 && !rec.submitted {
			rec.submitted = true
			if err := batch.SingleDelete(appendSubmittedKey(nil, id), nil); err != nil {
				return nil, err
			}
		}
		for _, e := range entries {
			if s.aside.has(id, entryKey{e.Queue, e.Due}) {
				continue
			}
			rec.entries = append(rec.entries, e)
			t.entry(e.Queue, times(-1, size))
			if err := batch.SingleDelete(appendQueueKey(nil, e.Queue, e.Due, id), nil); err != nil {
				return nil, err
			}
		}
		return rec, nil
	})
}

// SetAsideNote replaces what SetAside was told of a message. Errors: ErrNotFound for
// one that is not aside, as SetAside.
func (s *Spool) SetAsideNote(id ID, note []byte) error {
	return s.changeAside(id, func(rec *aside, _ *pebble.Batch, _ *tally, _ int64) (*aside, error) {
		if rec == nil {
			return nil, ErrNotFound
		}
		rec.note = note
		return rec, nil
	})
}

// Release puts a message that was set aside back where it was, durably, and says
// where: into queues, or among the submitted. Errors: ErrNotFound, as SetAside.
func (s *Spool) Release(id ID) (entries []Entry, submitted bool, err error) {
	err = s.changeAside(id, func(rec *aside, batch *pebble.Batch, t *tally, size int64) (*aside, error) {
		if rec == nil {
			return nil, ErrNotFound
		}
		entries, submitted = rec.entries, rec.submitted
		if submitted {
			if err := batch.Set(appendSubmittedKey(nil, id), nil, nil); err != nil {
				return nil, err
			}
		}
		for _, e := range entries {
			t.entry(e.Queue, times(1, size))
			if err := batch.Set(appendQueueKey(nil, e.Queue, e.Due, id), e.Tag, nil); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	return entries, submitted, err
}

// changeAside gives f the record, nil if there is none, and writes what f makes of
// it, in one batch with what f adds.
func (s *Spool) changeAside(id ID, f func(*aside, *pebble.Batch, *tally, int64) (*aside, error)) error {
	if err := s.admitInside(); err != nil {
		return err
	}
	if err := s.fault(faultAsideBegin); err != nil {
		return err
	}
	c := s.newChange(256)
	c.lock = 1 << shardOf(id)
	err := c.run(func() error {
		old, err := s.readAside(id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		size := int64(0) // as count has it, of one that cannot be read
		if m, err := s.message(id); err == nil {
			size = m.body.size
		} else if !unread(err) {
			return err
		}
		rec, err := f(old, c.batch, &c.tally, size)
		if err != nil {
			return err
		}
		c.touched = append(c.touched, id)
		c.setAside(id, rec)
		key := appendAsideKey(nil, id)
		if rec == nil {
			return c.batch.Delete(key, nil)
		}
		return c.batch.Set(key, rec.encode(), nil)
	})
	if err != nil {
		return err
	}
	if err := c.wait(); err != nil {
		return err
	}
	return s.fault(faultAsideSynced)
}

func (s *Spool) readAside(id ID) (*aside, error) {
	v, err := s.get(appendAsideKey(nil, id))
	if err != nil {
		return nil, err
	}
	return decodeAside(v)
}

// Aside lists the messages that were set aside, in the order of their IDs.
func (s *Spool) Aside() []ID { return s.aside.ids() }

// AsideNote is what SetAside was told of a message. Errors: ErrNotFound,
// ErrCorrupt.
func (s *Spool) AsideNote(id ID) ([]byte, error) {
	rec, err := s.readAside(id)
	if err != nil {
		return nil, err
	}
	return rec.note, nil
}

// unread says whether an error is that something is there and cannot be read.
func unread(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnreadable) }

// loadAside notes what is aside.
func (s *Spool) loadAside() error {
	s.aside.of = map[ID]map[entryKey]struct{}{}
	err := s.scanRange(s.db, []byte{tagAside}, []byte{tagAside + 1}, func(k, v []byte) error {
		rec, err := decodeAside(v)
		if err != nil || len(k) != 1+len(ID{}) {
			return fmt.Errorf("key %x: %w", k, errors.Join(err, ErrCorrupt))
		}
		s.aside.set(ID(k[1:]), rec)
		return nil
	})
	if unread(err) {
		s.log.Error("spool_asides_unread", zap.Int("read", len(s.aside.of)), zap.Error(err),
			zap.String("cure", "messages that were set aside are in no queue, and not listed: carry the mail over with postroad spool export and import"))
		return nil
	}
	return err
}

// removeUnread deletes a message that is aside and cannot be read: everything of
// it but its body, which nobody can name; see reclaim.
func (c *change) removeUnread(id ID) error {
	low := appendMessagePrefix(nil, id)
	if err := c.batch.DeleteRange(low, appendMessageKey(nil, id, 0xff), nil); err != nil {
		return err
	}
	c.touched = append(c.touched, id)
	c.tally.message(-1, 0)
	c.setAside(id, nil)
	c.posts.add(Unknown, Tally{Messages: 1})
	if err := c.batch.Set(appendReclaimKey(nil, id), nil, nil); err != nil {
		return err
	}
	c.reclaim = true
	return c.batch.Delete(appendAsideKey(nil, id), nil)
}
