package linkstate

import (
	"maps"
	"slices"
	"time"
)

// ward is another group of several servers with neighbours of this server in it.
//
// The members of a group watch each other, and as long as one of them lives and
// can be heard it speaks for the rest. When nothing is heard of any of them, the
// group is gone as a whole or cut off as a whole, and nobody in it can say so.
// Then, and only after a patience that leaves its own members the first word, the
// servers at the other end of its connectors speak. Whoever is accused wrongly,
// because the news takes another way than this server's streams, takes it back
// as ever, by a higher incarnation.
type ward struct {
	group   GUID
	members []GUID // sorted
	// heard is the last sign of life of any member: a frame from a neighbour in
	// the group, or a new record that one of its members made.
	heard     time.Time
	everHeard bool
	refuted   int // accusations taken back since a neighbour in it was connected
}

// wardPatience is the number of doublings of SuspectAfter before a whole group
// is accused. With the group's refutations it stays within maxRefuted.
const wardPatience = 2

func (m *Machine) setWards(now time.Time) {
	members := make(map[GUID][]GUID)
	for server, group := range m.groups {
		members[group] = append(members[group], server)
	}
	wanted := make(map[GUID]bool)
	for _, p := range m.peers {
		if group := m.groups[p.server]; !p.inGroup && len(members[group]) > 1 {
			wanted[group] = true
		}
	}
	var wards []*ward
	for _, group := range slices.SortedFunc(maps.Keys(wanted), GUID.Compare) {
		w := m.ward(group)
		if w == nil {
			w = &ward{group: group, heard: now}
		}
		w.members = slices.SortedFunc(slices.Values(members[group]), GUID.Compare)
		wards = append(wards, w)
	}
	m.wards = wards
}

func (m *Machine) ward(group GUID) *ward {
	i, ok := slices.BinarySearchFunc(m.wards, group, func(w *ward, g GUID) int { return w.group.Compare(g) })
	if !ok {
		return nil
	}
	return m.wards[i]
}

// tickWard accuses every member of a group of which nothing is heard.
func (m *Machine) tickWard(w *ward, now time.Time) {
	for _, p := range m.peers {
		if m.groups[p.server] != w.group {
			continue
		}
		if p.everHeard && (p.heard.After(w.heard) || !w.everHeard) {
			w.heard, w.everHeard = p.heard, true
		}
	}
	patience := m.timings.SuspectAfter << min(wardPatience+w.refuted, maxRefuted)
	if !w.everHeard {
		patience *= bootPatience
	}
	if now.Sub(w.heard) < patience {
		return
	}
	for _, s := range w.members {
		m.judgeMember(s, now)
	}
}

func (m *Machine) judgeMember(server GUID, now time.Time) {
	switch r := m.table.Get(server); {
	case r == nil:
		m.accuse(&Record{Server: server}, Suspect, now)
	case r.Status == Alive:
		m.accuse(r, Suspect, now)
	case r.Status == Suspect && now.Sub(later(m.table.Changed(server), m.woke)) >= m.timings.RefuteWithin:
		m.accuse(r, Down, now)
	}
}

// noteWard takes a new record as a sign of life if a member of the group made it.
func (m *Machine) noteWard(before, after *Record, now time.Time) {
	maker := after.Server
	if after.Status != Alive {
		maker = after.Accuser
	}
	w := m.ward(m.groups[maker])
	if w == nil {
		return
	}
	// Many members refute at once; that is one refutation.
	if before != nil && before.Status != Alive && after.Status == Alive && now.Sub(w.heard) >= m.timings.SuspectAfter {
		w.refuted++
	}
	w.heard, w.everHeard = now, true
}
