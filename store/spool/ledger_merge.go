package spool

import (
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// ledgerMerger adds up values of the ledger, the only keys that are merged. Its
// name is that of Pebble's own merger, which joins values: the two give values
// that mean the same, and stores of releases without a ledger have that name.
func ledgerMerger() *pebble.Merger {
	return &pebble.Merger{
		Name: pebble.DefaultMerger.Name,
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			m := &ledgerSum{}
			return m, m.MergeNewer(value)
		},
	}
}

// ledgerSum implements pebble.ValueMerger.
type ledgerSum struct{ sum postings }

// MergeNewer implements pebble.ValueMerger. A value that cannot be read is
// counted: an error here would stop the store from writing its tables.
func (m *ledgerSum) MergeNewer(value []byte) error {
	if !m.sum.parse(value) {
		m.sum.add(lineDamaged, Tally{Messages: 1})
	}
	return nil
}

// MergeOlder implements pebble.ValueMerger.
func (m *ledgerSum) MergeOlder(value []byte) error { return m.MergeNewer(value) }

// Finish implements pebble.ValueMerger.
func (m *ledgerSum) Finish(bool) ([]byte, io.Closer, error) { return m.sum.append(nil), nil, nil }
