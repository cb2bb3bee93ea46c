package routing

import (
	"slices"
	"sync/atomic"
)

// seenBy gives the table of another server of the same map. t must be the table
// of nobody (a zero Self). It shares with t what does not depend on who asks, and
// so takes a fraction of the time of [Build].
func (t *Table) seenBy(server GUID) *Table {
	i, ok := t.serverAt[server]
	if !ok {
		return t
	}
	top := t.top
	top.Self = server
	if s := &t.top.Servers[i]; !s.Up || s.Drain != DrainNone {
		// Only to itself such a server is up, and so may be what it carries.
		return Build(top)
	}
	v := *t
	v.top, v.group = top, t.groupIndex(t.top.Servers[i].Group)
	v.conns = slices.Clone(t.conns)
	var local, remote []Ranked
	for i := range v.conns {
		c, n := &top.Connectors[i], &v.conns[i]
		if n.group == v.group {
			local, remote = v.locals(c, local[:0]), v.remotes(c, remote[:0])
		}
		v.takeSide(c, n, local, remote)
	}
	v.anywhere = v.serveAnywhere()
	v.paths = make([]atomic.Pointer[spf], v.classes.number())
	return &v
}
