package sim

import (
	"slices"
	"time"

	"github.com/postroad/postroad/linkstate"
)

// Settled builds an organisation in which every server knows all others from
// the first moment, so that a large one can be measured without simulating its
// boot. Nothing is lost, and mail is sent only by [World.Fail].
func Settled(c Config) *World {
	w := empty(c)
	w.scripted, w.silent = true, true
	w.directory = w.organization()
	var records []*linkstate.Record
	for _, n := range w.addNodes() {
		// What the server will say of itself when it starts in this same moment.
		alone := linkstate.New(linkstate.Config{Self: n.server, Incarnation: uint64(w.now.Unix())})
		m := n.members
		m.Self = n.server
		alone.Configure(m, c.Timings, w.now)
		records = append(records, alone.Table().Get(n.server))
		n.highest = alone.Incarnation()
	}
	for i, n := range w.nodes {
		n.disk, n.savedAt = slices.Concat(records[:i], records[i+1:]), w.now
		w.start(n)
		w.trace = nil
	}
	return w
}

// Servers is how many run.
func (w *World) Servers() int { return len(w.nodes) }

// Adjacencies is how many pairs of servers keep a stream.
func (w *World) Adjacencies() int {
	ends := 0
	for _, n := range w.nodes {
		ends += len(n.stream)
	}
	return ends / 2
}

// Fail makes a message fail over the organisation's first connector that has a
// single bridgehead, and says how many hops the farthest server is from that.
func (w *World) Fail() (hops int) {
	i := slices.IndexFunc(w.directory.Connectors, func(c linkstate.ConnectorInfo) bool { return len(c.Local) == 1 })
	c := w.directory.Connectors[i]
	w.broken[c.GUID] = true
	maker := w.node(c.Local[0])
	maker.result(c.GUID, false)
	return w.farthest(maker)
}

func (w *World) farthest(from *node) int {
	at := map[linkstate.GUID]int{from.server: 0}
	line := []*node{from}
	for i := 0; i < len(line); i++ {
		for peer := range line[i].wants {
			if _, seen := at[peer]; !seen {
				at[peer] = at[line[i].server] + 1
				line = append(line, w.node(peer))
			}
		}
	}
	return at[line[len(line)-1].server]
}

// Converge lets time pass, a millisecond at a time, until all tables are the
// same, and returns how long that took; limit if it takes longer.
func (w *World) Converge(limit time.Duration) time.Duration {
	for took := time.Duration(0); took < limit; took += time.Millisecond {
		if w.same() {
			return took
		}
		if err := w.Run(time.Millisecond); err != nil {
			return limit
		}
	}
	return limit
}

func (w *World) same() bool {
	want := w.nodes[0].machine.Table().Digest()
	return !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.machine.Table().Digest() != want })
}

// Flip makes the next message over a random connector fail, or succeed if it has
// failed the last time, at one of its bridgeheads.
func (w *World) Flip() {
	c := w.directory.Connectors[w.random.IntN(len(w.directory.Connectors))]
	w.broken[c.GUID] = !w.broken[c.GUID]
	w.node(c.Local[0]).result(c.GUID, !w.broken[c.GUID])
}

// Connectors is the largest number of connectors of which one server is a bridgehead.
func (w *World) Connectors() (most int) {
	of := make(map[linkstate.GUID]int)
	for _, c := range w.directory.Connectors {
		for _, s := range c.Local {
			of[s]++
			most = max(most, of[s])
		}
	}
	return most
}
