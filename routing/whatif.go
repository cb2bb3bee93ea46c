package routing

import "slices"

// Effects are what a change of the map does to the ways of mail.
type Effects struct {
	// Ways are the pairs of groups whose mail goes another way or at another cost.
	Ways []Move
	// Spaces are the address spaces for which mail of a group leaves otherwise.
	Spaces []SpaceMove
	// CutOff are the groups that lose their last way in or out.
	CutOff []Cut
	// Takeovers are the connectors that mail would cross by other bridgeheads.
	Takeovers []Takeover
}

// Move is a pair of groups whose mail would take another way.
type Move struct {
	From, To      GUID
	Before, After Way
}

// Way is a path between groups. Cost is -1 and Path empty where there is none.
type Way struct {
	Cost int
	Path []GUID
	// Over are the connectors of the path, one for each step.
	Over []GUID
	// Held is the first connector on the path that is down and holds its mail;
	// zero if mail moves.
	Held GUID
}

// Cut is a group that had a way before and has none after.
type Cut struct {
	Group GUID
	// In: no other group reaches it; Out: it reaches no other group.
	In, Out bool
}

// WhatIf compares two maps for mail like m (nil: plain). It decides with the
// code that routes mail, for each group as one server of it sees the map. Objects
// that only one map has count as out of reach in the other. The time grows with
// the groups and the size of the map; see the benchmark.
func WhatIf(before, after Topology, m *Message) Effects {
	if m == nil {
		m = &Message{}
	}
	groups := union(&before, &after)
	spaces := spacesOf(&before, &after)
	examples := make([]string, len(spaces))
	for i, p := range spaces {
		examples[i] = p.example()
	}
	before.Self, after.Self = GUID{}, GUID{}
	was, would := Build(before), Build(after)
	have, wouldHave := fitness(&before), fitness(&after)
	var e Effects
	reach := newReach(len(groups))
	for i, from := range groups {
		one, other := speakers(have[from], wouldHave[from])
		a, b := was.seenBy(one), would.seenBy(other)
		x, y := a.treeFrom(from, m), b.treeFrom(from, m)
		for j, to := range groups {
			if i == j {
				continue
			}
			p, q := a.branchTo(x, to), b.branchTo(y, to)
			reach.note(i, j, p.open(), q.open())
			if !p.equal(q) {
				e.Ways = append(e.Ways, Move{From: from, To: to, Before: p.way(), After: q.way()})
			}
		}
		e.Spaces = append(e.Spaces, spaceMoves(a, b, from, spaces, examples, m)...)
	}
	e.CutOff = reach.cuts(groups)
	e.Takeovers = takeovers(was, would)
	return e
}

// union lists the groups of both maps, those of the first in their order.
func union(before, after *Topology) []GUID {
	var all []GUID
	seen := make(map[GUID]bool)
	for _, list := range [][]Group{before.Groups, after.Groups} {
		for _, g := range list {
			if !seen[g.GUID] {
				seen[g.GUID] = true
				all = append(all, g.GUID)
			}
		}
	}
	return all
}

// fits has the servers of one group, each with a number: 1 down, 2 drained, 3 up.
type fits map[GUID]int

// fitness gives the servers of each group.
func fitness(top *Topology) map[GUID]fits {
	out := make(map[GUID]fits)
	for i := range top.Servers {
		s := &top.Servers[i]
		if out[s.Group] == nil {
			out[s.Group] = make(fits)
		}
		switch {
		case !s.Up:
			out[s.Group][s.GUID] = 1
		case s.Drain != DrainNone:
			out[s.Group][s.GUID] = 2
		default:
			out[s.Group][s.GUID] = 3
		}
	}
	return out
}

// speakers are the servers whose view is a group's, the same one in both maps if
// it is in both: ties are broken for each server otherwise, and a tie that only
// falls to another server is no change. Servers that carry mail go first: a
// server is never barred by its own drain. Zero for a group without servers.
func speakers(x, y fits) (a, b GUID) {
	var both GUID
	best := 0
	for s, n := range x {
		if k := y[s]; k > 0 && (n+k > best || n+k == best && less(s, both)) {
			both, best = s, n+k
		}
	}
	if best > 0 {
		return both, both
	}
	return x.best(), y.best()
}

