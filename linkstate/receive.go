package linkstate

import (
	"cmp"
	"slices"
	"time"
)

// Receive takes a frame from a connected peer; frames from others are ignored.
func (m *Machine) Receive(from GUID, f Frame, now time.Time) []Effect {
	p := m.peer(from)
	if p == nil || !p.connected {
		return nil
	}
	p.heard = now
	switch f := f.(type) {
	case *Records:
		for _, r := range f.Records {
			m.learn(r, p, now)
		}
		for _, patch := range f.Patches {
			m.learnPatch(patch, p, now)
		}
	case *Digest:
		m.compare(f, p, now)
	case *Want:
		m.answer(f, p)
	case *Keepalive:
		m.hearKeepalive(f, p, now)
	}
	return m.flush()
}

// learn merges one record and passes it on.
func (m *Machine) learn(r *Record, from *peer, now time.Time) {
	if _, exists := m.groups[r.Server]; !exists || !r.Valid() {
		return
	}
	cur := m.table.row(r.Server)
	c := 1
	if cur != nil {
		c = Compare(r, cur.record)
	}
	switch {
	case c == 0:
		from.known.note(r.Server, cur)
		from.drop(r.Server) // it has what we were about to send
	case c < 0:
		from.known.note(r.Server, newRow(r, now, nil))
		from.add(cur.record)
	case r.Server == m.conf.Self:
		from.known.note(r.Server, newRow(r, now, nil))
		m.refute(r, now)
	default:
		m.put(r, now)
		from.known.note(r.Server, m.table.row(r.Server))
		from.drop(r.Server)
		m.noteStatus(cur.get(), r, now)
		m.flood(r, from.server)
	}
}

// learnPatch merges the record that a patch makes of what is known here. Where
// that is not what the sender believed, the whole record is asked for; unless what
// is known here is newer anyway.
func (m *Machine) learnPatch(patch *Patch, from *peer, now time.Time) {
	if _, exists := m.groups[patch.Server]; !exists {
		return
	}
	cur := m.table.row(patch.Server)
	if cur != nil && cur.hash == patch.Hash {
		m.learn(cur.record, from, now) // heard by another way already
		return
	}
	if r, ok := cur.patched(patch); ok {
		m.learn(r, from, now)
		return
	}
	from.known.note(patch.Server, cur.formerly(patch.Hash))
	if cur != nil && compareRank(cur.record.rank(), patch.rank()) > 0 {
		from.add(cur.record)
		return
	}
	from.wants = append(from.wants, patch.Server)
}

// refute answers a record of this server that it did not make, or made in a
// run it has forgotten, by an incarnation above it.
func (m *Machine) refute(r *Record, now time.Time) {
	m.conf.Incarnation = max(m.conf.Incarnation, r.Incarnation) + 1
	m.publish(now)
}

// flood gathers a record for those neighbours that do not have it yet. from is
// where it came from; the machine itself if it was made here.
func (m *Machine) flood(r *Record, from GUID) {
	p := m.peer(from)
	fromGroup := p != nil && p.inGroup
	for _, to := range m.peers {
		accused := to.server == r.Server && r.Status != Alive
		switch {
		case !to.connected, to.server == from:
		case accused, !fromGroup, !to.inGroup:
			to.add(r)
		}
	}
}

// add gathers a record, in the place of an older one of the same server.
func (p *peer) add(r *Record) {
	p.drop(r.Server)
	p.pending = append(p.pending, r)
}

func (p *peer) drop(server GUID) {
	p.pending = slices.DeleteFunc(p.pending, func(r *Record) bool { return r.Server == server })
}

// resting: the table has not changed for a while, so that what differs from it is
// not just on its way. A full digest costs an entry for each server of the
// organisation.
func (m *Machine) resting(now time.Time) bool { return now.Sub(m.moved) >= m.timings.Keepalive/2 }

// compare answers a digest: the first one on a stream always, a later one that is
// bare only when the tables rest. Keep-alives notice what stays different.
func (m *Machine) compare(d *Digest, p *peer, now time.Time) {
	first := !p.met
	p.met = true
	if d.Hash == m.table.Digest() {
		p.known.same(m.table)
		return
	}
	if len(d.Entries) == 0 {
		if first || m.resting(now) {
			m.emit(Send{p.server, m.summary()})
		}
		return
	}
	theirs := d.Entries
	byServer := func(a, b DigestEntry) int { return a.Server.Compare(b.Server) }
	if !slices.IsSortedFunc(theirs, byServer) {
		theirs = slices.SortedFunc(slices.Values(theirs), byServer)
	}
	p.known.same(m.table) // but for the differences
	rows := m.table.rows
	for i, j := 0, 0; i < len(rows) || j < len(theirs); {
		switch order := side(rows, i, theirs, j); {
		case order < 0:
			p.known.note(rows[i].record.Server, nil)
			p.pending = append(p.pending, rows[i].record)
			i++
		case order > 0:
			if _, exists := m.groups[theirs[j].Server]; exists {
				p.wants = append(p.wants, theirs[j].Server)
			}
			j++
		default:
			c := compareEntry(rows[i], theirs[j])
			if c != 0 {
				p.known.note(theirs[j].Server, nil)
			}
			if c > 0 {
				p.pending = append(p.pending, rows[i].record)
			}
			if c < 0 {
				p.wants = append(p.wants, theirs[j].Server)
			}
			i, j = i+1, j+1
		}
	}
}

