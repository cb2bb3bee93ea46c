package queue

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
)

// link is one next hop and the queues that are routed over it now.
type link struct {
	key    string
	hop    mail.Hop
	by     *sender // of the hop, whatever else of it changes
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
	open    int           // of conns, those that the bounds count; see bound.go
	waits   *bound        // stands in line there
	place   int           // in that line
	ticket  uint64        // the lower, the longer it waits; 0: it does not
	// forced: not shut until then (Unix ms), or while a connection is open.
	forced int64
	// stalled: the watchdog has seen it stand still since then; 0: it moves.
	stalled int64
	handed  int // connections that the other side opened; while there are any, none is dialled
	// asked: it has only what somebody asked for, see asked.go.
	asked bool
}

// link is that of the hop which a queue's messages are given out to.
func (s *Scheduler) link(q *queue) *link {
	hop := s.gate(q)
	key := q.linkKey(hop)
	if l := s.links[key]; l != nil {
		l.hop = hop
		return l
	}
	l := &link{key: key, hop: hop, by: s.sender(hop), queues: map[*queue]struct{}{}, conns: map[ConnID]*conn{}, asked: q.askedOf(hop)}
	l.timer = timer{index: -1, link: l}
	l.concurrency = newConcurrency(s.perLink(l))
	s.links[key] = l
	return l
}

func (s *Scheduler) perLink(l *link) int {
	if n := l.hop.Options.MaxConnections; n > 0 {
		return n
	}
	return l.by.Limits.PerLink
}

// forget drops a link that nothing leads to any more. While it waits for its
// next attempt it stays, so that new mail finds it waiting.
func (s *Scheduler) forget(l *link, now int64) {
	if len(l.queues) > 0 || len(l.conns) > 0 || l.next > now || s.links[l.key] != l {
		return
	}
	delete(s.links, l.key)
	s.timers.set(&l.timer, 0)
	s.leaveLine(l)
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
	if q.link.backlog == 0 {
		s.leaveLine(q.link)
	}
}

// kick finds a connection for a link that has mail to give out: an idle one,
// or one more if the backlog is worth it.
func (s *Scheduler) kick(l *link, now int64) {
	if s.closed || l.backlog == 0 {
		s.leaveLine(l)
		return
	}
	if l.shut(now) {
		s.leaveLine(l)
		s.awaitOpening(l, now)
		return
	}
	if !l.serving(now) || l.handed > 0 {
		s.leaveLine(l)
		if l.next > now {
			s.timers.set(&l.timer, l.next) // it may be that of a schedule which holds no more
		}
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
		s.leaveLine(l)
		return
	}
	if b := s.obstacle(l); b != nil {
		s.lineUp(l, b)
		return
	}
	s.leaveLine(l)
	s.nextID++
	c := &conn{id: s.nextID, link: l, heard: now, life: now}
	c.timer = timer{index: -1, conn: c}
	s.open(c)
	l.lastTry = now
	s.effect(Effect{Kind: EffectDial, Conn: c.id, Hop: l.hop, Verdict: verdict})
}

// report tells link state, of hops that stand for a connector as a whole. (The
// hosts of one domain say nothing about the connector it is reached over.)
func (s *Scheduler) report(l *link, ok bool, reason string) {
	if k := l.hop.Kind; (k == mail.HopNode || k == mail.HopSmartHost) && !l.hop.Connector.IsZero() {
		s.effect(Effect{Kind: EffectLink, Hop: l.hop, Connector: l.hop.Connector, OK: ok, Reason: reason})
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
	wait, _ := l.by.Clock.linkWait(l.hop.Options, l.failures)
	l.next = l.failed + max(wait.Milliseconds(), 1)
	s.timers.set(&l.timer, max(l.next, now)) // a time that is over rings at once
}

// phase is where a failing link stands: "glitch retry 2 of 3", "retry 5".
func (l *link) phase() string {
	_, glitches := l.by.Clock.linkWait(l.hop.Options, l.failures)
	if l.failures <= glitches {
		return fmt.Sprintf("glitch retry %d of %d", l.failures, glitches)
	}
	return fmt.Sprintf("retry %d", l.failures-glitches)
}
