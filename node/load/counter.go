package load

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Hours is how far counts reach back, the current hour included.
const Hours = 24

// maxSeries bounds the purposes that are kept apart: 4096 of them take 4 MiB.
const maxSeries = 4096

// Purpose is what is counted apart. Either Group or Space is set: the routing
// group of the final destination, or its address space ("SMTP:*.net"). Both are
// empty for what there was no room to keep apart; an empty Connector is the
// virtual server itself. Objects are known by their names: one that is made anew
// under the same name goes on with its counts.
type Purpose struct{ Connector, Group, Space string }

func (p Purpose) compare(q Purpose) int {
	return cmp.Or(cmp.Compare(p.Connector, q.Connector), cmp.Compare(p.Group, q.Group), cmp.Compare(p.Space, q.Space))
}

// Count is messages and octets. Entered is those of them that entered the
// organisation in the node's own group; the others pass through.
type Count struct{ Messages, Bytes, Entered, EnteredBytes int64 }

func (c *Count) add(o Count) {
	c.Messages += o.Messages
	c.Bytes += o.Bytes
	c.Entered += o.Entered
	c.EnteredBytes += o.EnteredBytes
}

// Flow is the sum of the last [Hours] for one purpose.
type Flow struct {
	Purpose
	Count
}

// Counter counts. It is safe for concurrent use; the zero value is not ready, see
// [New].
type Counter struct {
	mu     sync.Mutex
	series map[Purpose]*series
	since  int64 // the hour in which counting began
	swept  int64 // the hour in which old series were looked for
	dirty  bool
}

// series is a ring of hours: the slot of an hour is its number modulo Hours.
type series struct {
	hour  [Hours]int64 // from the Unix epoch; 0: empty
	count [Hours]Count
}

// New begins to count.
func New(now time.Time) *Counter {
	return &Counter{series: make(map[Purpose]*series), since: hourOf(now)}
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// Sent counts one message of so many octets that was handed over. entered says
// that the node's own group is the first that the message has been in.
func (c *Counter) Sent(p Purpose, octets int64, entered bool, now time.Time) {
	n := Count{Messages: 1, Bytes: octets}
	if entered {
		n.Entered, n.EnteredBytes = 1, octets
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(p, hourOf(now)).put(hourOf(now), n)
	c.dirty = true
}

// of finds the series of a purpose, or makes it while there is room; then those
// without a recent hour go first, and what still finds no room shares the series
// of its connector, in the end the one without any name.
func (c *Counter) of(p Purpose, hour int64) *series {
	for _, q := range []Purpose{p, {Connector: p.Connector}, {}} {
		if s := c.series[q]; s != nil {
			return s
		}
		if len(c.series) >= maxSeries && c.swept != hour {
			c.swept = hour // looking again within the hour would find nothing
			c.forget(hour)
		}
		if len(c.series) < maxSeries || q == (Purpose{}) {
			s := new(series)
			c.series[q] = s
			return s
		}
	}
	return nil // not reached: the last purpose always has room
}

// forget drops what has no count within reach.
func (c *Counter) forget(hour int64) {
	for p, s := range c.series {
		if s.sum(hour) == (Count{}) {
			delete(c.series, p)
		}
	}
}

func (s *series) put(hour int64, n Count) {
	i := hour % Hours
	if s.hour[i] != hour {
		if s.hour[i] > hour { // the clock was set back: the newer hour stays
			return
		}
		s.hour[i], s.count[i] = hour, Count{}
	}
	s.count[i].add(n)
}

func (s *series) sum(hour int64) Count {
	var sum Count
	for i, h := range s.hour {
		if h > hour-Hours && h <= hour {
			sum.add(s.count[i])
		}
	}
	return sum
}

// Flows gives the sums of the last [Hours], sorted by purpose.
func (c *Counter) Flows(now time.Time) []Flow {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Flow
	for p, s := range c.series {
		if n := s.sum(hourOf(now)); n != (Count{}) {
			all = append(all, Flow{p, n})
		}
	}
	slices.SortFunc(all, func(a, b Flow) int { return a.compare(b.Purpose) })
	return all
}

// Since is the beginning of the time that [Counter.Flows] speaks of.
func (c *Counter) Since(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(max(c.since, hourOf(now)-Hours+1)*3600, 0)
}
