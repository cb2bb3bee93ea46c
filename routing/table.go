package routing

import (
	"slices"
	"sync/atomic"
)

// Table answers where mail goes next. It is immutable to its users and safe for
// any number of them at once; inside it remembers the paths of each class of
// messages when the first of the class asks.
type Table struct {
	top   Topology
	group int32 // index of the own group; -1: off the map

	groupAt  map[GUID]int32
	serverAt map[GUID]int32
	connAt   map[GUID]int32

	serverGUIDs []GUID // of top.Servers: a decision for one server needs a slice of one
	conns       []conn // parallel to top.Connectors
	graph       graph

	spaces   map[string]*spaceIndex // by address type, upper case
	anywhere bool                   // a connector in scope serves SMTP:*
	limits   []int64

	classes classes
	paths   []atomic.Pointer[spf] // by class; filled on demand
}

// conn is what Build found out about a connector.
type conn struct {
	group  int32 // of its bridgeheads; -1: unknown
	state  connState
	mine   bool // this server may send over it now
	bars   bool // has restrictions on messages
	away   bool // not in scope for this server
	falls  bool // Fallback
	off    barrier
	drain  metric
	weight uint64 // Weight(self, connector)
	// Live bridgeheads, best first; only for connectors of the own group.
	local, remote []GUID
}

// connState is how a connector takes part in decisions.
type connState uint8

const (
	stateUp   connState = iota
	stateHeld           // down, but mail is to wait for it
	stateDown           // down: as if it were not there
	stateOff            // taken out of use by an administrator
)

// usable: paths may lead over it.
func (s connState) usable() bool { return s <= stateHeld }

// Build makes the table of a topology. What is wrong in the topology (objects
// of unknown groups, connectors without bridgeheads) takes no part in decisions.
// It takes time in proportion to the map; see the benchmark.
func Build(top Topology) *Table {
	if len(top.Groups) > maxGroups {
		top.Groups = top.Groups[:maxGroups]
	}
	t := &Table{
		top:         top,
		group:       -1,
		groupAt:     make(map[GUID]int32, len(top.Groups)),
		serverAt:    make(map[GUID]int32, len(top.Servers)),
		connAt:      make(map[GUID]int32, len(top.Connectors)),
		serverGUIDs: make([]GUID, len(top.Servers)),
		conns:       make([]conn, len(top.Connectors)),
	}
	for i := range top.Groups {
		t.groupAt[top.Groups[i].GUID] = int32(i)
	}
	for i := range top.Servers {
		s := &top.Servers[i]
		t.serverAt[s.GUID], t.serverGUIDs[i] = int32(i), s.GUID
		if s.GUID == top.Self {
			t.group = t.groupIndex(s.Group)
		}
	}
	t.judgeConnectors()
	t.graph = newGraph(t)
	t.indexSpaces()
	t.limits = t.sizeLimits()
	t.classes = newClasses(t)
	t.paths = make([]atomic.Pointer[spf], t.classes.number())
	t.pathsFor(&Message{})
	return t
}

// Version is the topology's.
func (t *Table) Version() uint64 { return t.top.Version }

// Limits are the size limits of all connectors, sorted, each once: messages
// between the same two limits are routed alike.
func (t *Table) Limits() []int64 { return t.limits }

func (t *Table) groupIndex(g GUID) int32 {
	if i, ok := t.groupAt[g]; ok {
		return i
	}
	return -1
}

func (t *Table) judgeConnectors() {
	var local, remote []Ranked
	for i := range t.top.Connectors {
		c, n := &t.top.Connectors[i], &t.conns[i]
		t.connAt[c.GUID] = int32(i)
		n.group = t.groupIndex(c.Group)
		n.falls, n.off = c.Fallback, c.off()
		n.bars = c.MaxSize > 0 || c.Priorities != 0 || c.NoSystem || c.NoUser
		local, remote = t.locals(c, local[:0]), t.remotes(c, remote[:0])
		n.state, n.drain = stateOf(c, local, remote)
		t.takeSide(c, n, local, remote)
	}
}

// takeSide finds out what a connector is to this server; the bridgeheads are
// looked at only for connectors of the own group.
func (t *Table) takeSide(c *Connector, n *conn, local, remote []Ranked) {
	n.weight = Weight(t.top.Self, c.GUID)
	n.away = c.Scope == ScopeGroup && n.group != t.group
	if n.group >= 0 && n.group == t.group {
		n.mine = n.state == stateUp && mayCross(local, t.top.Self)
		n.local, n.remote = t.live(local), t.live(remote)
	}
}

// mayCross says whether this server sends over a connector itself: if it is a
// bridgehead that can, and its link does not flap while another one's is well.
func mayCross(local []Ranked, self GUID) bool {
	i := slices.IndexFunc(local, func(r Ranked) bool { return r.Up && r.Server == self })
	if i < 0 {
		return false
	}
	_, clear := anyUp(local)
	return !local[i].damped || !clear
}

// stateOf joins what the bridgeheads say: one live bridgehead on each side
// keeps a connector up; if only drained ones are left it is a drained connector.
func stateOf(c *Connector, local, remote []Ranked) (connState, metric) {
	if c.off() != barNone {
		return stateOff, 0
	}
	up, clear := anyUp(local)
	if c.Kind == RoutingGroupConnector {
		u, cl := anyUp(remote)
		up, clear = up && u, clear && cl
	}
	var drain metric
	if up && !clear || c.Drain == DrainSoft {
		drain = oneDrain
	}
	switch {
	case up:
		return stateUp, drain
	case c.OnLinkDown == Hold:
		return stateHeld, drain
	}
	return stateDown, drain
}

// anyUp says whether one is up, and whether one is up and not drained.
func anyUp(list []Ranked) (up, clear bool) {
	for i := range list {
		up = up || list[i].Up
		clear = clear || list[i].Up && !list[i].Drained
	}
	return up, clear
}

func (t *Table) sizeLimits() []int64 {
	var limits []int64
	for i := range t.top.Connectors {
		if l := t.top.Connectors[i].MaxSize; l > 0 {
			limits = append(limits, l)
		}
	}
	slices.Sort(limits)
	return slices.Compact(limits)
}
