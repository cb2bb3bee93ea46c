package spool

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Close syncs and closes. The caller has ended its calls; one that waits for
// room on a full disk is failed.
func (s *Spool) Close() error {
	if s.closed.Swap(true) {
		return ErrClosed
	}
	if s.disk.waiting.Load() > 0 {
		_ = s.fail(ErrFull)
	}
	close(s.disk.stop)
	s.tidiness.stop()
	defer s.dog.stop()
	err := s.unpinned()
	if err == nil {
		err = s.guarded(func() error { <-s.counts.done; return nil })
	}
	select {
	case <-s.failed:
		return s.failure() // Pebble would wait for what never ends
	default:
	}
	if err != nil {
		return err
	}
	if s.stalled.Load() > 0 {
		return s.leave()
	}
	err = s.closeStore()
	return errors.Join(err, s.guarded(s.lock.Close))
}

// leave closes without Pebble, which would wait for a merging that stands still.
func (s *Spool) leave() error {
	err := s.guarded(func() error { return s.db.LogData(nil, pebble.Sync) })
	s.disk.freeze()
	return errors.Join(err, s.guarded(s.lock.Close))
}

// closeStore closes Pebble, or leaves it behind if a merging stands still now: it
// would wait for that. What is not synced then may be lost without harm.
func (s *Spool) closeStore() error {
	done := make(chan error, 1)
	go func() { done <- s.guarded(s.db.Close) }()
	select {
	case err := <-done:
		return err
	case <-s.stalling:
		s.disk.freeze()
		return nil
	}
}
