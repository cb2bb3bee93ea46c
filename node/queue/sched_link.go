package queue

import (
	"fmt"
	"slices"

	"github.com/postroad/postroad/node/mail"
)

// link is one next hop and the queues that are routed over it now.
type link struct {
	key    string
	hop    mail.Hop
	queues map[*queue]struct{}
	// rings hold the queues that have something to give out now, by priority;
	// within a priority each takes its turn. backlog counts the entries in them.
	rings   [3]ring
	turn    int
	behind  int // times that an entry which failed before stood first
	backlog int

	conns map[ConnID]*conn
	idle  []*conn // of conns, those that wait for something to do
	// up: a connection answered since the last failure.
	up bool
	// concurrency bounds the connections by what the next hop takes; leaving are
	// those above it, which close.
	concurrency concurrency
	leaving     int

	failures int   // failed connections in a row
	failed   int64 // when the last of them failed (Unix ms)
	next     int64 // no connection before (Unix ms); 0: now
	lastErr  string
	lastTry  int64
	lastHost string // that answered
	timer    timer

	verdict *mail.Outcome // what becomes of everything on the link, at present
	starved bool          // stands in Scheduler.starved
	// forced: not shut until then (Unix ms), or while a connection is open.
	forced int64
	// stalled: the watchdog has seen it stand still since then; 0: it moves.
	stalled int64
	handed  int // connections that the other side opened; while there are any, none is dialled
	// asked: it has only what somebody asked for, see asked.go.
	asked bool
}

// conn is one connection, from EffectDial to Closed.
type conn struct {
	id     ConnID
	link   *link
	idle   bool
	asked  bool   // it asked for a message, so it was open
	worked bool   // the peer answered about a message
	heard  int64  // the last answer, or the dialling (Unix ms)
	doubt  string // why the map takes the peer for gone; "": it does not
	broken bool   // EffectBreak is out
	timer  timer
	domain string // counted in Scheduler.domains
	life   int64  // the last sign of life of any kind (Unix ms)
	sight  sight
	handed bool // the other side opened it
	// leaving: it is above what the link may have now, and gets nothing more.
	leaving bool
}

// link is that of the hop which a queue's messages are given out to.
func (s *Scheduler) link(q *queue) *link {
	hop := s.gate(q)
	key := q.linkKey(hop)
	if l := s.links[key]; l != nil {
		l.hop = hop
		return l
	}
	l := &link{key: key, hop: hop, queues: map[*queue]struct{}{}, conns: map[ConnID]*conn{}, asked: q.askedOf(hop)}
	l.timer = timer{index: -1, link: l}
	l.concurrency = newConcurrency(s.perLink(l))
	s.links[key] = l
	return l
}

func (s *Scheduler) perLink(l *link) int {
	if n := l.hop.Options.MaxConnections; n > 0 {
		return n
	}
	return s.limits.PerLink
}

// forget drops a link that nothing leads to any more. While it waits for its
// next attempt it stays, so that new mail finds it waiting.
func (s *Scheduler) forget(l *link, now int64) {
	if len(l.queues) > 0 || len(l.conns) > 0 || l.next > now || s.links[l.key] != l {
		return
	}
	delete(s.links, l.key)
	s.timers.set(&l.timer, 0)
	if l.starved {
		s.starved = slices.DeleteFunc(s.starved, func(o *link) bool { return o == l })
	}
}

// serving says whether the link can be expected to take mail now.
func (l *link) serving(now int64) bool {
	return l.hop.Kind != mail.HopUnreachable && l.hop.Kind != mail.HopHeld && l.hop.Kind != mail.HopFrozen && !l.shut(now) && (l.next <= now || l.verdict != nil)
}

func rank(p mail.Priority) int {
	switch {
	case p > 0:
		return 0
	case p < 0:
		return 2
	}
	return 1
}

func (s *Scheduler) enterRing(q *queue) {
	if q.ringed {
		return
	}
	q.ringed = true
	q.link.rings[rank(q.key.Class.Priority)].add(q)
	q.link.backlog += q.win.len()
}

func (s *Scheduler) leaveRing(q *queue) {
	if !q.ringed {
		return
	}
	q.ringed = false
	q.link.rings[rank(q.key.Class.Priority)].remove(q)
	q.link.backlog -= q.win.len()
}

