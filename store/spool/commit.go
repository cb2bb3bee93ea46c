package spool

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// commitSynced makes a batch durable. Concurrent calls share a sync.
func (s *Spool) commitSynced(batch *pebble.Batch) error {
	return s.commit(batch, func() error { return s.db.Apply(batch, pebble.Sync) })
}

// commitUnsynced makes a batch visible. The log is written in order, so the
// next synced batch of anybody makes this one durable too.
func (s *Spool) commitUnsynced(batch *pebble.Batch) error {
	return s.commit(batch, func() error { return s.db.Apply(batch, pebble.NoSync) })
}

func (s *Spool) commit(batch *pebble.Batch, apply func() error) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.guardedWrite(apply); err != nil {
		return err
	}
	_ = batch.Close() // gives the batch back; it cannot fail once applied
	return nil
}

// apply makes a batch visible and asks for its sync; wait waits for that. The
// order of batches is settled when apply returns, so locks end there.
func (s *Spool) apply(batch *pebble.Batch) error {
	if err := s.usable(); err != nil {
		return err
	}
	return s.guardedWrite(func() error { return s.db.ApplyNoSyncWait(batch, pebble.Sync) })
}

func (s *Spool) wait(batch *pebble.Batch) error {
	if err := s.guardedWrite(batch.SyncWait); err != nil {
		return err
	}
	_ = batch.Close()
	return nil
}

// guardedWrite is guarded for a write: one that fails ends all writing.
func (s *Spool) guardedWrite(write func() error) error {
	if err := s.guarded(write); err != nil {
		return s.fail(err)
	}
	return nil
}

// guarded runs a call of Pebble's, and leaves it behind if the storage fails
// meanwhile: it may then never return (failure.go).
func (s *Spool) guarded(call func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer s.recoverFailure(&err)
		err = call()
	}()
	select {
	case err := <-done:
		return err
	case <-s.failed:
		return s.failure()
	}
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
	if s.readOnly {
		return fmt.Errorf("%w: the spool was opened to be looked at only", ErrInvalid)
	}
	return nil
}

// readError sorts an error of a read.
func (s *Spool) readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if failed := s.Err(); failed != nil {
		return errors.Join(failed, err) // it is not the message's fault
	}
	return fmt.Errorf("%w: %w", ErrUnreadable, err)
}
