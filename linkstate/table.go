package linkstate

import (
	"slices"
	"time"
)

// Table is an immutable snapshot: the newest record known of each server. Any
// number of goroutines may read it. The zero value and nil are empty tables.
type Table struct {
	rows    []*row // sorted by server; shared between tables, never changed
	digest  Hash
	version uint64
}

type row struct {
	record  *Record
	hash    Hash
	changed time.Time
	// before is the record that this one replaced, to which a patch made elsewhere
	// at the same time applies; nil if there was none.
	before     *Record
	beforeHash Hash
}

func newRow(r *Record, now time.Time, before *row) *row {
	n := &row{record: r, hash: r.Hash(), changed: now}
	if before != nil {
		n.before, n.beforeHash = before.record, before.hash
	}
	return n
}

func (r *row) get() *Record {
	if r == nil {
		return nil
	}
	return r.record
}

// formerly gives the record before as a row if it has that hash, else nil.
func (r *row) formerly(h Hash) *row {
	if r == nil || r.before == nil || r.beforeHash != h {
		return nil
	}
	return &row{record: r.before, hash: h}
}

// patched applies a patch to the record, or to the one before.
func (r *row) patched(p *Patch) (*Record, bool) {
	switch {
	case r == nil:
		return nil, false
	case r.hash.short() == p.Base:
		return p.apply(r.record)
	case r.before != nil && r.beforeHash.short() == p.Base:
		return p.apply(r.before)
	}
	return nil, false
}

// row gives the row of a server, nil if nothing is known of it.
func (t *Table) row(server GUID) *row {
	if i, ok := t.find(server); ok {
		return t.rows[i]
	}
	return nil
}

func (t *Table) find(server GUID) (int, bool) {
	if t == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(t.rows, server, func(r *row, g GUID) int { return r.record.Server.Compare(g) })
}

// Get gives the record of a server, nil if none is known.
func (t *Table) Get(server GUID) *Record {
	if i, ok := t.find(server); ok {
		return t.rows[i].record
	}
	return nil
}

// Changed is when this node last saw the server's record change; zero if no
// record is known.
func (t *Table) Changed(server GUID) time.Time {
	if i, ok := t.find(server); ok {
		return t.rows[i].changed
	}
	return time.Time{}
}

// All gives every record, sorted by server. The slice is the caller's, the
// records are not.
func (t *Table) All() []*Record {
	if t == nil {
		return nil
	}
	all := make([]*Record, len(t.rows))
	for i, r := range t.rows {
		all[i] = r.record
	}
	return all
}

// Len is the number of servers with a record.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.rows)
}

// Digest is the same on two nodes exactly if their tables hold the same
// records. It is the exclusive or of the records' hashes, so that one change
// costs one step; it guards against chance, not against an attacker, who would
// need a node's certificate to begin with.
func (t *Table) Digest() Hash {
	if t == nil {
		return Hash{}
	}
	return t.digest
}

// Version counts this node's changes of the table; it says nothing to others.
func (t *Table) Version() uint64 {
	if t == nil {
		return 0
	}
	return t.version
}

// with gives a table in which r replaces what was known of its server.
func (t *Table) with(r *Record, now time.Time) *Table {
	i, known := t.find(r.Server)
	n := &Table{digest: t.digest, version: t.version + 1}
	var fresh *row
	if known {
		n.rows = slices.Clone(t.rows)
		fresh = newRow(r, now, n.rows[i])
		n.digest.toggle(n.rows[i].hash)
		n.rows[i] = fresh
	} else {
		fresh = newRow(r, now, nil)
		n.rows = slices.Insert(slices.Clip(t.rows), i, fresh)
	}
	n.digest.toggle(fresh.hash)
	return n
}

// set is with in place, for a table that nobody else has seen yet.
func (t *Table) set(r *Record, now time.Time) {
	i, known := t.find(r.Server)
	var fresh *row
	if known {
		fresh = newRow(r, now, t.rows[i])
		t.digest.toggle(t.rows[i].hash)
		t.rows[i] = fresh
	} else {
		fresh = newRow(r, now, nil)
		t.rows = slices.Insert(t.rows, i, fresh)
	}
	t.digest.toggle(fresh.hash)
	t.version++
}

// keep gives a table without the servers that exists refuses; t itself if all stay.
func (t *Table) keep(exists func(GUID) bool) *Table {
	n := &Table{digest: t.digest, version: t.version + 1}
	for _, r := range t.rows {
		if exists(r.record.Server) {
			n.rows = append(n.rows, r)
		} else {
			n.digest.toggle(r.hash)
		}
	}
	if len(n.rows) == len(t.rows) {
		return t
	}
	return n
}

func (h *Hash) toggle(o Hash) {
	for i := range h {
		h[i] ^= o[i]
	}
}
