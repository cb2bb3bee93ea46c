package routing

import "sync/atomic"

// seenBy gives the table of another server of the same map. t must be the table
// of nobody (a zero Self). It shares with t what does not depend on who asks, and
// so takes a fraction of the time of [Build].
func (t *Table) seenBy(server GUID) *Table {
	home, ok := t.serverAt.get(server)
	if !ok {
		return t
	}
	top := t.top
	top.Self = server
	if s := &t.top.Servers[home]; !s.Up || s.Unheard || s.Drain != DrainNone {
		// Only to itself such a server is up, and so may be what it carries.
		return Build(top)
	}
	for i := range top.Connectors {
		if c := &top.Connectors[i]; c.Drain == DrainHard && t.conns[i].group == t.groupIndex(t.top.Servers[home].Group) {
			// Its own bridgeheads alone still have it on their map.
			return Build(top)
		}
	}
	v := *t
	v.top, v.group = top, t.groupIndex(t.top.Servers[home].Group)
	v.sides = make(map[int32]*side)
	for i := range v.conns {
		if v.group >= 0 && v.conns[i].group == v.group {
			v.takeSide(&top.Connectors[i], int32(i))
		}
	}
	v.anywhere = v.serveAnywhere()
	v.classes.spreads = v.edgesSpread()
	v.paths, v.trees, v.spreads = make([]atomic.Pointer[spf], v.classes.number()), new(trees), v.anySpread()
	return &v
}
