package spool

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Two calls of Pebble that only read wait for the lock of its manifest: the end of
// a snapshot, which looks for tables to merge, and Metrics. That lock is held while
// the manifest is written, which on a disk without room lasts until there is some,
// and on one that froze for ever. So they run in goroutines of their own, and
// nobody waits for them but Close, while there is hope.

// snapshot gives the store as it is now. The caller ends with release, and ok says
// whether there is one: not after Close.
func (s *Spool) snapshot() (snap *pebble.Snapshot, release func(), ok bool) {
	if s.closed.Load() || !s.pins.TryRLock() {
		return nil, nil, false
	}
	snap = s.db.NewSnapshot()
	return snap, func() {
		go func() {
			defer s.pins.RUnlock()
			_ = snap.Close() // never an error
		}()
	}, true
}

// unpinned waits until nobody uses the store besides its callers, for good.
func (s *Spool) unpinned() error {
	return s.guarded(func() error { s.pins.Lock(); return nil })
}

// usageWait is how long a caller waits for a measurement.
const usageWait = time.Second

// used is the size of all files in octets; the last known if that cannot be
// measured now.
func (s *Spool) used() uint64 {
	if s.usable() != nil || !s.measuring.CompareAndSwap(false, true) {
		return s.usage.Load()
	}
	if !s.pins.TryRLock() {
		return s.usage.Load()
	}
	done := make(chan struct{})
	go func() {
		defer s.pins.RUnlock()
		m := s.db.Metrics()
		s.usage.Store(m.DiskSpaceUsage() + s.files.used())
		s.measuring.Store(false)
		close(done)
		s.tidy(int64(m.Total().TablesSize))
	}()
	limit := time.NewTimer(usageWait)
	defer limit.Stop()
	select {
	case <-done:
	case <-s.failed:
	case <-limit.C:
	}
	return s.usage.Load()
}