// side says which of two sorted lists has the next server: ours (negative),
// theirs (positive) or both.
func side(rows []*row, i int, theirs []DigestEntry, j int) int {
	switch {
	case i == len(rows):
		return 1
	case j == len(theirs):
		return -1
	}
	return rows[i].record.Server.Compare(theirs[j].Server)
}

func compareEntry(r *row, e DigestEntry) int {
	return cmp.Or(
		compareRank(r.record.rank(), rank{e.Incarnation, e.Status, e.Sequence}),
		cmp.Compare(r.hash.short(), e.Hash),
	)
}

// summary is the full digest of the table.
func (m *Machine) summary() *Digest {
	d := &Digest{Hash: m.table.Digest(), Entries: make([]DigestEntry, len(m.table.rows))}
	for i, r := range m.table.rows {
		d.Entries[i] = DigestEntry{r.record.Server, r.record.Incarnation, r.record.Sequence, r.record.Status, r.hash.short()}
	}
	return d
}

func (m *Machine) answer(w *Want, p *peer) {
	for _, s := range w.Servers {
		p.known.note(s, nil) // a patch would not do
		if r := m.table.Get(s); r != nil {
			p.add(r)
		}
	}
}

// hearKeepalive notices tables that differ though neither changes any more: a
// delta was lost on the way. The higher of the two asks, once for each pair of
// hashes, since tables may differ for good while two directories do.
func (m *Machine) hearKeepalive(k *Keepalive, p *peer, now time.Time) {
	ours := m.table.Digest()
	if k.Hash == ours {
		p.known.same(m.table)
	}
	m.watchDifference(k.Hash, p, now)
	rest := k.Hash == p.theirs && ours == p.ours
	p.theirs, p.ours = k.Hash, ours
	pair := [2]Hash{ours, k.Hash}
	if !rest || k.Hash == ours || p.compared == pair || m.conf.Self.Compare(p.server) < 0 {
		return
	}
	p.compared = pair
	m.emit(Send{p.server, &Digest{Hash: ours}})
}

// watchDifference raises an alarm when a peer's table differs for long. Records
// that are on their way make another difference with each keep-alive; one that
// stays the same is not on its way.
func (m *Machine) watchDifference(theirs Hash, p *peer, now time.Time) {
	difference := m.table.Digest()
	difference.toggle(theirs)
	switch {
	case difference == Hash{}:
		m.agree(p)
	case p.difference != difference:
		p.difference, p.since = difference, now
	case !p.diverged && now.Sub(p.since) >= m.timings.DivergedAfter:
		p.diverged = true
		m.emit(Diverged{p.server, p.since})
	}
}

// agree ends a difference.
func (m *Machine) agree(p *peer) {
	p.difference = Hash{}
	if p.diverged {
		p.diverged = false
		m.emit(Diverged{Peer: p.server})
	}
}

// maxPostponed bounds how often a comparison waits for the table to rest.
const maxPostponed = 12

// antiEntropy compares with one random neighbour from time to time, whatever
// the keep-alives said.
func (m *Machine) antiEntropy(now time.Time) {
	if now.Before(m.nextAntiEntropy) {
		return
	}
	first := m.nextAntiEntropy.IsZero()
	if !first && !m.resting(now) && m.postponed < maxPostponed {
		m.postponed++
		m.nextAntiEntropy = now.Add(m.timings.Keepalive)
		return
	}
	m.postponed = 0
	spread := time.Duration(m.random(int(m.timings.AntiEntropy / 5)))
	m.nextAntiEntropy = now.Add(m.timings.AntiEntropy - m.timings.AntiEntropy/10 + spread)
	if first {
		return
	}
	var up []*peer
	for _, p := range m.peers {
		if p.connected {
			up = append(up, p)
		}
	}
	if len(up) > 0 {
		m.emit(Send{up[m.random(len(up))].server, &Digest{Hash: m.table.Digest()}})
	}
}
