package deliver

import (
	"slices"
	"sync"
	"time"
)

const (
	shakyFor = 5 * time.Minute // how long a failed address stands behind the others
	shakyMax = 1024            // addresses remembered
)

// shakyHosts remembers addresses that failed lately, so that the next connection
// of a hop with several hosts does not begin with one that is known to be bad.
// It only orders: a shaky address is still tried when it is the last one.
type shakyHosts struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func newShakyHosts() *shakyHosts { return &shakyHosts{until: map[string]time.Time{}} }

func (s *shakyHosts) failed(address string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) >= shakyMax {
		clear(s.until) // forgetting costs one failed connection each
	}
	s.until[address] = now.Add(shakyFor)
}

func (s *shakyHosts) worked(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, address)
}

// order moves shaky endpoints behind the others, and keeps the order otherwise.
func (s *shakyHosts) order(list []endpoint, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) == 0 {
		return
	}
	rank := func(e endpoint) int {
		if s.until[e.address].After(now) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b endpoint) int { return rank(a) - rank(b) })
}
