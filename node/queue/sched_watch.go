package queue

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The watchdog finds what should move and does not though nothing says what it
// waits for, and frees it. It trusts no alarm and no clock of the scheduler: it
// remembers what it saw when it was called before, and looks whether that changed.
//
//   - A connection that gives no sign of life for Clock.Stuck is broken, and when
//     it does not end even then, given up: what it had taken goes back, its place
//     is free, and whatever it says later counts for nothing.
//   - A link with mail that is due, without a connection that does something, and
//     with nothing to wait for, for Clock.Stalled: its idle connections are closed
//     and its queues are built anew from the spool.
//   - A queue whose reading from the spool has had no answer for Clock.Stalled is
//     read again; one with an entry in flight that no connection has, and that is
//     not being settled, for Clock.Stuck, is built anew from the spool.

// StallKind is what stood still.
type StallKind string

// Kinds of stall.
const (
	StallConnection StallKind = "connection"
	StallLink       StallKind = "link"
	StallQueue      StallKind = "queue"
)

// StallKinds lists them.
func StallKinds() []StallKind { return []StallKind{StallConnection, StallLink, StallQueue} }

// Stall is one thing that stood still and was restarted.
type Stall struct {
	Kind    StallKind
	NextHop string
	Queue   string // name in the spool; empty: all of the link
	Reason  string
}

// abandonAfter is how long (ms) a broken connection may take to end.
const abandonAfter = int64(time.Minute / time.Millisecond)

// sight is what Watch saw of a connection.
type sight struct {
	life  int64 // its last sign of life then
	since int64 // it has had no other since; 0: it was idle
	broke int64 // when it was told to break
	given bool  // EffectAbandon is out
}

// Heard notes a sign of life of a connection, such as content that it reads.
func (s *Scheduler) Heard(id ConnID, at int64) {
	if c := s.conns[id]; c != nil {
		c.life = max(c.life, at)
	}
}

// Watch is to be called every minute or so. committing says that the spool takes
// long to write what became of messages: then what is in flight waits for that.
func (s *Scheduler) Watch(committing bool, now int64) []Stall {
	if s.closed {
		return nil
	}
	var found []Stall
	for _, id := range slices.Sorted(maps.Keys(s.conns)) {
		found = append(found, s.watchConn(s.conns[id], now)...)
	}
	for _, k := range slices.Sorted(maps.Keys(s.links)) {
		if l := s.links[k]; l != nil {
			found = append(found, s.watchLink(l, now)...)
		}
	}
	for _, q := range s.sorted() {
		found = append(found, s.watchQueue(q, committing, now)...)
	}
	return found
}

func (s *Scheduler) watchConn(c *conn, now int64) []Stall {
	w := &c.sight
	switch {
	case c.broken:
		if w.broke == 0 {
			w.broke = now
		}
		if w.given || now-w.broke < abandonAfter {
			return nil
		}
		w.given = true
		c.worked = false // or its link would try again at once
		return s.stuck(c, EffectAbandon, "the delivery did not end when its connection was broken; it was given up")
	case c.idle:
		w.since = 0
		return nil
	case w.since == 0 || w.life != c.life:
		w.life, w.since = c.life, now
		return nil
	case now-w.since < c.link.by.Clock.Stuck.Milliseconds():
		return nil
	}
	c.broken, w.broke = true, now
	s.timers.set(&c.timer, 0)
	return s.stuck(c, EffectBreak, fmt.Sprintf("no sign of life from the delivery for %s", time.Duration(now-w.since)*time.Millisecond))
}

func (s *Scheduler) stuck(c *conn, kind EffectKind, why string) []Stall {
	c.link.lastErr = "watchdog: " + why
	s.effect(Effect{Kind: kind, Conn: c.id, Hop: c.link.hop, Reason: why})
	return []Stall{{Kind: StallConnection, NextHop: c.link.hop.Name, Reason: why}}
}

func (s *Scheduler) watchLink(l *link, now int64) []Stall {
	if !s.shouldMove(l, now) {
		l.stalled = 0
		return nil
	}
	if l.stalled == 0 {
		l.stalled = now
	}
	if now-l.stalled < l.by.Clock.Stalled.Milliseconds() {
		return nil
	}
	why := fmt.Sprintf("mail is due and nothing happened for %s", time.Duration(now-l.stalled)*time.Millisecond)
	l.stalled, l.lastErr = 0, "watchdog: "+why
	for len(l.idle) > 0 {
		s.effect(Effect{Kind: EffectHangUp, Conn: l.popIdle().id})
	}
	for _, q := range s.sorted() {
		if q.link == l {
			s.rebuild(q, now)
		}
	}
	s.kick(l, now)
	return []Stall{{Kind: StallLink, NextHop: l.hop.Name, Reason: why}}
}

// shouldMove says whether a link has mail that is due, no connection that does
// something about it, and nothing to wait for.
func (s *Scheduler) shouldMove(l *link, now int64) bool {
	if !l.serving(now) || l.handed > 0 || len(l.conns) > len(l.idle) || s.crowded(l) {
		return false
	}
	for q := range l.queues {
		if !q.key.Held && !q.filling && (q.win.len() > 0 && q.win.front().at <= now || q.win.len() == 0 && q.more) {
			return true
		}
	}
	return false
}

// crowded says whether all the connections are taken that a link could have.
func (s *Scheduler) crowded(l *link) bool { return len(l.conns) == 0 && s.obstacle(l) != nil }

func (s *Scheduler) watchQueue(q *queue, committing bool, now int64) []Stall {
	stall := Stall{Kind: StallQueue, NextHop: q.hop.Name, Queue: q.name}
	clock := &s.sender(q.hop).Clock
	switch {
	case !q.filling:
		q.fillSince = 0
	case q.fillSince == 0 || q.fillSeen != q.fillNo:
		q.fillSince, q.fillSeen = now, q.fillNo
	case now-q.fillSince >= clock.Stalled.Milliseconds():
		stall.Reason = fmt.Sprintf("no answer from the spool for %s", time.Duration(now-q.fillSince)*time.Millisecond)
		q.lastErr = "watchdog: " + stall.Reason
		s.rebuild(q, now)
		return []Stall{stall}
	}
	lost := 0
	for _, e := range q.refs {
		switch {
		case e.state != inFlight || committing || s.conns[e.conn] != nil:
			e.alone = 0
		case e.alone == 0:
			e.alone = now
		case now-e.alone >= clock.Stuck.Milliseconds():
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	stall.Reason = fmt.Sprintf("%d messages were in flight for %s and no connection had them", lost, clock.Stuck)
	q.lastErr = "watchdog: " + stall.Reason
	for _, e := range q.refs {
		if e.alone != 0 && now-e.alone >= clock.Stuck.Milliseconds() {
			s.drop(e)
		}
	}
	s.rebuild(q, now)
	return []Stall{stall}
}

// rebuild forgets what waits in a queue and reads it from the spool again. What is
// in flight or being written stays as it is.
func (s *Scheduler) rebuild(q *queue, now int64) {
	s.leaveRing(q)
	for _, e := range q.refs {
		if e.state == waiting {
			s.drop(e)
		}
	}
	q.win, q.late, q.left = window{}, nil, nil
	q.cursor, q.more, q.filling = Position{}, true, false
	q.fillNo++
	q.deadline = 0
	s.poke(q, now)
}

// Stale says whether the answer to an EffectFill comes too late to be used.
func (s *Scheduler) Stale(e Effect) bool {
	q := s.queues[e.Queue]
	return q == nil || !q.filling || q.fillNo != e.Fill
}
