package routing

import "slices"

// Move is a pair of groups whose mail would take another way.
type Move struct {
	From, To      GUID
	Before, After Way
}

// Way is a path between groups. Cost is -1 and Path empty where there is none.
type Way struct {
	Cost int
	Path []GUID
}

// WhatIf lists the pairs of groups between which mail like m (nil: plain) goes
// another way, or at another cost, in after than in before. It runs the same
// search as a table, once for each group of both maps. Groups that only one map
// has count as out of reach in the other.
func WhatIf(before, after Topology, m *Message) []Move {
	if m == nil {
		m = &Message{}
	}
	a, b := Build(before), Build(after)
	groups := slices.Clone(before.Groups)
	for _, g := range after.Groups {
		if a.groupIndex(g.GUID) < 0 {
			groups = append(groups, g)
		}
	}
	var moves []Move
	for _, from := range groups {
		x, y := a.from(from.GUID, m), b.from(from.GUID, m)
		for _, to := range groups {
			if from == to {
				continue
			}
			move := Move{From: from.GUID, To: to.GUID, Before: a.way(x, to.GUID), After: b.way(y, to.GUID)}
			if move.Before.Cost != move.After.Cost || !slices.Equal(move.Before.Path, move.After.Path) {
				moves = append(moves, move)
			}
		}
	}
	return moves
}

func (t *Table) from(group GUID, m *Message) *spf {
	i := t.groupIndex(group)
	if i < 0 {
		return nil
	}
	return t.search(&t.graph, i, filter{m: m})
}

func (t *Table) way(s *spf, to GUID) Way {
	i := t.groupIndex(to)
	if s == nil || i < 0 || s.dist[i] == noPath {
		return Way{Cost: -1}
	}
	w := Way{Cost: s.dist[i].cost()}
	for _, g := range s.groups(&t.graph, i) {
		w.Path = append(w.Path, t.top.Groups[g].GUID)
	}
	return w
}
