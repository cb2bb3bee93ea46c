package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// The lists of the queues and of what is submitted say again what the keys of the
// messages say. Where a block of a list cannot be read, the messages are read instead,
// all of them, which is slow and complete; where a block of messages cannot be read,
// it is jumped over.

// skim calls f for each key of a message that can be read, in order. torn is called
// where some cannot: neither the message before nor the one after may be whole. It
// ends with the first error of f.
func (s *Spool) skim(r pebble.Reader, f func(k messageKey, v []byte) error, torn func()) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{tagMessage}, UpperBound: []byte{tagMessage + 1}})
	if err != nil {
		return s.readError(err)
	}
	defer func() { _ = it.Close() }() // its error was met already
	var at ID
	for ok := it.First(); !s.closed.Load(); {
		if !ok {
			err := it.Error()
			if err == nil {
				return nil
			}
			if err = s.readError(err); !unread(err) {
				return err
			}
			torn()
			if ok = leap(it, at); !ok && it.Error() == nil {
				return nil
			}
			if !ok { // the end cannot be read either, and what is between was leapt over
				ok = s.land(r, it, at)
			}
			if !ok && at == (ID{}) {
				return err // there may be anything
			}
			if !ok {
				return nil
			}
		}
		k, err := parseMessageKey(it.Key())
		if err == nil {
			at = k.id
			var v []byte
			if v, err = it.ValueAndErr(); err != nil {
				torn()
			} else if err = f(k, v); err != nil {
				return err
			}
		}
		ok = it.Next()
	}
	return ErrClosed
}

// landings is how many messages land tries.
const landings = 256

// land puts the iterator on a message behind the given one that some list names and
// that can be read, near the beginning of those that can.
func (s *Spool) land(r pebble.Reader, it *pebble.Iterator, from ID) bool {
	var ids []ID
	for _, tag := range []byte{tagQueue, tagSubmitted} {
		// A list that cannot be read to its end names enough.
		_ = s.scanRange(r, []byte{tag}, []byte{tag + 1}, func(k, _ []byte) error {
			if id := owner(k); slices.Compare(id[:], from[:]) > 0 {
				ids = append(ids, id)
			}
			if len(ids)%landings == landings-1 {
				return io.EOF
			}
			return nil
		})
	}
	slices.SortFunc(ids, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if it.SeekGE(appendMessagePrefix(nil, id)) {
			return true
		}
	}
	return false
}

// leap puts the iterator, which cannot be read behind a message, on the next that can:
// it tries further and further away, and then halves the distance. false and no error:
// there is none.
func leap(it *pebble.Iterator, from ID) bool {
	probe := func(id ID) (found, readable bool) {
		found = it.SeekGE(appendMessagePrefix(nil, id))
		return found, found || it.Error() == nil
	}
	bad := from
	for k := range 128 {
		good, more := after(from, k)
		if !more {
			break
		}
		if _, ok := probe(good); !ok {
			bad = good
			continue
		}
		for next(bad) != good {
			if mid := middle(bad, good); mid == bad {
				break
			} else if _, ok := probe(mid); ok {
				good = mid
			} else {
				bad = mid
			}
		}
		found, _ := probe(good)
		return found
	}
	return it.SeekGE([]byte{tagMessage + 1})
}

// after is the ID 2^k further on; more is false if there is none.
func after(id ID, k int) (out ID, more bool) {
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var addHigh, addLow, carry uint64
	if k < 64 {
		addLow = 1 << k
	} else {
		addHigh = 1 << (k - 64)
	}
	low, carry = bits.Add64(low, addLow, 0)
	high, carry = bits.Add64(high, addHigh, carry)
	binary.BigEndian.PutUint64(out[:8], high)
	binary.BigEndian.PutUint64(out[8:], low)
	return out, carry == 0
}

func next(id ID) ID { out, _ := after(id, 0); return out }

