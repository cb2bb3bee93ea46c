package routing

import "slices"

// question is one decision in the making. It lives on the stack of its caller;
// what it computes beyond the table's trees is for messages that cannot take
// the plain way.
type question struct {
	t   *Table
	m   *Message
	rec *recorder // nil: decide only

	live *spf // paths for messages of this class
	// detour holds the paths that enter no visited group; nil: not needed yet.
	detour *spf
	// configured, unrestricted and unlimited hold the paths if all connectors
	// were up: for the message, for any message, for a message without a size, for
	// one that every sender may send.
	configured, unrestricted, unlimited, anyones *spf

	seen   barriers // why connectors were dropped
	spread bool     // equally cheap connectors were told apart by the bucket
}

// barriers is a set of barrier values.
type barriers uint16

func (b *barriers) add(x barrier)     { *b |= 1 << x }
func (b barriers) has(x barrier) bool { return b&(1<<x) != 0 }
func (b barriers) only(x barrier) bool {
	return b == 1<<x
}
func (b barriers) without(x barrier) barriers { return b &^ (1 << x) }

// ask is where each decision begins. A nil message is a plain one.
func (t *Table) ask(m *Message, rec *recorder) question {
	return question{t: t, m: m, rec: rec, live: t.pathsFor(m)}
}

// tree gives the best paths that this message may take to a group.
func (q *question) tree(group int32) *spf {
	if q.detour != nil {
		return q.detour
	}
	if len(q.m.Visited) == 0 || !q.revisits(q.live, group) {
		return q.live
	}
	avoid := make([]bool, len(q.t.top.Groups))
	for _, g := range q.m.Visited {
		if i, ok := q.t.groupAt.get(g); ok {
			avoid[i] = true
		}
	}
	q.detour = q.t.search(&q.t.graph, q.t.group, filter{m: q.m, avoid: avoid})
	return q.detour
}

// revisits says whether the path to a group enters one that the message has
// visited.
func (q *question) revisits(s *spf, group int32) bool {
	if s.dist[group] == noPath {
		return false
	}
	for group != s.source {
		if slices.Contains(q.m.Visited, q.t.top.Groups[group].GUID) {
			return true
		}
		group = q.t.graph.edges[s.parent[group]].from
	}
	return false
}

// reach gives the length of the best path to a group.
func (q *question) reach(group int32) (metric, bool) {
	if group == q.t.group {
		return 0, true
	}
	d := q.tree(group).dist[group]
	return d, d != noPath
}

// towards decides the next hop on the way to another group, which the caller
// knows to be in reach.
func (q *question) towards(group int32) Decision {
	t := q.t
	tree := q.tree(group)
	e := &t.graph.edges[tree.first[group]]
	c, n, s := &t.top.Connectors[e.conn], &t.conns[e.conn], t.sides[e.conn]
	if q.rec != nil {
		q.rec.path(tree, group)
		q.rec.bridgeheads(e.conn, s.mine && c.Kind == RoutingGroupConnector)
	}
	tied := tree.tied != nil && tree.tied[group]
	switch {
	case n.state == stateHeld:
		return Decision{Kind: Unreachable, Spread: tied, Waits: t.top.Connectors[e.conn].GUID, Reason: t.held(e.conn)}
	case s.mine && c.Kind == RoutingGroupConnector:
		remote := forBucket(s.remote, s.remoteOf, q.m.Bucket)
		return Decision{
			Kind: ToNode, Next: remote[0], NextServers: remote,
			NextGroup: t.top.Groups[e.to].GUID, Via: c.GUID, Spread: tied || n.spreads && len(remote) > 1, Reason: reasonCross,
		}
	case s.mine:
		return Decision{Kind: Outbound, NextGroup: t.top.Groups[e.to].GUID, Via: c.GUID, Spread: tied, Reason: reasonCross}
	}
	local := forBucket(s.local, s.localOf, q.m.Bucket)
	return Decision{Kind: ToNode, Next: local[0], NextServers: local, Spread: tied || n.spreads && len(local) > 1, Reason: reasonHandOver}
}
