package linkstate

// known is what a peer is believed to have, so that changes can travel as patches.
// It is a guess where frames may be lost; a peer that has something else finds out
// by the hashes and asks.
type known struct {
	// table of this server when the peer's had the same digest; nil: not yet.
	table *Table
	// since holds what passed between the two later, and nil for a server of
	// which the peer has something else.
	since map[GUID]*row
}

// of gives the row the peer has of a server, nil if that is not known.
func (k *known) of(server GUID) *row {
	if r, noted := k.since[server]; noted {
		return r
	}
	return k.table.row(server)
}

func (k *known) note(server GUID, r *row) {
	if k.since == nil {
		k.since = make(map[GUID]*row)
	}
	k.since[server] = r
}

// same: the peer has this very table.
func (k *known) same(t *Table) { *k = known{table: t} }

// update gives the newest record of a server in the form in which the peer gets
// it, and notes that it has it from then on.
func (p *peer) update(f *Records, r *row) {
	base := p.known.of(r.record.Server)
	p.known.note(r.record.Server, r)
	if p.protocol >= ProtocolPatches && base != nil {
		if patch, ok := diff(base, r); ok {
			f.Patches = append(f.Patches, patch)
			return
		}
	}
	f.Records = append(f.Records, r.record)
}
