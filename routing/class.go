package routing

import "slices"

// classes sorts messages by what the restrictions of inter-group connectors can
// tell apart: messages of one class see the same edges, so one tree of paths
// serves them all.
type classes struct {
	sizes      []int64 // limits of edges, sorted
	priorities bool    // some edge looks at the priority
	types      bool    // some edge looks at system or not
}

func newClasses(t *Table) classes {
	var cl classes
	for i := range t.graph.edges {
		c := &t.top.Connectors[t.graph.edges[i].conn]
		if c.MaxSize > 0 {
			cl.sizes = append(cl.sizes, c.MaxSize)
		}
		cl.priorities = cl.priorities || c.Priorities != 0
		cl.types = cl.types || c.NoSystem || c.NoUser
	}
	slices.Sort(cl.sizes)
	cl.sizes = slices.Compact(cl.sizes)
	return cl
}

func (cl *classes) number() int { return (len(cl.sizes) + 1) * 6 }

// of gives the class: 0..number()-1.
func (cl *classes) of(m *Message) int {
	size, rest := 0, 0
	if len(cl.sizes) > 0 {
		// The number of limits that the message exceeds.
		size, _ = slices.BinarySearch(cl.sizes, m.SizeBound)
	}
	if cl.priorities {
		switch {
		case m.Priority < 0:
			rest = 1
		case m.Priority > 0:
			rest = 2
		}
	}
	if cl.types && m.System {
		rest += 3
	}
	return size*6 + rest
}

// pathsFor gives the tree of paths for the message's class. Two callers may
// compute it at once; both get the same tree.
func (t *Table) pathsFor(m *Message) *spf {
	if t.group < 0 {
		return nil
	}
	at := &t.paths[t.classes.of(m)]
	if s := at.Load(); s != nil {
		return s
	}
	s := t.search(&t.graph, t.group, filter{m: m})
	at.Store(s)
	return s
}
