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
	// Connections bounds those to other hosts in all, whatever virtual server sends; 0: no
	// bound.
	Connections int
}

func (a Senders) fill() Senders {
	out := Senders{Connections: max(a.Connections, 0), Default: a.Default.fill(), Own: make(map[mail.GUID]Terms, len(a.Own))}
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
	all bound // of all its connections
	// domains are those to the hosts that DNS names for a domain, while there are any.
	domains map[string]*bound
}

// set has other terms hold from now on.
func (b *sender) set(t Terms) {
	b.Terms, b.all.limit = t, t.Limits.Connections
	for _, d := range b.domains {
		d.limit = t.Limits.PerDomain
	}
}

func (b *sender) domain(name string) *bound {
	d := b.domains[name]
	if d == nil {
		d = &bound{limit: b.Limits.PerDomain}
		b.domains[name] = d
	}
	return d
}

// tidy forgets the bound of a domain that nobody has or wants connections to.
func (b *sender) tidy(name string, d *bound) {
	if d.open == 0 && len(d.line) == 0 && b.domains[name] == d {
		delete(b.domains, name)
	}
}

// sender is that of a hop.
func (s *Scheduler) sender(h mail.Hop) *sender {
	b := s.by[h.VirtualServer]
	if b == nil {
		b = &sender{domains: map[string]*bound{}}
		b.set(s.senders.of(h.VirtualServer))
		s.by[h.VirtualServer] = b
	}
	return b
}

// SetSenders changes retry clocks and limits. Links and messages that wait do so by the
// new intervals, and the age limits of messages hold at once. Connections above a lower
// limit end when they have finished their message. Limits of memory stay as they are: it is laid out.
func (s *Scheduler) SetSenders(all Senders, now int64) {
	all = all.fill()
	l := &all.Default.Limits
	l.Window, l.Held, l.Cached = s.limits.Window, s.limits.Held, s.limits.Cached
	s.senders, s.limits, s.node.limit = all, *l, all.Connections
	before := make(map[mail.GUID]Clock, len(s.by))
	for g, b := range s.by {
		before[g] = b.Clock
		b.set(all.of(g))
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
	s.letIn(s.allBounds(), now)
	for _, q := range s.sorted() {
		s.kick(q.link, now)
	}
}

// allBounds are those of the node, in an order that depends on nothing else.
func (s *Scheduler) allBounds() []*bound {
	all := []*bound{&s.node}
	for _, g := range slices.SortedFunc(maps.Keys(s.by), func(a, b mail.GUID) int { return slices.Compare(a[:], b[:]) }) {
		by := s.by[g]
		all = append(all, &by.all)
		for _, d := range slices.Sorted(maps.Keys(by.domains)) {
			all = append(all, by.domains[d])
		}
	}
	return all
}

// reclock has what waits in a queue do so by the clock of this moment; old was the one
// before.
func (s *Scheduler) reclock(q *queue, old Clock, now int64) {
	q.deadline = 0
	for _, e := range slices.Clone(q.win.all()) {
		// Not what a broken connection, or somebody's word, gave another time.
		if e.Failed != 0 && e.at == old.retries(q.rush).ready(e.Ref, now) {
			at := s.ready(q, e.Ref, now)
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
