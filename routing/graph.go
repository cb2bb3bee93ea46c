package routing

// graph holds the edges between groups, those of each group in one run.
type graph struct {
	start []int32 // start[g]..start[g+1] are the edges out of group g
	edges []edge
}

// edge is one target of a connector.
type edge struct {
	conn, from, to int32
	step           metric
}

// out gives the edges out of a group, as indexes into edges.
func (g *graph) out(group int32) (first, end int32) { return g.start[group], g.start[group+1] }

func newGraph(t *Table) graph {
	number := 0
	for i := range t.top.Connectors {
		number += len(t.top.Connectors[i].Targets)
	}
	list := make([]edge, 0, number)
	for i := range t.top.Connectors {
		c, n := &t.top.Connectors[i], &t.conns[i]
		for _, e := range c.Targets {
			to := t.groupIndex(e.Group)
			if n.group < 0 || to < 0 || to == n.group {
				continue
			}
			list = append(list, edge{conn: int32(i), from: n.group, to: to, step: costMetric(e.Cost) + n.drain + oneHop})
		}
	}
	return newRuns(list, len(t.top.Groups))
}

// newRuns sorts edges by their source, keeping their order otherwise.
func newRuns(list []edge, groups int) graph {
	g := graph{start: make([]int32, groups+1), edges: make([]edge, len(list))}
	for _, e := range list {
		g.start[e.from+1]++
	}
	for i := range groups {
		g.start[i+1] += g.start[i]
	}
	next := append([]int32(nil), g.start...)
	for _, e := range list {
		g.edges[next[e.from]] = e
		next[e.from]++
	}
	return g
}

// reversed turns all edges round, so that one run of the path search gives the
// way from everywhere to one group.
func (g *graph) reversed() graph {
	list := make([]edge, len(g.edges))
	for i, e := range g.edges {
		e.from, e.to = e.to, e.from
		list[i] = e
	}
	return newRuns(list, len(g.start)-1)
}
