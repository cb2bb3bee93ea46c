package queue

import (
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Connections to other hosts are bounded three times: those of the node, of the virtual
// server that sends, and of the domain whose hosts DNS names. Each of these sets is part
// of the one before it, so that a connection that ends makes room in all that it was in.
//
// A link that finds no room stands in line at the first bound that is full, the
// narrowest first. Room goes to the link with the fewest connections, and of equals to
// the one that has waited longest, whatever bound that stands at. While a link without any
// connection stands in line, others make room for it: an idle connection ends at once, one of
// a link that has more than its share when it has finished its message, and the only one
// of a link when it has had its turn.

// turn is how long (ms) the only connection of a link keeps its place, from its first
// message on, while links without one stand in line.
const turn = int64(10 * time.Second / time.Millisecond)

// bound is one such limit and who shares it.
type bound struct {
	limit  int // 0: none
	open   int
	idle   int // of open
	giving int // of open: they end to make room
	links  int // that have any of them
	// bare are the links in line that have no connection.
	bare int
	line line
}

func (b *bound) full() bool { return b.limit > 0 && b.open >= b.limit }

// over says whether more are open than a limit allows that has become lower.
func (b *bound) over() bool { return b.limit > 0 && b.open-b.giving > b.limit }

// wanted says whether links without a connection stand in line for whom nobody makes
// room yet.
func (b *bound) wanted() bool { return b.full() && b.bare > b.giving }

// line is a heap of the links that stand at one bound, whose turn is next first.
type line []*link

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return l[i].before(l[j]) }

func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}

// Push implements heap.Interface; use [Scheduler.lineUp].
func (l *line) Push(x any) {
	k := x.(*link)
	k.place = len(*l)
	*l = append(*l, k)
}

// Pop implements heap.Interface; use [Scheduler.leaveLine].
func (l *line) Pop() any {
	old := *l
	k := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return k
}

func (l *link) before(o *link) bool {
	if l.open != o.open {
		return l.open < o.open
	}
	return l.ticket < o.ticket
}

// dials says whether a hop is another host that is reached over the network: mailboxes
// and folders of this server have no part in the bounds.
func dials(h mail.Hop) bool { return remote(h) && h.Kind != mail.HopDrop }

// Connections is how those to other hosts stand.
type Connections struct {
	Open  int
	Limit int // 0: none
	// Waiting are the links with mail that want one more connection than there is room for.
	Waiting int
}

// Connections counts those to other hosts.
func (s *Scheduler) Connections() Connections {
	return Connections{Open: s.node.open, Limit: s.node.limit, Waiting: s.inLine}
}

// Connections counts those to other hosts.
func (r *Runner) Connections() Connections {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sched.Connections()
}

// boundsOf are those of a link, the narrowest first.
func (s *Scheduler) boundsOf(l *link) []*bound {
	switch {
	case !dials(l.hop):
		return nil
	case l.hop.Kind == mail.HopMX && l.hop.Domain != "":
		return []*bound{l.by.domain(l.hop.Domain), &l.by.all, &s.node}
	}
	return []*bound{&l.by.all, &s.node}
}

// obstacle is the bound that leaves no room for one more connection of a link; nil: none.
func (s *Scheduler) obstacle(l *link) *bound {
	switch d := l.by.domains[l.hop.Domain]; {
	case !dials(l.hop):
	case l.hop.Kind == mail.HopMX && d != nil && d.full():
		return d
	case l.by.all.full():
		return &l.by.all
	case s.node.full():
		return &s.node
	}
	return nil
}

// taken says in words at which bound a link stands.
func (s *Scheduler) taken(l *link) string {
	whose := " to " + l.hop.Domain + l.ofSender()
	switch l.waits {
	case &s.node:
		whose = " of this server"
	case &l.by.all:
		whose = l.ofSender()
	}
	return fmt.Sprintf("all %d%s are in use", l.waits.limit, whose)
}

