package deliver

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	shakyFor = 5 * time.Minute // how long an address that did not answer stands behind the others
	// troubledFor is longer than the waits of the queues between two attempts, so that
	// the next attempt meets another host.
	troubledFor = time.Hour
	shakyMax    = 1024 // hosts remembered

	// puzzlingFor is long against the waits of the queues: each time it is over, one window of
	// messages may be sent twice.
	puzzlingFor = 24 * time.Hour
)

// shakyHosts remembers hosts that failed lately, so that the next connection of a hop
// with several hosts does not begin with one that is known to be bad. It only orders: a
// shaky host is still tried when it is the last one.
//
// An address that does not answer is bad for everybody, and for a short time, as each
// attempt goes on to the next one by itself. A host that takes the connection, and then
// has no room or goes away, ends the attempt; only the next attempt can go to another
// one, and has to (RFC 5321 section 5.1: each address is tried, and tried again). It is
// bad for this next hop alone.
type shakyHosts struct {
	mu     sync.Mutex
	until  map[shakyHost]time.Time
	puzzle map[string]time.Time // addresses, until when
}

type shakyHost struct {
	hop     string // "": all
	address string
}

func newShakyHosts() *shakyHosts {
	return &shakyHosts{until: map[shakyHost]time.Time{}, puzzle: map[string]time.Time{}}
}

// puzzled: the host left a doubt behind (see takeQuit). Mail that it may have taken has to be
// sent again, as the mail of a host that did not take it would be lost. To do so in the same way
// would leave the same doubt, at each retry until the message is returned, though it arrived
// each time. So for a while this host gets one command at a time, where an answer is to what
// was asked: whoever gives that status in earnest gets a message twice, not more often.
func (s *shakyHosts) puzzled(address string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.puzzle) >= shakyMax {
		clear(s.puzzle)
	}
	s.puzzle[address] = now.Add(puzzlingFor)
}

func (s *shakyHosts) puzzling(address string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.puzzle[address]
	if known && !until.After(now) {
		delete(s.puzzle, address)
	}
	return until.After(now)
}

// failed: the address did not answer.
func (s *shakyHosts) failed(address string, now time.Time) {
	s.note(shakyHost{address: address}, now.Add(shakyFor))
}

// troubled: the host took the connection, and no mail for a reason of its own.
func (s *shakyHosts) troubled(hop, address string, now time.Time) {
	s.note(shakyHost{hop, address}, now.Add(troubledFor))
}

func (s *shakyHosts) note(h shakyHost, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) >= shakyMax {
		clear(s.until) // forgetting costs one failed attempt each
	}
	s.until[h] = until
}

// worked: the address answered.
func (s *shakyHosts) worked(address string) { s.forget(shakyHost{address: address}) }

// eased: the host took the hop's mail.
func (s *shakyHosts) eased(hop, address string) { s.forget(shakyHost{hop, address}) }

func (s *shakyHosts) forget(h shakyHost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, h)
}

// order moves shaky endpoints behind the others, those whose trouble is longest ago
// first, and keeps the order otherwise.
func (s *shakyHosts) order(hop string, list []endpoint, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) == 0 {
		return
	}
	rank := func(e endpoint) int64 {
		var until time.Time
		if t := s.until[shakyHost{address: e.address}]; t.After(now) {
			until = t.Add(troubledFor - shakyFor) // so that both count from the failure
		}
		if t := s.until[shakyHost{hop, e.address}]; t.After(now) && t.After(until) {
			until = t
		}
		if until.IsZero() {
			return math.MinInt64
		}
		return until.UnixNano()
	}
	slices.SortStableFunc(list, func(a, b endpoint) int { return cmp.Compare(rank(a), rank(b)) })
}
