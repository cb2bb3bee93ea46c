package routing

import "slices"

// ToServer decides the next hop for mail whose mailbox is on a server. m may be
// nil: a small message of normal priority. It does not allocate when mail can
// move by a path that enters no visited group at the first try.
func (t *Table) ToServer(server GUID, m *Message) Decision {
	var plain Message
	if m == nil {
		m = &plain
	}
	return t.toServer(server, m, nil)
}

func (t *Table) toServer(server GUID, m *Message, rec *recorder) Decision {
	if server == t.top.Self {
		return Decision{Kind: Local, Reason: reasonSelf}
	}
	if t.group < 0 {
		return Decision{Kind: Unreachable, Reason: reasonOffTheMap}
	}
	i, ok := t.serverAt.get(server)
	if !ok {
		// The recipient names it, so the directory is being changed, or this
		// server's replica lags. Waiting is safe, a report is not.
		return Decision{Kind: Unreachable, Reason: "the home server is not in the directory"}
	}
	group := t.groupIndex(t.top.Servers[i].Group)
	switch {
	case group < 0:
		return Decision{Kind: Unreachable, Reason: "server " + t.top.Servers[i].Name + " is in no known routing group"}
	case group == t.group:
		if rec != nil {
			rec.own()
		}
		return t.neighbour(i)
	}
	q := t.ask(m, rec)
	if rec != nil {
		rec.ways(&q, group)
	}
	d, ok := q.reach(group)
	if !ok {
		return q.unreachable(group)
	}
	dec := q.towards(group)
	dec.Cost = d.cost()
	return dec
}

// neighbour decides for a server of the own group. Nobody else has its
// mailboxes, so when it is down its mail waits here; drained or not, it gets
// what is addressed to it.
func (t *Table) neighbour(i int32) Decision {
	s := &t.top.Servers[i]
	if !s.Up {
		return Decision{Kind: Unreachable, Reason: "server " + s.Name + ": " + orElse(s.Reason, "server is down")}
	}
	return Decision{Kind: ToNode, Next: s.GUID, NextServers: slices.Clip(t.serverGUIDs[i : i+1]), Reason: reasonGroup}
}
