package routing

// ToAddress decides the next hop for an address outside: address type ("SMTP",
// "X400") and address; for SMTP the domain alone is enough. m may be nil, as
// for [Table.ToServer]. It does not allocate if typ is in upper and address in
// lower case and mail can move.
func (t *Table) ToAddress(typ, address string, m *Message) Decision {
	var plain Message
	if m == nil {
		m = &plain
	}
	return t.toAddress(typ, address, m, nil)
}

func (t *Table) toAddress(typ, address string, m *Message, rec *recorder) Decision {
	if t.group < 0 {
		return Decision{Kind: Unreachable, Reason: reasonOffTheMap}
	}
	typ = upperType(typ)
	address = canonical(typ, address)
	q := t.ask(m, rec)
	x := t.spaces[typ]
	if !m.Connector.IsZero() {
		if d, ok := q.travelled(x, address); ok {
			return d
		}
	}
	var stuck *level // most specific level whose connectors are all out of reach
	for cur := x.match(address); ; {
		l := cur.next()
		if l == nil {
			break
		}
		best, price, open, fallback := q.pick(l)
		if best != nil {
			return q.chosen(best, price, cur)
		}
		if open && stuck == nil {
			stuck = l
		}
		if open && !fallback {
			if rec != nil {
				rec.rest(cur, "less specific than the connectors that the mail waits for")
			}
			break
		}
	}
	if stuck != nil {
		return q.stuck(stuck)
	}
	return q.nothing(typ)
}

// pick finds the best of equally specific spaces (rules 2, 4, 5 and 6 of the
// package): nil if none can be reached. open says that the message may use at
// least one, fallback that all of those let it use a less specific one.
func (q *question) pick(l *level) (best *space, price metric, open, fallback bool) {
	t := q.t
	fallback = true
	var tied, spread bool
	for i := range l.spaces {
		s := &l.spaces[i]
		if bar := q.barred(s.conn, true); bar != barNone {
			q.seen.add(bar)
			if q.rec != nil {
				q.rec.barred(s, bar)
			}
			continue
		}
		open = true
		fallback = fallback && t.conns[s.conn].falls
		p, ok := q.price(s)
		if q.rec != nil {
			q.rec.candidate(q, s, p, ok)
		}
		if !ok {
			continue
		}
		switch spreads := t.conns[s.conn].spreads; {
		case best == nil || p < price:
			tied, spread = false, spreads
		case p == price:
			tied, spread = true, spread || spreads
		}
		if best == nil || p < price || p == price && t.ahead(s.conn, best.conn, q.m.Bucket) {
			best, price = s, p
		}
	}
	q.spread = tied && spread
	return best, price, open, fallback
}

// barred says why the message may not use a connector.
func (q *question) barred(conn int32, choosing bool) barrier {
	switch n := &q.t.conns[conn]; {
	case choosing && q.t.away(conn):
		return barScope
	case n.off != barNone:
		return n.off
	case n.bars:
		return q.t.top.Connectors[conn].bars(q.m)
	}
	return barNone
}

// price is what an address space costs from here, path included.
func (q *question) price(s *space) (metric, bool) {
	n := &q.t.conns[s.conn]
	if !n.state.usable() {
		return 0, false
	}
	d, ok := q.reach(n.group)
	if !ok {
		return 0, false
	}
	return d.plus(s.cost).plus(n.drain).price(), true
}

// travelled takes the connector that an earlier server chose, whatever its
// scope: it was in scope there, and a group in transit does not choose again.
// Not ok if it is gone, no longer serves the address or cannot be reached: then
// this server chooses anew.
func (q *question) travelled(x *spaceIndex, address string) (Decision, bool) {
	t := q.t
	conn, ok := t.connAt.get(q.m.Connector)
	if !ok || t.conns[conn].group < 0 {
		q.note("the connector chosen by an earlier server no longer exists; choosing anew")
		return Decision{}, false
	}
	var best *space
	for cur := x.match(address); ; {
		l := cur.next()
		if l == nil {
			break
		}
		for i := range l.spaces {
			if s := &l.spaces[i]; s.conn == conn && (best == nil || s.cost < best.cost) {
				best = s
			}
		}
	}
	switch {
	case best == nil:
		q.note("the connector chosen by an earlier server no longer serves the address; choosing anew")
		return Decision{}, false
	case q.barred(conn, false) != barNone:
		q.note("the message may no longer use the connector chosen by an earlier server; choosing anew")
		return Decision{}, false
	}
	price, ok := q.price(best)
	if !ok {
		q.note("the connector chosen by an earlier server cannot be reached; choosing anew")
		return Decision{}, false
	}
	if q.rec != nil {
		q.rec.candidate(q, best, price, true)
		q.rec.won = "chosen by an earlier server"
		q.rec.others(x.match(address), conn, "an earlier server chose another connector")
	}
	q.note("an earlier server chose the connector")
	return q.chosen(best, price, cursor{}), true
}

// chosen decides the next hop towards the chosen connector. rest are the levels
// that were not looked at.
func (q *question) chosen(s *space, price metric, rest cursor) Decision {
	t := q.t
	c, n := &t.top.Connectors[s.conn], &t.conns[s.conn]
	if q.rec != nil {
		q.rec.winner(s, price)
		q.rec.rest(rest, "less specific than "+t.spaceText(s))
	}
	var d Decision
	if n.group == t.group {
		d = q.here(s.conn)
	} else {
		d = q.towards(n.group)
	}
	d.Spread = d.Spread || q.spread
	d.Connector = c.GUID
	d.Cost = (price << hopBits).cost()
	return d
}

// here decides for a chosen connector of the own group.
func (q *question) here(conn int32) Decision {
	t := q.t
	n := &t.conns[conn]
	if q.rec != nil {
		q.rec.own()
		q.rec.bridgeheads(conn, false)
	}
	switch {
	case n.state == stateHeld:
		return Decision{Kind: Unreachable, Waits: t.top.Connectors[conn].GUID, Reason: t.held(conn)}
	case t.mine(conn):
		return Decision{Kind: Outbound, Via: t.top.Connectors[conn].GUID, Reason: reasonOutbound}
	}
	s := t.sides[conn]
	local := forBucket(s.local, s.localOf, q.m.Bucket)
	return Decision{Kind: ToNode, Next: local[0], NextServers: local, Spread: n.spreads && len(local) > 1, Reason: reasonToBridge}
}
