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
	queues                   map[string]int64
	done                     chan struct{} // closed when the scan has ended
	complete                 atomic.Bool   // it ended well
}

func newCounts() *counts {
	return &counts{queues: make(map[string]int64), done: make(chan struct{})}
}

func (c *counts) message(n, size int64) {
	c.messages.Add(n)
	c.bytes.Add(n * size)
}

func (c *counts) entry(queue string, n int64) {
	c.entries.Add(n)
	c.mu.Lock()
	c.queues[queue] += n
	// Zero is forgotten, or every domain ever mailed to would stay in memory. It
	// may go below zero while the scan has not come to the queue yet.
	if c.queues[queue] == 0 {
		delete(c.queues, queue)
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
	n     int64
}

func (t *tally) message(n, size int64) {
	t.messages += n
	t.bytes += n * size
}

func (t *tally) entry(queue string, n int64) {
	for i := range t.queues {
		if t.queues[i].queue == queue {
			t.queues[i].n += n
			return
		}
	}
	t.queues = append(t.queues, queueCount{queue, n})
}

func (c *counts) add(t *tally) {
	c.messages.Add(t.messages)
	c.bytes.Add(t.bytes)
	for _, q := range t.queues {
		if q.n != 0 {
			c.entry(q.queue, q.n)
		}
	}
}

// Count is the number of entries in a queue; see Stats.Counted.
func (s *Spool) Count(queue string) int64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return max(0, s.counts.queues[queue])
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

// count scans what was there at Open. It gives up when the spool is closed.
func (s *Spool) count(snap *pebble.Snapshot) error {
	err := s.scanSnapshot(snap, tagMessage, func(k, v []byte) error {
		m, err := parseMessageKey(k)
		if err != nil || m.kind != kindEnvelope {
			return err
		}
		body, _, err := parseEnvelope(v)
		if err == nil {
			s.counts.message(1, body.size)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.scanSnapshot(snap, tagQueue, func(k, _ []byte) error {
		queue, _, err := parseQueueKey(k)
		if err == nil {
			s.counts.entry(queue, 1)
		}
		return err
	})
}

func (s *Spool) scanSnapshot(snap *pebble.Snapshot, tag byte, f func(k, v []byte) error) error {
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte{tag}, UpperBound: []byte{tag + 1}})
	if err != nil {
		return s.readError(err)
	}
	for ok := it.First(); ok && err == nil && !s.closed.Load(); ok = it.Next() {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			err = f(it.Key(), v)
		}
	}
	if e := it.Close(); err == nil && e != nil {
		err = s.readError(e)
	}
	return err
}