// lineUp has a link wait at a bound, or go on doing so.
func (s *Scheduler) lineUp(l *link, b *bound) {
	if l.waits == b {
		return
	}
	s.stepOut(l)
	if l.ticket == 0 {
		s.tickets++
		l.ticket = s.tickets
	}
	l.waits = b
	s.inLine++
	heap.Push(&b.line, l)
	if l.open == 0 {
		b.bare++
		s.makeRoom(b)
	}
}

// stepOut takes a link out of its line; it keeps its ticket, as it may go on to another
// one.
func (s *Scheduler) stepOut(l *link) {
	b := l.waits
	if b == nil {
		return
	}
	heap.Remove(&b.line, l.place)
	if l.open == 0 {
		b.bare--
	}
	s.inLine--
	l.waits = nil
	l.by.tidy(l.hop.Domain, b)
}

// leaveLine is for a link that has what it wanted, or wants nothing any more.
func (s *Scheduler) leaveLine(l *link) {
	s.stepOut(l)
	l.ticket = 0
}

// letIn gives the room there is in some bounds to those whose turn it is.
func (s *Scheduler) letIn(in []*bound, now int64) {
	for {
		var next *link
		for _, b := range in {
			if !b.full() && len(b.line) > 0 && (next == nil || b.line[0].before(next)) {
				next = b.line[0]
			}
		}
		if next == nil {
			break
		}
		s.stepOut(next)
		s.kick(next, now)
		if next.waits == nil {
			next.ticket = 0
		}
	}
	for _, b := range in {
		s.makeRoom(b) // others than those who were waited for may have got the room
	}
}

// open counts a connection that begins.
func (s *Scheduler) open(c *conn) {
	l := c.link
	s.conns[c.id], l.conns[c.id] = c, c
	if c.handed {
		return // the other side opened it, and there is no saying no to that
	}
	if c.in = s.boundsOf(l); len(c.in) == 0 {
		return
	}
	l.open++
	for _, b := range c.in {
		b.open++
		if l.open == 1 {
			b.links++
		}
	}
}

// shed forgets a connection that ended. Its link, if it wants another one, waits behind
// those that wait already.
func (s *Scheduler) shed(c *conn) {
	l := c.link
	delete(s.conns, c.id)
	delete(l.conns, c.id)
	if c.leaving {
		l.leaving--
	}
	if len(c.in) == 0 {
		return
	}
	s.leaveLine(l)
	l.open--
	for _, b := range c.in {
		b.open--
		if c.giving {
			b.giving--
		}
		if l.open == 0 {
			b.links--
		}
	}
	l.by.tidy(l.hop.Domain, c.in[0])
}

// yields says whether a connection has to end to make room for others; resting: it has
// nothing to do.
func (s *Scheduler) yields(c *conn, resting bool, now int64) bool {
	l := c.link
	for _, b := range c.in {
		if b.over() || b.wanted() && (resting || l.beyond(b) || l.open-l.leaving <= 1 && now-c.since >= turn) {
			s.give(c)
			return true
		}
	}
	return false
}

// beyond says whether a link has more connections than its share of a bound.
func (l *link) beyond(b *bound) bool {
	return l.open-l.leaving > max(1, b.limit/(b.links+b.bare))
}

// give has a connection end to make room.
func (s *Scheduler) give(c *conn) {
	c.leave()
	c.giving = true
	for _, b := range c.in {
		b.giving++
	}
}

// makeRoom ends idle connections of a bound, the first opened first, as far as that is
// needed to make room.
func (s *Scheduler) makeRoom(b *bound) {
	for b.idle > 0 && (b.wanted() || b.over()) {
		var oldest *conn
		for _, c := range s.conns {
			if c.idle && slices.Contains(c.in, b) && (oldest == nil || c.id < oldest.id) {
				oldest = c
			}
		}
		oldest.link.removeIdle(oldest)
		s.give(oldest)
		s.effect(Effect{Kind: EffectHangUp, Conn: oldest.id})
	}
}
