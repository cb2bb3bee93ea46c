package routing

import (
	"fmt"
	"strconv"
)

// Explanation is a decision with what it was chosen from.
type Explanation struct {
	Decision
	// Candidates are, for an address outside, the connectors with a matching
	// address space, most specific first; for a mailbox in another group the
	// connectors that lead out of the own group.
	Candidates []Candidate
	// Bridgeheads of the connector that the next hop is for, preferred first.
	Bridgeheads []Ranked
	Reasons     []string
}

// Candidate is one connector that was considered.
type Candidate struct {
	Connector GUID
	// AddressSpace in its written form, "SMTP:*.net;10"; empty for a mailbox.
	AddressSpace string
	// Cost includes the path; -1: no path.
	Cost int
	// Path is the groups from the own one on.
	Path   []GUID
	Chosen bool
	// Reason says why it won or lost.
	Reason string
}

// ExplainServer decides like [Table.ToServer] and tells how.
func (t *Table) ExplainServer(server GUID, m *Message) Explanation {
	return t.explain(m, func(m *Message, rec *recorder) Decision { return t.toServer(server, m, rec) })
}

// ExplainAddress decides like [Table.ToAddress] and tells how.
func (t *Table) ExplainAddress(typ, address string, m *Message) Explanation {
	return t.explain(m, func(m *Message, rec *recorder) Decision { return t.toAddress(typ, address, m, rec) })
}

func (t *Table) explain(m *Message, decide func(*Message, *recorder) Decision) Explanation {
	if m == nil {
		m = &Message{}
	}
	rec := &recorder{t: t, bucket: m.Bucket, best: -1}
	d := decide(m, rec)
	d.Path = rec.way
	rec.compare()
	return Explanation{
		Decision:    d,
		Candidates:  rec.candidates,
		Bridgeheads: rec.ranked,
		Reasons:     append(rec.reasons, d.Reason),
	}
}

// recorder notes what a decision looks at. It decides nothing.
type recorder struct {
	t          *Table
	bucket     uint8
	candidates []Candidate
	seen       []considered // parallel to candidates
	best       int          // index of the winner; -1: none
	won        string       // why, if not by its cost
	ranked     []Ranked
	way        []GUID
	reasons    []string
}

// considered is what of a candidate is compared with the winner in the end.
type considered struct {
	conn  int32
	at    int32
	price metric
	hops  int  // of the path to a mailbox; addresses are not compared by them
	open  bool // could have won
}

func (r *recorder) add(c Candidate, s considered) {
	c.Connector = r.t.top.Connectors[s.conn].GUID
	r.candidates = append(r.candidates, c)
	r.seen = append(r.seen, s)
}

func (r *recorder) barred(s *space, bar barrier) {
	r.add(Candidate{AddressSpace: r.t.spaceText(s), Cost: -1, Reason: r.t.barText(s.conn, bar)}, considered{conn: s.conn, at: s.at})
}

func (r *recorder) candidate(q *question, s *space, price metric, ok bool) {
	c := Candidate{AddressSpace: r.t.spaceText(s), Cost: -1}
	n := &r.t.conns[s.conn]
	switch {
	case ok:
		c.Cost = (price << hopBits).cost()
		c.Path = r.names(q.tree(n.group).groups(&r.t.graph, n.group))
	case !n.state.usable():
		c.Reason = r.t.down(s.conn)
	default:
		c.Reason = q.unreachable(n.group).Reason
	}
	r.add(c, considered{conn: s.conn, at: s.at, price: price, open: ok})
}

func (r *recorder) winner(s *space, price metric) {
	for i := range r.seen {
		if w := &r.seen[i]; w.open && w.conn == s.conn && w.at == s.at && w.price == price {
			r.best = i
		}
	}
}

// rest records the levels that were not looked at any more.
func (r *recorder) rest(cur cursor, why string) { r.others(cur, -1, why) }

// others records all spaces of the levels but those of one connector.
func (r *recorder) others(cur cursor, except int32, why string) {
	for l := cur.next(); l != nil; l = cur.next() {
		for i := range l.spaces {
			s := &l.spaces[i]
			if s.conn != except {
				r.add(Candidate{AddressSpace: r.t.spaceText(s), Cost: -1, Reason: why}, considered{conn: s.conn, at: s.at})
			}
		}
	}
}

