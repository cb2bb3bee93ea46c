package queue

import (
	"slices"

	"github.com/postroad/postroad/node/mail"
)

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
	life   int64 // the last sign of life of any kind (Unix ms)
	sight  sight
	handed bool // the other side opened it
	// leaving: it is above what the link may have now, and gets nothing more; giving:
	// so that others have the place.
	leaving, giving bool
	in              []*bound // that it counts in, the narrowest first
	since           int64    // it asked for its first message then (Unix ms)
}

func (l *link) popIdle() *conn {
	c := l.idle[len(l.idle)-1]
	l.removeIdle(c)
	return c
}

func (l *link) removeIdle(c *conn) {
	c.idle = false
	l.idle = slices.DeleteFunc(l.idle, func(o *conn) bool { return o == c })
	for _, b := range c.in {
		b.idle--
	}
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
	if c == nil || s.closed || s.surplus(c, now) || c.doubt != "" || c.broken || c.link.verdict != nil || c.link.shut(now) {
		return RestClose
	}
	if c.link.backlog > 0 && c.link.serving(now) {
		return RestAgain
	}
	if c.link.spent(now) || s.yields(c, true, now) {
		return RestClose
	}
	c.life = now
	if !c.idle {
		c.idle = true
		c.link.idle = append(c.link.idle, c)
		for _, b := range c.in {
			b.idle++
		}
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
	c.asked, c.heard, c.since = true, now, now
	l := c.link
	if l.verdict == nil && l.hop.Kind != mail.HopFail {
		l.up = true
		s.report(l, true, "")
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
	s.shed(c)
	if len(l.conns) == 0 {
		l.forced = 0
	}
	if c.handed {
		l.handed-- // how it ended says nothing of a connection the other way
		if end.Err != "" {
			l.lastErr = end.Err
		}
	} else {
		s.conclude(c, end, now)
	}
	s.letIn(c.in, now) // before its own link: those in line were there first
	s.kick(l, now)
	if len(l.conns) == 0 {
		s.unask(l, now)
	}
	s.forget(l, now)
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
