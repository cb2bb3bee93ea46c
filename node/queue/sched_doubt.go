package queue

import (
	"maps"
	"slices"

	"github.com/postroad/postroad/node/mail"
)

// patience is how long a connection may go without an answer, in ms, when the
// map says that the host at its other end is gone. A host that died closes its
// connections; one that hangs does not, and the timeouts of RFC 5321 section
// 4.5.3.2 would hold what is in flight for ten minutes. But the map can be wrong
// about a host that is only slow, and breaking a connection that works makes
// duplicates: so one that answers is left alone.
const patience = 5000

// Doubt is told after each change of the map what it says against the hosts
// behind hops; "" is nothing. Connections to a host that is said to be gone get
// no more mail, and are broken when they have been silent for [patience].
func (s *Scheduler) Doubt(gone func(mail.Hop) string, now int64) {
	for _, id := range slices.Sorted(maps.Keys(s.conns)) {
		c := s.conns[id]
		c.doubt = gone(c.link.hop)
		s.judge(c, now)
	}
}

// judge breaks a doubtful connection or sets the time to look again.
func (s *Scheduler) judge(c *conn, now int64) {
	if c.doubt == "" || c.broken {
		s.timers.set(&c.timer, 0)
		return
	}
	if c.idle {
		c.link.removeIdle(c) // it may still wait for answers
		s.effect(Effect{Kind: EffectHangUp, Conn: c.id})
	}
	if due := c.heard + patience; now < due {
		s.timers.set(&c.timer, due)
		return
	}
	c.broken = true
	s.timers.set(&c.timer, 0)
	s.effect(Effect{Kind: EffectBreak, Conn: c.id, Hop: c.link.hop, Reason: c.doubt})
}