// compare says of each candidate that could have won why it did, or why not.
func (r *recorder) compare() {
	if r.best < 0 {
		return
	}
	w := r.seen[r.best]
	name := r.t.top.Connectors[w.conn].Name
	for i := range r.candidates {
		c, s := &r.candidates[i], r.seen[i]
		switch {
		case i == r.best:
			c.Chosen, c.Reason = true, orElse(r.won, "lowest cost of the connectors that can be used")
			if r.t.conns[w.conn].state == stateHeld {
				c.Reason += "; down, and it holds its mail"
			}
		case !s.open:
		case (s.price << hopBits).drains() > (w.price << hopBits).drains():
			c.Reason = "leads over drained servers or connectors"
			if r.t.top.Connectors[s.conn].Drain != DrainNone {
				c.Reason = "drained: only if nothing else is left"
			}
		case s.price > w.price:
			c.Reason = "costs " + strconv.Itoa(c.Cost) + ", " + name + " only " + strconv.Itoa(r.candidates[r.best].Cost)
		case s.hops > w.hops:
			c.Reason = "same cost as " + name + ", but more hops"
		default:
			c.Reason = "same cost as " + name + ", " + r.tie(w.conn, s.conn)
		}
	}
}

// tie says why connector a goes before b.
func (r *recorder) tie(a, b int32) string {
	x, y := &r.t.conns[a], &r.t.conns[b]
	switch {
	case a == b:
		return "which is the same connector"
	case r.t.mine(a) != r.t.mine(b):
		return "of which this server is a bridgehead"
	case (x.group == r.t.group) != (y.group == r.t.group):
		return "whose bridgeheads are in this group"
	}
	if x.spreads || y.spreads {
		return "and mail is spread over both per message"
	}
	return "which has the higher weight for this server"
}

func (r *recorder) own() { r.way = []GUID{r.t.top.Groups[r.t.group].GUID} }

func (r *recorder) path(s *spf, group int32) {
	r.way = r.names(s.groups(&r.t.graph, group))
	r.reasons = append(r.reasons, "path "+r.t.pathText(r.way)+", cost "+strconv.Itoa(s.dist[group].cost()))
}

func (r *recorder) names(path []int32) []GUID {
	if path == nil {
		return nil
	}
	out := make([]GUID, len(path))
	for i, g := range path {
		out[i] = r.t.top.Groups[g].GUID
	}
	return out
}

// bridgeheads records who sends over a connector and, when this server crosses
// it now, who receives.
func (r *recorder) bridgeheads(conn int32, crossing bool) {
	c, s := &r.t.top.Connectors[conn], r.t.sides[conn]
	locals := r.t.locals(c, nil)
	r.t.live(c, locals, r.bucket) // ranks
	chosen := r.t.top.Self
	if local := forBucket(s.local, s.localOf, r.bucket); !s.mine && len(local) > 0 {
		chosen = local[0]
	}
	r.rank(locals, chosen, s.mine, s.localOf)
	if crossing {
		remotes := r.t.remotes(c, nil)
		r.t.live(c, remotes, r.bucket)
		r.rank(remotes, forBucket(s.remote, s.remoteOf, r.bucket)[0], false, s.remoteOf)
	}
}

// rank says of each bridgehead why it is where it is; of is the ranking of each
// bucket, nil if the connector does not spread.
func (r *recorder) rank(list []Ranked, chosen GUID, self bool, of [][]GUID) {
	live := 0
	for _, b := range list {
		if b.Up {
			live++
		}
	}
	for _, b := range list {
		switch b.Chosen = b.Up && b.Server == chosen; {
		case b.Chosen && b.damped:
			b.Reason = "its link flaps, but nothing else is left"
		case b.Chosen && self:
			b.Reason = "this server"
		case of != nil && !self && live > 1 && b.Up && !b.Drained:
			b.Reason = r.shareText(b.Server, of)
		case b.Chosen:
			b.Reason = "highest weight for this server"
		case b.damped:
			b.Reason = "its link flaps: only if nothing else is left"
		case b.Up && b.Drained:
			b.Reason = "drained: only if nothing else is left"
		case b.Up && b.unheard:
			b.Reason = "nothing was heard of it yet: behind those that are known to live"
		case b.Up && self:
			b.Reason = "this server is a bridgehead itself"
		case b.Up:
			b.Reason = "lower weight for this server"
		}
		r.ranked = append(r.ranked, b)
	}
}