// middle is half-way from a to b, a if there is nothing between.
func middle(a, b ID) (out ID) {
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(a[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(a[:8]), borrow)
	low, high = low>>1|high<<63, high>>1
	low, carry := bits.Add64(low, binary.BigEndian.Uint64(a[8:]), 0)
	high, _ = bits.Add64(high, binary.BigEndian.Uint64(a[:8]), carry)
	binary.BigEndian.PutUint64(out[:8], high)
	binary.BigEndian.PutUint64(out[8:], low)
	return out
}

// fellBack says once for each list that it is made up from the messages.
func (s *Spool) fellBack(list string, err error) {
	if _, told := s.told.LoadOrStore(list, true); !told {
		s.log.Error("spool_list_unreadable", zap.String("list", list), zap.Error(err),
			zap.String("cure", "nothing is lost: it is made from the messages, which is slow; look with postroad spool check, and carry the mail over"))
	}
}

// skimEntries calls f for each entry of a queue that is not aside, message by message.
func (s *Spool) skimEntries(f func(id ID, e entryKey, tag []byte)) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.skim(s.db, func(k messageKey, v []byte) error {
		if k.kind == kindEntry && !s.aside.has(k.id, k.entry) {
			f(k.id, k.entry, v)
		}
		return nil
	}, func() {})
}

// queuesAnew is Queues without the lists.
func (s *Spool) queuesAnew() ([]QueueHead, error) {
	first := map[string]int64{}
	err := s.skimEntries(func(_ ID, e entryKey, _ []byte) {
		if due, known := first[e.queue]; !known || e.due < due {
			first[e.queue] = e.due
		}
	})
	var heads []QueueHead
	for queue, due := range first {
		heads = append(heads, QueueHead{queue, due})
	}
	slices.SortFunc(heads, func(a, b QueueHead) int { return cmp.Compare(a.Queue, b.Queue) })
	return heads, err
}

// entriesAnew is Entries without the list.
func (s *Spool) entriesAnew(queue string, after Position, limit int) ([]QueueEntry, error) {
	var list []QueueEntry
	order := func(a, b QueueEntry) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), slices.Compare(a.ID[:], b.ID[:]))
	}
	first := func() {
		slices.SortFunc(list, order)
		list = list[:min(len(list), limit)]
	}
	low := QueueEntry{Due: after.Due, ID: after.ID}
	err := s.skimEntries(func(id ID, e entryKey, tag []byte) {
		q := QueueEntry{ID: id, Due: e.due, Tag: slices.Clone(tag)}
		if e.queue != queue || after != (Position{}) && order(q, low) <= 0 {
			return
		}
		if list = append(list, q); len(list) >= 2*limit+1024 {
			first()
		}
	})
	first()
	return list, err
}

// submittedAnew is Submitted without the list. A message of which something cannot be
// read is left out: nobody can tell whether it is planned.
func (s *Spool) submittedAnew(after ID, limit int) ([]ID, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	var ids []ID
	var id ID
	var enveloped, planned, whole bool
	enough := errors.New("enough")
	end := func() error {
		if enveloped && !planned && whole && slices.Compare(id[:], after[:]) > 0 {
			if _, aside := s.aside.get(id); !aside {
				ids = append(ids, id)
			}
		}
		if len(ids) >= limit {
			return enough
		}
		return nil
	}
	tornAt := false
	err := s.skim(s.db, func(k messageKey, _ []byte) error {
		if k.id != id || tornAt {
			if err := end(); err != nil {
				return err
			}
			// What comes first behind a gap may have lost its beginning, not its plan,
			// which comes after the envelope: without that it counts for nothing.
			id, enveloped, planned, whole, tornAt = k.id, false, false, true, false
		}
		enveloped = enveloped || k.kind == kindEnvelope
		planned = planned || k.kind != kindEnvelope
		return nil
	}, func() { whole, tornAt = false, true })
	if err == nil {
		err = end()
	}
	if errors.Is(err, enough) {
		err = nil
	}
	return ids, err
}
