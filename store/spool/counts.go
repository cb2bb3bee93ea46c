package spool

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// counts knows how much there is without reading. What was there at Open is
// added by a background scan of a snapshot; changes since then go on top, so
// the order of the two does not matter.
type counts struct {
	messages, bytes, entries atomic.Int64
	mu                       sync.Mutex
	queues                   map[string]Weight
	done                     chan struct{} // closed when the scan has ended
	complete                 atomic.Bool   // it ended well
}

func newCounts() *counts {
	return &counts{queues: make(map[string]Weight), done: make(chan struct{})}
}

func (c *counts) message(n, size int64) {
	c.messages.Add(n)
	c.bytes.Add(n * size)
}

// Weight is how much a queue holds.
type Weight struct {
	Entries int64
	Bytes   int64 // octets of the messages' bodies
}

func (w Weight) plus(o Weight) Weight { return Weight{w.Entries + o.Entries, w.Bytes + o.Bytes} }

// times is so many entries of a message of that size.
func times(n, size int64) Weight { return Weight{n, n * size} }

func (c *counts) entry(queue string, w Weight) {
	c.entries.Add(w.Entries)
	c.mu.Lock()
	// Zero is forgotten, or every domain ever mailed to would stay in memory. It
	// may go below zero while the scan has not come to the queue yet.
	if sum := c.queues[queue].plus(w); sum == (Weight{}) {
		delete(c.queues, queue)
	} else {
		c.queues[queue] = sum
	}
	c.mu.Unlock()
}

// tally collects a change's differences until it is applied.
type tally struct {
	messages, bytes int64
	queues          []queueCount
}

type queueCount struct {
	queue string
	w     Weight
}

func (t *tally) message(n, size int64) {
	t.messages += n
	t.bytes += n * size
}

func (t *tally) entry(queue string, w Weight) {
	for i := range t.queues {
		if t.queues[i].queue == queue {
			t.queues[i].w = t.queues[i].w.plus(w)
			return
		}
	}
	t.queues = append(t.queues, queueCount{queue, w})
}

func (c *counts) add(t *tally) {
	c.messages.Add(t.messages)
	c.bytes.Add(t.bytes)
	for _, q := range t.queues {
		if q.w != (Weight{}) {
			c.entry(q.queue, q.w)
		}
	}
}

// Weigh is what a queue holds; see Stats.Counted.
func (s *Spool) Weigh(queue string) Weight {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	w := s.counts.queues[queue]
	return Weight{max(0, w.Entries), max(0, w.Bytes)}
}

// WaitCounted waits until Count and Stats include what was there at Open.
func (s *Spool) WaitCounted(ctx context.Context) error {
	select {
	case <-s.counts.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count scans what was there at Open. It gives up when the spool is closed. The
// envelope of a message comes before its entries, so one pass knows their size. What
// cannot be read is not counted.
//
// named are the files that envelopes name; whole: there are no others.
func (s *Spool) count(snap *pebble.Snapshot, aside map[ID]map[entryKey]struct{}) (named map[uint64]struct{}, whole bool, err error) {
	named, whole = map[uint64]struct{}{}, true
	var id ID
	var size int64
	names := map[string]string{} // one string for each queue, not for each entry
	err = s.skim(snap, func(k messageKey, v []byte) error {
		switch k.kind {
		case kindEnvelope:
			body, _, err := parseEnvelope(v) // one that cannot be read counts too, with no size
			id, size, whole = k.id, body.size, whole && err == nil
			s.counts.message(1, size)
			if body.file != 0 {
				named[body.file] = struct{}{}
				s.files.octets.Add(body.length())
			}
		case kindEntry:
			name, known := names[k.entry.queue]
			if !known {
				name = k.entry.queue
				names[name] = name
			}
			if id != k.id {
				size = 0 // of an entry without an envelope; Check names it
			}
			if _, ok := aside[k.id][k.entry]; !ok {
				s.counts.entry(name, times(1, size))
			}
		}
		return nil
	}, func() { whole = false })
	return named, whole, err
}