// kick finds a connection for a link that has mail to give out: an idle one,
// or one more if the backlog is worth it.
func (s *Scheduler) kick(l *link, now int64) {
	if s.closed || l.backlog == 0 {
		return
	}
	if l.shut(now) {
		s.awaitOpening(l, now)
		return
	}
	if !l.serving(now) {
		return
	}
	if l.handed > 0 {
		return
	}
	if len(l.idle) > 0 {
		s.effect(Effect{Kind: EffectWake, Conn: l.popIdle().id})
		return
	}
	verdict := l.verdict
	if l.hop.Kind == mail.HopFail {
		o := mail.Fail(l.hop.Status, l.hop.Reason)
		verdict = &o
	}
	want := 1
	if l.up && verdict == nil {
		want = min(l.concurrency.window, s.perLink(l), (l.backlog+s.limits.PerConnection-1)/s.limits.PerConnection)
	}
	if len(l.conns) >= max(want, 1) {
		return
	}
	domain := ""
	if l.hop.Kind == mail.HopMX {
		domain = l.hop.Domain
	}
	crowded := s.domainFull(l)
	if crowded || len(s.conns) >= s.limits.Connections {
		s.starve(l, crowded)
		return
	}
	s.nextID++
	c := &conn{id: s.nextID, link: l, heard: now, life: now, domain: domain}
	if domain != "" {
		s.domains[domain]++
	}
	c.timer = timer{index: -1, conn: c}
	s.conns[c.id], l.conns[c.id] = c, c
	l.lastTry = now
	s.effect(Effect{Kind: EffectDial, Conn: c.id, Hop: l.hop, Verdict: verdict})
}

// domainFull says whether the hosts of the link's domain have all connections that
// they may have.
func (s *Scheduler) domainFull(l *link) bool {
	return l.hop.Kind == mail.HopMX && l.hop.Domain != "" && s.domains[l.hop.Domain] >= s.limits.PerDomain
}

// starve notes that a link wants a connection when all are taken. A link without
// any may have the place of an idle connection of another; of one to its own domain
// if that is crowded.
func (s *Scheduler) starve(l *link, crowded bool) {
	if !l.starved {
		l.starved = true
		s.starved = append(s.starved, l)
	}
	if len(l.conns) > 0 {
		return
	}
	var oldest *conn
	for _, c := range s.conns {
		if c.idle && (!crowded || c.domain == l.hop.Domain) && (oldest == nil || c.id < oldest.id) {
			oldest = c
		}
	}
	if oldest != nil {
		oldest.link.removeIdle(oldest)
		s.effect(Effect{Kind: EffectHangUp, Conn: oldest.id})
	}
}

func (l *link) popIdle() *conn {
	c := l.idle[len(l.idle)-1]
	l.removeIdle(c)
	return c
}

func (l *link) removeIdle(c *conn) {
	c.idle = false
	l.idle = slices.DeleteFunc(l.idle, func(o *conn) bool { return o == c })
}

// Rest is what a connection without work should do.
type Rest uint8

// Answers of Idle.
const (
	RestSleep Rest = iota // an EffectWake or EffectHangUp will come
	RestAgain             // there is something to take after all
	RestClose             // there will be nothing
)

// Idle says that a connection has nothing to do and would stay open.
func (s *Scheduler) Idle(id ConnID, now int64) Rest {
	c := s.conns[id]
	if c == nil || s.closed || s.surplus(c) || c.doubt != "" || c.broken || c.link.verdict != nil || c.link.shut(now) {
		return RestClose
	}
	if c.link.backlog > 0 && c.link.serving(now) {
		return RestAgain
	}
	if c.link.spent(now) {
		return RestClose
	}
	c.life = now
	if !c.idle {
		c.idle = true
		c.link.idle = append(c.link.idle, c)
	}
	return RestSleep
}

// Unidle says that a connection stopped waiting. It reports whether an EffectWake
// or EffectHangUp for it is out already.
func (s *Scheduler) Unidle(id ConnID) bool {
	c := s.conns[id]
	if c == nil || !c.idle {
		return true
	}
	c.link.removeIdle(c)
	return false
}

// Worked says that the peer answered about a message: the link is well.
func (s *Scheduler) Worked(id ConnID, now int64) {
	if c := s.conns[id]; c != nil {
		c.answered(now)
		c.link.concurrency.succeeded(s.perLink(c.link))
	}
}

// Slowed is Worked when the peer put the message off (4yz) for all recipients.
func (s *Scheduler) Slowed(id ConnID, now int64) {
	if c := s.conns[id]; c != nil {
		c.answered(now)
		c.link.concurrency.failed()
	}
}

func (c *conn) answered(now int64) {
	c.worked, c.heard, c.life = true, now, now
	l := c.link
	if l.verdict == nil {
		l.failures, l.lastErr = 0, ""
	}
}

