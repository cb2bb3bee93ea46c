package spool

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// metaRecord is a record that the spool keeps of itself, as it could be read before tables
// were healed.
type metaRecord struct {
	Key    []byte `json:"key"`
	Value  []byte `json:"value,omitempty"`
	Absent bool   `json:"absent,omitempty"` // there was none
}

// noteMeta notes what of the spool itself cannot be read: once the table is mended, older
// states of it would be found. What can be read goes into the record, which is on disk
// before any table is replaced: one that is lost as a whole may have had it in a part that
// was whole. What an earlier healing noted, and could not write again, stands.
func (s *Spool) noteMeta(h *healing) error {
	note := func(key []byte, lost func()) error {
		if slices.ContainsFunc(h.Meta, func(m metaRecord) bool { return bytes.Equal(m.Key, key) }) {
			return nil
		}
		v, err := s.get(key)
		switch {
		case unread(err):
			lost()
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
		h.Meta = append(h.Meta, metaRecord{Key: key, Value: v, Absent: err != nil})
		return nil
	}
	ledger := func() { h.Ledger = true }
	err := errors.Join(note([]byte(keyEpoch), func() { h.Epoch = true }), note([]byte(keySince), ledger))
	for n := 0; err == nil && n < stripes; n++ {
		err = note(appendLedgerKey(nil, n), ledger)
	}
	// Of keyControlLost a deletion says nothing where what is below it cannot be read: see
	// Control, which believes what it can read.
	return errors.Join(err, note([]byte(keyControl), func() { h.Control = true }), note([]byte(keyControlLost), func() {
		if !h.Control {
			h.Meta = append(h.Meta, metaRecord{Key: []byte(keyControlLost), Absent: true})
		}
	}))
}

// putBackMeta writes what noteMeta noted, durably, before anything else is written.
func (s *Spool) putBackMeta(h *healing) error {
	b := s.db.NewBatch()
	for _, m := range h.Meta {
		now, err := s.get(m.Key)
		switch {
		case unread(err): // in a table that is left as it was
			continue
		case err != nil && !errors.Is(err, ErrNotFound):
			return errors.Join(err, b.Close())
		case (err != nil) == m.Absent && bytes.Equal(now, m.Value):
			continue
		case m.Absent:
			err = b.Delete(m.Key, pebble.NoSync)
		default:
			err = b.Set(m.Key, m.Value, pebble.NoSync)
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if b.Empty() {
		if err := b.Close(); err != nil {
			return err
		}
	} else if err := s.commitSynced(b); err != nil {
		return err
	}
	h.Meta = nil
	if len(h.Tables) == 0 { // so there is no record
		return nil
	}
	if err := s.writeHealing(h); err != nil {
		return err
	}
	return s.fault(faultHealRestored)
}
