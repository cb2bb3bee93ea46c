package spool

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// commitSynced makes a batch durable. Concurrent calls share a sync.
func (s *Spool) commitSynced(batch *pebble.Batch) (err error) {
	defer s.recoverFailure(&err)
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.db.Apply(batch, pebble.Sync); err != nil {
		return s.fail(err)
	}
	_ = batch.Close() // gives the batch back; it cannot fail once applied
	return nil
}

// commitUnsynced makes a batch visible. The log is written in order, so the
// next synced batch of anybody makes this one durable too.
func (s *Spool) commitUnsynced(batch *pebble.Batch) (err error) {
	defer s.recoverFailure(&err)
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.db.Apply(batch, pebble.NoSync); err != nil {
		return s.fail(err)
	}
	_ = batch.Close()
	return nil
}

// apply makes a batch visible and asks for its sync; wait waits for that. The
// order of batches is settled when apply returns, so locks end there.
func (s *Spool) apply(batch *pebble.Batch) (err error) {
	defer s.recoverFailure(&err)
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Spool) wait(batch *pebble.Batch) error {
	if err := batch.SyncWait(); err != nil {
		return s.fail(err)
	}
	_ = batch.Close()
	return nil
}

// usable says whether Pebble may be written to.
func (s *Spool) usable() error {
	select {
	case <-s.failed:
		return s.failure()
	default:
	}
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// readError sorts an error of a read.
func (s *Spool) readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return fmt.Errorf("spool: read: %w", err)
}