// shareText says which part of the messages a bridgehead gets, when each message
// is asked for by itself.
func (r *recorder) shareText(server GUID, of [][]GUID) string {
	share := 0
	for _, list := range of[1:] {
		if list[0] == server {
			share++
		}
	}
	text := fmt.Sprintf("spread per message, %d of %d", share, Buckets)
	if r.bucket == 0 {
		return text
	}
	if of[r.bucket][0] == server {
		return text + ", this one among them"
	}
	return text
}

// ways records, for a mailbox in another group, each connector out of the own
// group with the best path that begins with it.
func (r *recorder) ways(q *question, group int32) {
	t := r.t
	back := t.graph.reversed()
	avoid := make([]bool, len(t.top.Groups))
	avoid[t.group] = true
	for _, v := range q.m.Visited {
		if i, ok := t.groupAt.get(v); ok {
			avoid[i] = true
		}
	}
	tree := t.search(&back, group, filter{m: q.m, avoid: avoid})
	_, reached := q.reach(group)
	for i, end := t.graph.out(t.group); i < end; i++ {
		e := &t.graph.edges[i]
		c := Candidate{Cost: -1}
		s := considered{conn: e.conn, at: i}
		switch bar := t.top.Connectors[e.conn].bars(q.m); {
		case bar != barNone:
			c.Reason = t.barText(e.conn, bar)
		case !t.conns[e.conn].state.usable():
			c.Reason = t.down(e.conn)
		case avoid[group]:
			c.Reason = "the message has been in group " + t.top.Groups[group].Name + " before"
		case avoid[e.to]:
			c.Reason = "leads into group " + t.top.Groups[e.to].Name + ", which the message has visited"
		case tree.dist[e.to] == noPath:
			c.Reason = "no way from group " + t.top.Groups[e.to].Name + " to group " + t.top.Groups[group].Name
		default:
			d := tree.dist[e.to].plus(e.step)
			s.price, s.hops, s.open = d.price(), d.hops(), true
			c.Cost = d.cost()
			c.Path = append([]GUID{t.top.Groups[t.group].GUID}, r.onward(tree, &back, e.to)...)
			if reached && i == q.tree(group).first[group] {
				r.best = len(r.candidates)
			}
		}
		r.add(c, s)
	}
}

// onward lists the groups from one to the source of a tree over turned edges.
func (r *recorder) onward(s *spf, back *graph, from int32) []GUID {
	path := s.groups(back, from)
	out := make([]GUID, len(path))
	for i, g := range path {
		out[len(path)-1-i] = r.t.top.Groups[g].GUID
	}
	return out
}

func (t *Table) pathText(path []GUID) string {
	text := ""
	for i, g := range path {
		if i > 0 {
			text += " > "
		}
		text += t.top.Groups[t.groupIndex(g)].Name
	}
	return text
}

func (t *Table) spaceText(s *space) string {
	as := &t.top.Connectors[s.conn].AddressSpaces[s.at]
	return upperType(as.Type) + ":" + as.Pattern + ";" + strconv.Itoa(s.cost.cost())
}

// barText says why a message may not use a connector.
func (t *Table) barText(conn int32, bar barrier) string {
	c := &t.top.Connectors[conn]
	switch bar {
	case barScope:
		group := "another group"
		if g := t.conns[conn].group; g >= 0 {
			group = "group " + t.top.Groups[g].Name
		}
		return "its scope is " + group
	case barSize:
		return fmt.Sprintf("larger than its limit of %d octets", c.MaxSize)
	case barPriority:
		return "does not take messages of this priority"
	case barSystem:
		return "does not take system messages"
	case barUser:
		return "takes system messages only"
	case barSender:
		return "does not take mail of this sender"
	case barDisabled:
		return "disabled"
	case barDrained:
		return "drained"
	}
	return ""
}
