package linkstate

import (
	"maps"
	"slices"
	"time"
)

// Configure takes over a new truth from the directory: who exists, whose
// neighbour this server is, which connectors it has to speak for.
func (m *Machine) Configure(members Members, timings Timings, now time.Time) []Effect {
	m.timings = timings.withDefaults()
	groups := audible(members, m.conf.Self)
	var fresh []GUID
	for _, s := range slices.SortedFunc(maps.Keys(groups), GUID.Compare) {
		if _, known := m.groups[s]; !known {
			fresh = append(fresh, s)
		}
	}
	m.groups = groups
	m.forget()
	m.setPeers(members, now)
	m.setWards(now)
	m.setLinks(members.Connectors, now)
	m.publish(now)
	m.askFor(fresh)
	return m.flush()
}

// audible gives the servers of which news can come, by the directory, with their
// groups: those that streams join to this one, over others perhaps. Of the rest
// nobody here can say any more that they live, nor that they died. Everybody, for a
// server that is not in the directory itself: it has no streams at all.
func audible(members Members, self GUID) map[GUID]GUID {
	groups := make(map[GUID]GUID, len(members.Servers))
	for _, s := range members.Servers {
		groups[s.Server] = s.Group
	}
	own, exists := groups[self]
	if !exists {
		return groups
	}
	of := func(servers []GUID) (list []GUID) {
		for _, s := range servers {
			if g, known := groups[s]; known && !slices.Contains(list, g) {
				list = append(list, g)
			}
		}
		return list
	}
	joined := make(map[GUID][]GUID)
	for i := range members.Connectors {
		for _, from := range of(members.Connectors[i].Local) {
			for _, to := range of(members.Connectors[i].Remote) {
				joined[from], joined[to] = append(joined[from], to), append(joined[to], from)
			}
		}
	}
	heard := map[GUID]bool{own: true}
	for line := []GUID{own}; len(line) > 0; line = line[1:] {
		for _, g := range joined[line[0]] {
			if !heard[g] {
				heard[g] = true
				line = append(line, g)
			}
		}
	}
	maps.DeleteFunc(groups, func(_, group GUID) bool { return !heard[group] })
	return groups
}

// forget drops records of servers that the directory does not have, or has where
// nothing is heard of them.
func (m *Machine) forget() {
	kept := m.table.keep(func(server GUID) bool {
		_, exists := m.groups[server]
		return exists
	})
	if kept != m.table {
		m.table = kept
		m.changed, m.persist = true, true
	}
}

// askFor wants the records of servers that are new in the directory: a
// neighbour may have sent them before, when they were still unknown here.
func (m *Machine) askFor(servers []GUID) {
	if len(servers) == 0 {
		return
	}
	for _, p := range m.peers {
		if p.connected {
			m.emit(Send{p.server, &Want{servers}})
		}
	}
}

func (m *Machine) setPeers(members Members, now time.Time) {
	wanted := neighbours(members, m.conf.Self, m.groups)
	for _, p := range m.peers {
		if _, stays := wanted[p.server]; !stays {
			m.agree(p)
			m.emit(Disconnect{p.server})
		}
	}
	size := make(map[GUID]int)
	for _, g := range m.groups {
		size[g]++
	}
	var peers []*peer
	for _, server := range slices.SortedFunc(maps.Keys(wanted), GUID.Compare) {
		p := m.peer(server)
		if p == nil {
			p = &peer{server: server, heard: now}
			m.emit(Connect{server})
		}
		group := m.groups[server]
		p.inGroup = group == m.groups[m.conf.Self]
		watch := p.inGroup || size[group] == 1
		if watch && !p.watched && !p.connected {
			p.heard = now // the watch begins now
		}
		p.watched = watch
		p.compared = [2]Hash{}
		if r := m.table.Get(server); r != nil && r.Status == Suspect && p.suspectSince.IsZero() {
			p.suspectSince = now
		}
		peers = append(peers, p)
	}
	m.peers = peers
}

// neighbours are the other members of the group and, across every connector
// with self at one end, the servers at the other end.
func neighbours(members Members, self GUID, groups map[GUID]GUID) map[GUID]struct{} {
	wanted := make(map[GUID]struct{})
	own, exists := groups[self]
	if !exists {
		return wanted
	}
	add := func(servers []GUID) {
		for _, s := range servers {
			if _, known := groups[s]; known && s != self {
				wanted[s] = struct{}{}
			}
		}
	}
	for server, group := range groups {
		if group == own {
			add([]GUID{server})
		}
	}
	for i := range members.Connectors {
		c := &members.Connectors[i]
		if slices.Contains(c.Local, self) {
			add(c.Remote)
		}
		if slices.Contains(c.Remote, self) {
			add(c.Local)
		}
	}
	return wanted
}

func (m *Machine) setLinks(connectors []ConnectorInfo, now time.Time) {
	var links []*link
	for _, c := range connectors {
		if !slices.Contains(c.Local, m.conf.Self) {
			continue
		}
		l := m.link(c.GUID)
		if l == nil {
			l = newLink(c, now)
		}
		l.waiting = slices.Contains(m.waiting, c.GUID)
		c.Detection = c.Detection.withDefaults()
		l.info = c
		l.flaps.restore(c.Detection.Damping, now)
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b *link) int { return a.info.GUID.Compare(b.info.GUID) })
	m.links = slices.CompactFunc(links, func(a, b *link) bool { return a.info.GUID == b.info.GUID })
	for _, l := range m.links {
		switch {
		case l.down && l.info.Detection.SuppressStateChanges:
			l.fails, l.next = 0, time.Time{}
			l.rise(now)
		case l.down && l.next.IsZero():
			l.next = now // restored as down: look at once
		}
	}
}
