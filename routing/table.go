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

	groupAt, serverAt, connAt index

	serverGUIDs []GUID          // of top.Servers: a decision for one server needs a slice of one
	conns       []conn          // parallel to top.Connectors
	sides       map[int32]*side // of the connectors of the own group
	graph       graph

	spaces   map[string]*spaceIndex // by address type, upper case
	anywhere bool                   // a connector in scope serves SMTP:*
	limits   []int64

	classes classes
	paths   []atomic.Pointer[spf] // by class; filled on demand
	trees   *trees                // instead of paths, where edges have sender lists
	spreads bool                  // a message's bucket can make a difference
}

// conn is what Build found out about a connector.
type conn struct {
	group   int32 // of its bridgeheads; -1: unknown
	state   connState
	bars    bool // has restrictions on messages
	spreads bool // PerMessage
	scoped  bool // ScopeGroup
	falls   bool // Fallback
	off     barrier
	drain   metric
}

// side is what a connector of the own group is to this server.
type side struct {
	mine bool // this server may send over it now
	// Live bridgeheads, best first.
	local, remote []GUID
	// The same for each bucket; nil unless the connector spreads.
	localOf, remoteOf [][]GUID
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
		groupAt:     newIndex(len(top.Groups)),
		serverAt:    newIndex(len(top.Servers)),
		connAt:      newIndex(len(top.Connectors)),
		serverGUIDs: make([]GUID, len(top.Servers)),
		conns:       make([]conn, len(top.Connectors)),
		sides:       make(map[int32]*side),
	}
	for i := range top.Groups {
		t.groupAt.put(&top.Groups[i].GUID, i)
	}
	for i := range top.Servers {
		s := &top.Servers[i]
		t.serverAt.put(&s.GUID, i)
		t.serverGUIDs[i] = s.GUID
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
	t.trees, t.spreads = new(trees), t.anySpread()
	t.pathsFor(&Message{})
	return t
}

// Version is the topology's.
func (t *Table) Version() uint64 { return t.top.Version }

// Limits are the size limits of all connectors, sorted, each once: messages
// between the same two limits are routed alike.
func (t *Table) Limits() []int64 { return t.limits }

func (t *Table) groupIndex(g GUID) int32 {
	i, ok := t.groupAt.get(g)
	if !ok {
		return -1
	}
	return i
}

func (t *Table) judgeConnectors() {
	for i := range t.top.Connectors {
		c, n := &t.top.Connectors[i], &t.conns[i]
		t.connAt.put(&c.GUID, i)
		n.group = t.groupIndex(c.Group)
		n.falls, n.scoped, n.spreads = c.Fallback, c.Scope == ScopeGroup, c.Spread == PerMessage
		n.bars, n.off = c.restricts(), t.off(c)
		n.state, n.drain = t.stateOf(c, n.off)
		if n.group >= 0 && n.group == t.group {
			t.takeSide(c, int32(i))
		}
	}
}

// takeSide finds out what a connector of the own group is to this server.
func (t *Table) takeSide(c *Connector, conn int32) {
	n := &t.conns[conn]
	local, remote := t.locals(c, nil), t.remotes(c, nil)
	s := &side{mine: n.state == stateUp && mayCross(local, t.top.Self)}
	s.local, s.remote = t.live(c, local, 0), t.live(c, remote, 0)
	if n.spreads {
		s.localOf, s.remoteOf = t.spreadList(c, local), t.spreadList(c, remote)
	}
	t.sides[conn] = s
}

// mine says whether this server may send over a connector now.
func (t *Table) mine(conn int32) bool {
	n := &t.conns[conn]
	return n.group == t.group && n.group >= 0 && t.sides[conn].mine
}

// away says whether a connector is not in scope for this server.
func (t *Table) away(conn int32) bool {
	n := &t.conns[conn]
	return n.scoped && n.group != t.group
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
// It decides by what [Table.locals] and [Table.remotes] say in more words.
func (t *Table) stateOf(c *Connector, off barrier) (connState, metric) {
	if off != barNone {
		return stateOff, 0
	}
	var up, clear bool
	for i := range c.Bridgeheads {
		b := &c.Bridgeheads[i]
		if ok, drained := t.fit(b.Server); ok && (b.Up || b.Damped) {
			up, clear = true, clear || b.Up && !drained
		}
	}
	if c.Kind == RoutingGroupConnector {
		var there, clearThere bool
		for _, g := range c.Remote {
			ok, drained := t.fit(g)
			there, clearThere = there || ok, clearThere || ok && !drained
		}
		up, clear = up && there, clear && clearThere
	}
	var drain metric
	if up && !clear || c.Drain != DrainNone {
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
