package linkstate

import "slices"

// Patch is what a new record of a server has that is not as in the record before
// it. One change of one link then costs the same however many connectors the
// server has. A patch changes the states of connectors that the base has, and what
// stands beside them; where more differs there is no patch, and the whole record
// travels.
type Patch struct {
	Server GUID
	Base   uint64 // short hash of the record it applies to
	Hash   Hash   // of the record that comes of it

	// As in the record that comes of it.
	Incarnation uint64
	Sequence    uint64
	Status      Status
	Accuser     GUID
	Drain       Drain
	Since       int64

	Connectors []PatchedConnector // sorted by Index, each once
}

// PatchedConnector replaces the state of the connector at a place of the base's
// list. Its own Connector is not looked at.
type PatchedConnector struct {
	Index int
	State ConnectorState
}

// Diff gives the patch that makes record of base; false if there is none.
func Diff(base, record *Record) (*Patch, bool) {
	return diff(&row{record: base, hash: base.Hash()}, &row{record: record, hash: record.Hash()})
}

func diff(from, to *row) (*Patch, bool) {
	base, record := from.record, to.record
	if base.Server != record.Server || base.Version != record.Version || string(base.Unknown) != string(record.Unknown) ||
		len(base.Connectors) != len(record.Connectors) {
		return nil, false
	}
	p := &Patch{
		Server: record.Server, Base: from.hash.short(), Hash: to.hash,
		Incarnation: record.Incarnation, Sequence: record.Sequence, Status: record.Status,
		Accuser: record.Accuser, Drain: record.Drain, Since: record.Since,
	}
	for i := range record.Connectors {
		was, is := &base.Connectors[i], &record.Connectors[i]
		if was.Connector != is.Connector {
			return nil, false
		}
		if !was.equal(is) {
			p.Connectors = append(p.Connectors, PatchedConnector{i, *is})
		}
	}
	return p, true
}

// Apply makes the new record of its base; false if the base is another one, the
// patch does not fit it, or what comes of it is not what was meant, as when the
// sender's version knows of more than a patch of this version can say.
func (p *Patch) Apply(base *Record) (*Record, bool) {
	if base == nil || base.Server != p.Server || base.Hash().short() != p.Base {
		return nil, false
	}
	return p.apply(base)
}

// apply takes it that base is the right one.
func (p *Patch) apply(base *Record) (*Record, bool) {
	r := *base
	r.Incarnation, r.Sequence, r.Status = p.Incarnation, p.Sequence, p.Status
	r.Accuser, r.Drain, r.Since = p.Accuser, p.Drain, p.Since
	if len(p.Connectors) > 0 {
		r.Connectors = slices.Clone(base.Connectors)
	}
	for _, c := range p.Connectors {
		if c.Index < 0 || c.Index >= len(r.Connectors) {
			return nil, false
		}
		c.State.Connector = r.Connectors[c.Index].Connector
		r.Connectors[c.Index] = c.State
	}
	return &r, r.Hash() == p.Hash
}

// Then joins two patches of which the second applies to what comes of the first;
// false if it does not.
func (p *Patch) Then(next *Patch) (*Patch, bool) {
	if p.Server != next.Server || p.Hash.short() != next.Base {
		return nil, false
	}
	joined := *next
	joined.Base = p.Base
	joined.Connectors = slices.Clone(next.Connectors)
	for _, c := range p.Connectors {
		i, changedAgain := slices.BinarySearchFunc(joined.Connectors, c.Index, func(x PatchedConnector, index int) int { return x.Index - index })
		if !changedAgain {
			joined.Connectors = slices.Insert(joined.Connectors, i, c)
		}
	}
	return &joined, true
}

func (p *Patch) rank() rank { return rank{p.Incarnation, p.Status, p.Sequence} }

func (c *ConnectorState) equal(o *ConnectorState) bool {
	return c.Connector == o.Connector && c.Down == o.Down && c.Since == o.Since && c.Reason == o.Reason &&
		c.SuppressedUntil == o.SuppressedUntil && string(c.Unknown) == string(o.Unknown)
}
