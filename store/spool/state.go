package spool

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// entryKey names an entry of a known message.
type entryKey struct {
	queue string
	due   int64
}

// message is what the spool must know of a message to change it: enough to
// build every key that deletes it without reading. It is only a copy of what
// is on disk, kept for those touched lately.
type message struct {
	body    stored
	planned bool
	targets []uint32 // those with an outcome on disk
	entries []entryKey
}

func (m *message) remove(e entryKey) bool {
	i := slices.Index(m.entries, e)
	if i < 0 {
		return false
	}
	m.entries = slices.Delete(m.entries, i, i+1)
	return true
}

// Messages are locked by shard: two calls that change the same message commit
// in the order in which they decided.
const (
	shardCount = 64
	shardLimit = 2048 // messages remembered in a shard, about 200 octets each
)

type shard struct {
	sync.Mutex
	known map[ID]*message
}

func newShards() *[shardCount]shard {
	var all [shardCount]shard
	for i := range all {
		all[i].known = make(map[ID]*message)
	}
	return &all
}

// shardOf takes the last octet: IDs begin with the time and end at random.
func shardOf(id ID) int { return int(id[len(id)-1]) % shardCount }

// remember keeps m. The shard must be locked.
func (h *shard) remember(id ID, m *message) {
	if len(h.known) >= shardLimit {
		for old := range h.known { // any: what is forgotten is read again
			delete(h.known, old)
			break
		}
	}
	h.known[id] = m
}

// lockAll locks the shards of ids in ascending order, so that two calls never
// wait for each other. It returns the shards as a set of bits.
func (s *Spool) lockAll(set uint64) {
	for i := range s.shards {
		if set&(1<<i) != 0 {
			s.shards[i].Lock()
		}
	}
}

func (s *Spool) unlockAll(set uint64) {
	for i := range s.shards {
		if set&(1<<i) != 0 {
			s.shards[i].Unlock()
		}
	}
}

// message finds a message in memory or on disk. Its shard must be locked.
func (s *Spool) message(id ID) (*message, error) {
	h := &s.shards[shardOf(id)]
	if m := h.known[id]; m != nil {
		return m, nil
	}
	m := &message{}
	err := s.scanMessage(id, func(k messageKey, v []byte) error {
		var err error
		switch k.kind {
		case kindEnvelope:
			m.body, _, err = parseEnvelope(v)
		case kindOutcome:
			m.targets = append(m.targets, k.target)
		case kindPlan:
			m.planned = true
		case kindEntry:
			m.entries = append(m.entries, k.entry)
		}
		return err
	})
	if err == nil && len(m.entries) > 0 && !m.planned {
		err = errNoPlan
	}
	if err != nil {
		return nil, err
	}
	h.remember(id, m)
	return m, nil
}

// errNoPlan: the plan was in a block that is lost.
var errNoPlan = fmt.Errorf("%w: a message with entries and no plan", ErrCorrupt)

// scanMessage calls f for each key of a message; ErrNotFound if it has no
// envelope. Values are valid during the call.
func (s *Spool) scanMessage(id ID, f func(k messageKey, v []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: appendMessagePrefix(nil, id),
		// No kind is above 'z'.
		UpperBound: appendMessageKey(nil, id, 'z'),
	})
	if err != nil {
		return s.readError(err)
	}
	found := false
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var k messageKey
		if k, err = parseMessageKey(it.Key()); err != nil {
			break
		}
		var v []byte
		if v, err = it.ValueAndErr(); err != nil {
			err = s.readError(err)
			break
		}
		found = found || k.kind == kindEnvelope
		err = f(k, v)
	}
	if e := it.Close(); err == nil && e != nil {
		err = s.readError(e)
	}
	if err == nil && !found {
		err = ErrNotFound
	}
	return err
}
