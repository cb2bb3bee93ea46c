package spool

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// SetControl keeps, durably, the octets that Control gives, in place of those it
// gave before; they belong to the spool as a whole. Errors: ErrFull, ErrFailed,
// ErrClosed, ErrInvalid of a spool that was opened to be looked at.
func (s *Spool) SetControl(b []byte) error {
	if err := s.admitInside(); err != nil {
		return err
	}
	batch := s.db.NewBatch()
	if err := batch.Set([]byte(keyControl), b, nil); err != nil {
		return err
	}
	if _, err := s.get([]byte(keyControlLost)); !errors.Is(err, ErrNotFound) {
		if err := batch.Delete([]byte(keyControlLost), nil); err != nil {
			return err
		}
	}
	return s.commitSynced(batch)
}

// Control gives what SetControl kept; nil if it never did. Errors: ErrCorrupt,
// ErrClosed.
func (s *Spool) Control() ([]byte, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	if _, err := s.get([]byte(keyControlLost)); err == nil {
		return nil, fmt.Errorf("%w: it was in a block that is lost", ErrCorrupt)
	} else if !errors.Is(err, ErrNotFound) && !unread(err) {
		return nil, err
	}
	v, closer, err := s.db.Get([]byte(keyControl))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.readError(err)
	}
	defer closer.Close()
	return bytes.Clone(v), nil
}