// Spoke notes which host of the hop a connection is with, once it has answered.
func (s *Scheduler) Spoke(id ConnID, host string) {
	if c := s.conns[id]; c != nil && host != "" {
		c.link.lastHost = host
	}
}

// opened notes the first sign of life of a connection.
func (s *Scheduler) opened(c *conn, now int64) {
	if c.asked {
		return
	}
	c.asked, c.heard = true, now
	l := c.link
	if l.verdict == nil && l.hop.Kind != mail.HopFail {
		l.up = true
		s.report(l, true, "")
	}
}

// report tells link state, of hops that stand for a connector as a whole. (The
// hosts of one domain say nothing about the connector it is reached over.)
func (s *Scheduler) report(l *link, ok bool, reason string) {
	if k := l.hop.Kind; (k == mail.HopNode || k == mail.HopSmartHost) && !l.hop.Connector.IsZero() {
		s.effect(Effect{Kind: EffectLink, Hop: l.hop, Connector: l.hop.Connector, OK: ok, Reason: reason})
	}
}

// Ending is how a connection ended.
type Ending struct {
	// Err is why it failed, in words; empty: it ended in peace.
	Err string
	// Verdict: the next hop will never take mail; the outcome of all behind it.
	Verdict *mail.Outcome
}

// Closed says that a connection of EffectDial is over. What it had taken must
// have been settled or returned before.
func (s *Scheduler) Closed(id ConnID, end Ending, now int64) {
	c := s.conns[id]
	if c == nil {
		return
	}
	l := c.link
	if c.idle {
		l.removeIdle(c)
	}
	s.timers.set(&c.timer, 0)
	delete(s.conns, id)
	delete(l.conns, id)
	if c.domain != "" {
		if s.domains[c.domain]--; s.domains[c.domain] == 0 {
			delete(s.domains, c.domain)
		}
	}
	if len(l.conns) == 0 {
		l.forced = 0
	}
	if c.leaving {
		l.leaving--
	}
	if c.handed {
		l.handed-- // how it ended says nothing of a connection the other way
		if end.Err != "" {
			l.lastErr = end.Err
		}
	} else {
		s.conclude(c, end, now)
	}
	s.kick(l, now)
	if len(l.conns) == 0 {
		s.unask(l, now)
	}
	s.forget(l, now)
	s.feedStarved(now)
}

func (s *Scheduler) conclude(c *conn, end Ending, now int64) {
	l := c.link
	switch {
	case l.verdict != nil:
		if len(l.conns) == 0 {
			l.verdict = nil
		}
	case end.Verdict != nil:
		l.verdict, l.next, l.lastErr = end.Verdict, 0, end.Verdict.Text
		s.timers.set(&l.timer, 0)
	case end.Err == "" && (c.asked || l.backlog == 0):
	case end.Err != "" && c.worked:
		// It did work: try again at once. A peer that is gone shows by not answering.
		l.lastErr = end.Err
	case len(l.conns) > 0:
		// The others live: the peer wants no more of them.
		l.concurrency.failed()
		l.concurrency.window = min(l.concurrency.window, len(l.conns))
	default:
		if end.Err == "" {
			end.Err = "the connection ended without taking mail"
		}
		s.fail(l, end.Err, now)
	}
}

// fail starts the next wait of a link.
func (s *Scheduler) fail(l *link, reason string, now int64) {
	l.failures++
	l.failed = now
	l.concurrency.failed()
	l.up, l.lastErr = false, reason
	s.await(l, now)
	s.report(l, false, reason)
}

// await sets the time of a link's next attempt, counted from its last failure.
func (s *Scheduler) await(l *link, now int64) {
	wait, _ := s.clock.linkWait(l.hop.Options, l.failures)
	l.next = l.failed + max(wait.Milliseconds(), 1)
	s.timers.set(&l.timer, max(l.next, now)) // a time that is over rings at once
}

// feedStarved gives connections that became free to those that wait longest.
func (s *Scheduler) feedStarved(now int64) {
	// Whom its domain's limit keeps waiting stands at the end of the line again.
	for n := len(s.starved); n > 0 && len(s.starved) > 0 && len(s.conns) < s.limits.Connections; n-- {
		l := s.starved[0]
		s.starved = s.starved[1:]
		l.starved = false
		s.kick(l, now)
	}
}

// phase is where a failing link stands: "glitch retry 2 of 3", "retry 5".
func (s *Scheduler) phase(l *link) string {
	_, glitches := s.clock.linkWait(l.hop.Options, l.failures)
	if l.failures <= glitches {
		return fmt.Sprintf("glitch retry %d of %d", l.failures, glitches)
	}
	return fmt.Sprintf("retry %d", l.failures-glitches)
}
