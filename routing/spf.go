package routing

import "bytes"

// spf is the tree of best paths from one group to all others.
type spf struct {
	source int32
	dist   []metric // noPath: cannot be reached
	first  []int32  // edge out of source with which the path begins; -1 for source
	parent []int32  // edge into the group; -1 for source
	// tied: equally short paths begin with different connectors. nil where
	// nothing spreads, for then it does not matter.
	tied []bool
}

// limits of a search.
type filter struct {
	m     *Message // nil: restrictions do not count
	avoid []bool   // groups that must not be entered; nil: none
	all   bool     // connectors that are down or out of use count as well
}

// bucket is that of the message.
func (f *filter) bucket() uint8 {
	if f.m == nil {
		return 0
	}
	return f.m.Bucket
}

func (f *filter) passes(t *Table, e *edge) bool {
	n := &t.conns[e.conn]
	return (f.all || n.state.usable()) &&
		(f.avoid == nil || !f.avoid[e.to]) &&
		(f.m == nil || !n.bars || t.top.Connectors[e.conn].bars(f.m) == barNone)
}

// search is Dijkstra's algorithm with a binary heap. Each step has a metric
// above zero, so when a group is settled all groups before it on any best path
// were settled: its tie is decided among all of them, and the tree does not
// depend on the order of the input.
func (t *Table) search(g *graph, source int32, f filter) *spf {
	n := len(t.top.Groups)
	links := make([]int32, 2*n)
	s := &spf{source: source, dist: make([]metric, n), first: links[:n], parent: links[n:]}
	for i := range s.dist {
		s.dist[i], s.first[i], s.parent[i] = noPath, -1, -1
	}
	s.dist[source] = 0
	if t.classes.spreads {
		s.tied = make([]bool, n)
	}
	bucket := f.bucket()
	var h heap
	h.push(item{0, source})
	for len(h) > 0 {
		top := h.pop()
		if top.dist > s.dist[top.group] {
			continue // a better way was found since
		}
		for i, end := g.out(top.group); i < end; i++ {
			e := &g.edges[i]
			if !f.passes(t, e) {
				continue
			}
			d := top.dist.plus(e.step)
			if d > s.dist[e.to] {
				continue
			}
			first := s.first[top.group]
			if top.group == source {
				first = i
			}
			if s.tied != nil {
				s.tied[e.to] = s.tied[top.group] || d == s.dist[e.to] && (s.tied[e.to] || g.edges[first].conn != g.edges[s.first[e.to]].conn)
			}
			if d < s.dist[e.to] {
				s.dist[e.to], s.first[e.to], s.parent[e.to] = d, first, i
				h.push(item{d, e.to})
			} else if t.preferred(g, bucket, first, i, s.first[e.to], s.parent[e.to]) {
				s.first[e.to], s.parent[e.to] = first, i
			}
		}
	}
	return s
}

// preferred says whether a path with first and last edges (first, last) goes
// before an equally long one with (first2, last2).
func (t *Table) preferred(g *graph, bucket uint8, first, last, first2, last2 int32) bool {
	a, b := &g.edges[first], &g.edges[first2]
	if a.conn != b.conn {
		return t.ahead(a.conn, b.conn, bucket)
	}
	if a.to != b.to {
		return less(t.top.Groups[a.to].GUID, t.top.Groups[b.to].GUID)
	}
	a, b = &g.edges[last], &g.edges[last2]
	return less(t.top.Connectors[a.conn].GUID, t.top.Connectors[b.conn].GUID)
}

// ahead orders connectors of equal cost: those that this server may send over
// itself, those of this group, then by weight.
func (t *Table) ahead(a, b int32, bucket uint8) bool {
	if x, y := t.mine(a), t.mine(b); x != y {
		return x
	}
	if x, y := t.conns[a].group == t.group, t.conns[b].group == t.group; x != y {
		return x
	}
	if v, w := t.score(a, bucket), t.score(b, bucket); v != w {
		return v > w
	}
	return less(t.top.Connectors[a].GUID, t.top.Connectors[b].GUID)
}

func less(a, b GUID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// groups lists the path from the source to a group, both included; nil if
// there is none.
func (s *spf) groups(g *graph, to int32) []int32 {
	if s.dist[to] == noPath {
		return nil
	}
	path := []int32{to}
	for to != s.source {
		to = g.edges[s.parent[to]].from
		path = append(path, to)
	}
	for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	return path
}

// item is a group with the length of a path to it.
type item struct {
	dist  metric
	group int32
}

// heap has its least item first. container/heap would box each item.
type heap []item

func (h *heap) push(it item) {
	*h = append(*h, it)
	s := *h
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if s[up].dist <= it.dist {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = it
}

func (h *heap) pop() item {
	s := *h
	top, it := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if down+1 < len(s) && s[down+1].dist < s[down].dist {
			down++
		}
		if it.dist <= s[down].dist {
			break
		}
		s[i] = s[down]
		i = down
	}
	if len(s) > 0 {
		s[i] = it
	}
	return top
}
