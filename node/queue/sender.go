package queue

import (
	"maps"
	"slices"

	"github.com/postroad/postroad/node/mail"
)

// Terms are what a virtual server says of the links by which it sends.
type Terms struct {
	Clock Clock
	// Limits of connections; its other fields are those of the whole node.
	Limits Limits
}

func (t Terms) fill() Terms { return Terms{Clock: t.Clock.fill(), Limits: t.Limits.fill()} }

// Senders are the terms of all virtual servers of a node. Hops that name none of Own
// are sent by Default: so is what does not leave the node.
type Senders struct {
	Default Terms
	Own     map[mail.GUID]Terms
}

func (a Senders) fill() Senders {
	out := Senders{Default: a.Default.fill(), Own: make(map[mail.GUID]Terms, len(a.Own))}
	for g, t := range a.Own {
		out.Own[g] = t.fill()
	}
	return out
}

func (a Senders) of(g mail.GUID) Terms {
	if t, ok := a.Own[g]; ok {
		return t
	}
	return a.Default
}

// sender is one virtual server with what its links have of its connections. It lives as
// long as the scheduler, since links and connections point to it.
type sender struct {
	Terms
	conns int // open ones
	// domains counts those to hosts that DNS names for a domain.
	domains map[string]int
	starved []*link // wait for a connection to become free, in order
}

// full says whether all connections are in use.
func (b *sender) full() bool { return b.conns >= b.Limits.Connections }

// sender is that of a hop.
func (s *Scheduler) sender(h mail.Hop) *sender {
	b := s.by[h.VirtualServer]
	if b == nil {
		b = &sender{Terms: s.senders.of(h.VirtualServer), domains: map[string]int{}}
		s.by[h.VirtualServer] = b
	}
	return b
}

// open counts a connection that begins, and shed one that ended.
func (s *Scheduler) open(c *conn) {
	b := c.link.by
	s.conns[c.id], c.link.conns[c.id] = c, c
	b.conns++
	if c.domain != "" {
		b.domains[c.domain]++
	}
}

func (s *Scheduler) shed(c *conn) {
	b := c.link.by
	delete(s.conns, c.id)
	delete(c.link.conns, c.id)
	b.conns--
	if c.domain == "" {
		return
	}
	if b.domains[c.domain]--; b.domains[c.domain] == 0 {
		delete(b.domains, c.domain)
	}
}

// SetSenders changes retry clocks and limits. Links and messages that wait do so by the
// new intervals, and the age limits of messages hold at once. Connections above a lower
// limit end when their work is done. Limits of memory stay as they are: it is laid out.
func (s *Scheduler) SetSenders(all Senders, now int64) {
	all = all.fill()
	l := &all.Default.Limits
	l.Window, l.Held, l.Cached = s.limits.Window, s.limits.Held, s.limits.Cached
	s.senders, s.limits = all, *l
	before := make(map[mail.GUID]Clock, len(s.by))
	for g, b := range s.by {
		before[g] = b.Clock
		b.Terms = all.of(g)
	}
	for _, k := range slices.Sorted(maps.Keys(s.links)) {
		if l := s.links[k]; l.next > now {
			s.await(l, now)
		}
	}
	for _, q := range s.sorted() {
		old, known := before[q.hop.VirtualServer]
		if !known {
			old = s.sender(q.hop).Clock
		}
		s.reclock(q, old, now)
		// A new limit is no news of the next hop, but may have room for it to show.
		q.link.concurrency.window = min(max(q.link.concurrency.window, firstWindow), s.perLink(q.link))
	}
	for _, g := range slices.SortedFunc(maps.Keys(s.by), func(a, b mail.GUID) int { return slices.Compare(a[:], b[:]) }) {
		s.feedStarved(s.by[g], now)
	}
	for _, q := range s.sorted() {
		s.kick(q.link, now)
	}
}

// reclock has what waits in a queue do so by the clock of this moment; old was the one
// before.
func (s *Scheduler) reclock(q *queue, old Clock, now int64) {
	q.deadline = 0
	for _, e := range slices.Clone(q.win.all()) {
		// Not what a broken connection, or somebody's word, gave another time.
		if e.Failed != 0 && e.at == old.retries(q.rush).ready(e.Ref) {
			at := s.ready(q, e.Ref)
			q.early = q.early || q.more && at < e.at
			s.reset(e, at)
		}
		s.watch(e)
	}
	s.poke(q, now)
}

// clock is that of a hop.
func (r *Runner) clock(h mail.Hop) Clock {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sched.sender(h).Clock
}

// SetSenders changes retry clocks and limits; see [Scheduler.SetSenders].
func (r *Runner) SetSenders(all Senders) {
	r.do(func(now int64) { r.sched.SetSenders(all, now) })
}
