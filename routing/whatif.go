package routing

import (
	"bytes"
	"slices"
)

// Effects are what a change of the map does to the ways of mail.
type Effects struct {
	// Ways are the pairs of groups whose mail goes another way or at another cost.
	Ways []Move
	// Spaces are the address spaces for which mail of a group leaves otherwise.
	Spaces []SpaceMove
	// CutOff are the groups that lose their last way in or out.
	CutOff []Cut
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
	// Held is the first connector on the path that is down and holds its mail;
	// zero if mail moves.
	Held GUID
}

func (w Way) open() bool { return w.Cost >= 0 && w.Held.IsZero() }

func (w Way) equal(v Way) bool {
	return w.Cost == v.Cost && w.Held == v.Held && slices.Equal(w.Path, v.Path)
}

// Cut is a group that had a way before and has none after.
type Cut struct {
	Group GUID
	// In: no other group reaches it; Out: it reaches no other group.
	In, Out bool
}

// WhatIf compares two maps for mail like m (nil: plain). It decides with the
// code that routes mail: for each group a table is built as one server of it
// sees the map, so it takes the time of two tables for each group. Objects that
// only one map has count as out of reach in the other.
func WhatIf(before, after Topology, m *Message) Effects {
	if m == nil {
		m = &Message{}
	}
	groups := union(&before, &after)
	spaces := spacesOf(&before, &after)
	var e Effects
	reach := newReach(len(groups))
	for i, from := range groups {
		before.Self, after.Self = speakers(&before, &after, from)
		a, b := Build(before), Build(after)
		x, y := a.treeFrom(from, m), b.treeFrom(from, m)
		for j, to := range groups {
			if i == j {
				continue
			}
			move := Move{From: from, To: to, Before: a.way(x, to), After: b.way(y, to)}
			reach.note(i, j, &move)
			if !move.Before.equal(move.After) {
				e.Ways = append(e.Ways, move)
			}
		}
		e.Spaces = append(e.Spaces, spaceMoves(a, b, from, spaces, m)...)
	}
	e.CutOff = reach.cuts(groups)
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

// speakers are the servers whose view is a group's, the same one in both maps if
// it is in both: ties are broken for each server otherwise, and a tie that only
// falls to another server is no change. Servers that carry mail go first: a
// server is never barred by its own drain. Zero for a group without servers.
func speakers(before, after *Topology, group GUID) (a, b GUID) {
	x, y := fitness(before, group), fitness(after, group)
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
	return fittest(x), fittest(y)
}

// fitness gives each server of a group a number: 1 down, 2 drained, 3 up.
func fitness(top *Topology, group GUID) map[GUID]int {
	out := make(map[GUID]int)
	for i := range top.Servers {
		s := &top.Servers[i]
		switch {
		case s.Group != group:
		case !s.Up:
			out[s.GUID] = 1
		case s.Drain != DrainNone:
			out[s.GUID] = 2
		default:
			out[s.GUID] = 3
		}
	}
	return out
}

func fittest(of map[GUID]int) GUID {
	var one GUID
	best := 0
	for s, n := range of {
		if n > best || n == best && bytes.Compare(s[:], one[:]) < 0 {
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

func (t *Table) way(s *spf, to GUID) Way {
	i := t.groupIndex(to)
	if s == nil || i < 0 || s.dist[i] == noPath {
		return Way{Cost: -1}
	}
	return Way{Cost: s.dist[i].cost(), Path: t.groupPath(s, i), Held: t.heldOn(s, i)}
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

func (r *reach) note(from, to int, m *Move) {
	if m.Before.open() {
		r.outBefore[from]++
		r.inBefore[to]++
	}
	if m.After.open() {
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