func (f fits) best() GUID {
	var one GUID
	best := 0
	for s, n := range f {
		if n > best || n == best && less(s, one) {
			one, best = s, n
		}
	}
	return one
}

// treeFrom gives the paths of messages like m from a group, nil if the map does
// not have it.
func (t *Table) treeFrom(group GUID, m *Message) *spf {
	i := t.groupIndex(group)
	switch {
	case i < 0:
		return nil
	case i == t.group:
		return t.pathsFor(m)
	}
	return t.search(&t.graph, i, filter{m: m}) // a group without servers
}

// branch is a path in a tree, as far as it needs not be written down: most of a
// million pairs are only compared.
type branch struct {
	t  *Table
	s  *spf
	to int32 // -1: no way
}

func (t *Table) branchTo(s *spf, to GUID) branch {
	i := t.groupIndex(to)
	if s == nil || i >= 0 && s.dist[i] == noPath {
		i = -1
	}
	return branch{t, s, i}
}

// open says whether mail moves.
func (b branch) open() bool { return b.to >= 0 && b.t.heldOn(b.s, b.to).IsZero() }

// equal compares what [Way] has.
func (b branch) equal(c branch) bool {
	if b.to < 0 || c.to < 0 {
		return b.to == c.to
	}
	if b.s.dist[b.to].cost() != c.s.dist[c.to].cost() || b.t.heldOn(b.s, b.to) != c.t.heldOn(c.s, c.to) {
		return false
	}
	i, j := b.to, c.to
	for i != b.s.source && j != c.s.source {
		e, f := &b.t.graph.edges[b.s.parent[i]], &c.t.graph.edges[c.s.parent[j]]
		i, j = e.from, f.from
		if b.t.top.Groups[i].GUID != c.t.top.Groups[j].GUID || b.t.top.Connectors[e.conn].GUID != c.t.top.Connectors[f.conn].GUID {
			return false
		}
	}
	return i == b.s.source && j == c.s.source
}

func (b branch) way() Way {
	if b.to < 0 {
		return Way{Cost: -1}
	}
	return Way{Cost: b.s.dist[b.to].cost(), Path: b.t.groupPath(b.s, b.to), Over: b.t.connectorsTo(b.s, b.to), Held: b.t.heldOn(b.s, b.to)}
}

// connectorsTo are the connectors of a path in their order.
func (t *Table) connectorsTo(s *spf, to int32) []GUID {
	var over []GUID
	for to != s.source {
		e := &t.graph.edges[s.parent[to]]
		over = append(over, t.top.Connectors[e.conn].GUID)
		to = e.from
	}
	slices.Reverse(over)
	return over
}

func (t *Table) groupPath(s *spf, to int32) []GUID {
	var path []GUID
	for _, g := range s.groups(&t.graph, to) {
		path = append(path, t.top.Groups[g].GUID)
	}
	return path
}

// heldOn is the first connector on a path that holds its mail.
func (t *Table) heldOn(s *spf, to int32) GUID {
	var held GUID
	for to != s.source {
		e := &t.graph.edges[s.parent[to]]
		if t.conns[e.conn].state == stateHeld {
			held = t.top.Connectors[e.conn].GUID
		}
		to = e.from
	}
	return held
}

// reach counts, for each group, the others that it reaches and is reached by.
type reach struct{ inBefore, inAfter, outBefore, outAfter []int }

func newReach(groups int) reach {
	n := make([]int, 4*groups)
	return reach{n[:groups], n[groups : 2*groups], n[2*groups : 3*groups], n[3*groups:]}
}

func (r *reach) note(from, to int, before, after bool) {
	if before {
		r.outBefore[from]++
		r.inBefore[to]++
	}
	if after {
		r.outAfter[from]++
		r.inAfter[to]++
	}
}

func (r *reach) cuts(groups []GUID) []Cut {
	var cuts []Cut
	for i, g := range groups {
		c := Cut{Group: g, In: r.inBefore[i] > 0 && r.inAfter[i] == 0, Out: r.outBefore[i] > 0 && r.outAfter[i] == 0}
		if c.In || c.Out {
			cuts = append(cuts, c)
		}
	}
	return cuts
}
