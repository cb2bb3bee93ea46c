package deliver

import (
	"time"
)

// The first wait for mail while answers are to come, and the longest.
const (
	restless     = 50 * time.Millisecond
	restlessMost = time.Second
)

// rest waits for mail, no longer than a connection may be idle. Nothing but the feed ends
// its wait, so while answers are to come it is asked to wait in pieces, each twice as long as the
// one before: with the answers it may be time for QUIT, which ends doubts, or mail may have
// to go over another connection. Neither can wait for mail that perhaps never comes.
func (s *session) rest() bool {
	piece := restless
	for left := s.peer.limits.Idle; left > 0 && s.healthy(); {
		d := left
		if s.expects() {
			d, piece = min(left, piece), min(2*piece, restlessMost)
		}
		began := time.Now()
		if s.feed.Wait(d) {
			return true
		}
		took := time.Since(began)
		if took < d {
			return false // the feed ends
		}
		left -= took
	}
	return false
}
