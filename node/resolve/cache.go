package resolve

import (
	"sync"
	"time"
)

type question struct {
	name string // with trailing dot, lower case
	kind uint16
}

// cache keeps answers until they expire. When it is full, expired answers go
// first, then any: DNS can be asked again.
type cache struct {
	mu   sync.Mutex
	size int
	kept map[question]answer
}

func newCache(size int) *cache { return &cache{size: size, kept: map[question]answer{}} }

func (c *cache) get(q question, now time.Time) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.kept[q]
	return a, ok && now.Before(a.until)
}

func (c *cache) put(q question, a answer, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.kept[q]; !ok && len(c.kept) >= c.size {
		c.evict(now)
	}
	c.kept[q] = a
}

// sample bounds the work of one eviction.
const sample = 64

func (c *cache) evict(now time.Time) {
	looked := 0
	var last question
	for q, a := range c.kept {
		last = q
		if !now.Before(a.until) {
			delete(c.kept, q)
		}
		if looked++; looked == sample {
			break
		}
	}
	if len(c.kept) >= c.size {
		delete(c.kept, last)
	}
}
