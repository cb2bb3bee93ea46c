package catalog

import (
	"sync"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// cacheEntries bounds each cache; some megabytes of decoded recipients.
const cacheEntries = 8192

// cache keeps the recipients that mail asks for again and again: a message asks
// at RCPT and once more when it is categorized. Reading and decoding costs some
// fifty times as much as finding it here (BenchmarkLookup).
type cache struct {
	mu         sync.RWMutex
	entries    map[string]*directoryv1.Object
	generation uint64 // counts changes of the catalog
}

// get also tells the generation, with which put must be called.
func (c *cache) get(key string) (o *directoryv1.Object, generation uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key], c.generation
}

// put keeps an object unless the catalog has changed since generation: it may
// have been read before the change.
func (c *cache) put(key string, o *directoryv1.Object, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if c.entries == nil {
		c.entries = make(map[string]*directoryv1.Object)
	}
	if len(c.entries) >= cacheEntries {
		// Go visits maps in random order: random replacement without any
		// bookkeeping on the way of get.
		for old := range c.entries {
			delete(c.entries, old)
			break
		}
	}
	c.entries[key] = o
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.entries)
}
