package routing

import (
	"slices"
	"sync"
	"sync/atomic"
)

// classes sorts messages by what the restrictions of inter-group connectors can
// tell apart: messages of one class see the same edges, so one tree of paths
// serves them all.
type classes struct {
	sizes      []int64 // limits of edges, sorted
	priorities bool    // some edge looks at the priority
	types      bool    // some edge looks at system or not
	// lists are the connectors of edges that look at the sender, one for each
	// pair of lists.
	lists []*Connector
	// spreads: an edge out of the own group spreads, so that among equally short
	// paths the bucket counts.
	spreads bool
}

func newClasses(t *Table) classes {
	var cl classes
	for i := range t.graph.edges {
		e := &t.graph.edges[i]
		c, n := &t.top.Connectors[e.conn], &t.conns[e.conn]
		if !n.bars {
			continue
		}
		if c.MaxSize > 0 {
			cl.sizes = append(cl.sizes, c.MaxSize)
		}
		cl.priorities = cl.priorities || c.Priorities != 0
		cl.types = cl.types || c.NoSystem || c.NoUser
		cl.addLists(c)
	}
	slices.Sort(cl.sizes)
	cl.sizes = slices.Compact(cl.sizes)
	cl.spreads = t.edgesSpread()
	return cl
}

// edgesSpread says whether a connector from the own group to another spreads.
func (t *Table) edgesSpread() bool {
	if t.group < 0 {
		return false
	}
	for i, end := t.graph.out(t.group); i < end; i++ {
		if t.conns[t.graph.edges[i].conn].spreads {
			return true
		}
	}
	return false
}

func (cl *classes) addLists(c *Connector) {
	if len(c.Accept)+len(c.Reject) == 0 {
		return
	}
	same := func(o *Connector) bool { return slices.Equal(o.Accept, c.Accept) && slices.Equal(o.Reject, c.Reject) }
	if !slices.ContainsFunc(cl.lists, same) {
		cl.lists = append(cl.lists, c)
	}
}

// number counts the classes that of can give, buckets included.
func (cl *classes) number() int {
	n := (len(cl.sizes) + 1) * 6
	if cl.spreads {
		n *= Buckets + 1
	}
	return n
}

// of gives the class: 0..number()-1. Senders are not among it.
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
	class := size*6 + rest
	if cl.spreads {
		class = class*(Buckets+1) + int(m.Bucket)
	}
	return class
}

// verdict is what the sender lists of edges say to a sender, in a form to compare:
// two sums over the lists that take its mail, so that different verdicts meet
// less often than memory fails.
type verdict struct {
	class int
	a, b  uint64
}

func (cl *classes) verdict(m *Message) verdict {
	v := verdict{class: cl.of(m)}
	for i, c := range cl.lists {
		if m.anyone || c.takes(m.Sender) {
			v.a = mix(v.a ^ uint64(i+1)*0x9e3779b97f4a7c15)
			v.b = mix(v.b + uint64(i+1)*0xd1342543de82ef95)
		}
	}
	return v
}

// maxTrees bounds the trees that are kept because of senders. Beyond it all are
// forgotten: they can be found again.
const maxTrees = 256

// trees are the paths by verdict; the map is replaced, never changed, so that
// finding one takes no lock.
type trees struct {
	mu    sync.Mutex // of writers
	known atomic.Pointer[map[verdict]*spf]
}

func (ts *trees) get(v verdict) *spf {
	if m := ts.known.Load(); m != nil {
		return (*m)[v]
	}
	return nil
}

func (ts *trees) put(v verdict, s *spf) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	next := map[verdict]*spf{v: s}
	if m := ts.known.Load(); m != nil && len(*m) < maxTrees {
		for k, x := range *m {
			next[k] = x
		}
	}
	ts.known.Store(&next)
}

// pathsFor gives the tree of paths for the message's class. Two callers may
// compute it at once; both get the same tree.
func (t *Table) pathsFor(m *Message) *spf {
	if t.group < 0 {
		return nil
	}
	if len(t.classes.lists) > 0 {
		v := t.classes.verdict(m)
		s := t.trees.get(v)
		if s == nil {
			s = t.search(&t.graph, t.group, filter{m: m})
			t.trees.put(v, s)
		}
		return s
	}
	at := &t.paths[t.classes.of(m)]
	if s := at.Load(); s != nil {
		return s
	}
	s := t.search(&t.graph, t.group, filter{m: m})
	at.Store(s)
	return s
}
