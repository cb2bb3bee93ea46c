package queue

import (
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// When a message is given up, as its sender is told with the delay.
func TestUntil(t *testing.T) {
	const created, day = epoch, 24 * time.Hour
	in := func(d time.Duration) int64 { return created + d.Milliseconds() }
	s := NewScheduler(alone(Limits{}, Clock{Expiration: 2 * day, LocalExpiration: day}))
	outside, mailbox := &queue{hop: mail.Hop{Kind: mail.HopMX}}, &queue{hop: mail.Hop{Kind: mail.HopLocal}}
	for name, c := range map[string]struct {
		queue *queue
		ref   Ref
		began int64 // the node
		jump  time.Duration
		want  int64
	}{
		"outside":       {queue: outside, want: in(2 * day)},
		"mailbox":       {queue: mailbox, want: in(day)},
		"return":        {queue: outside, ref: Ref{By: in(time.Hour), Return: true}, want: in(time.Hour)},
		"notify":        {queue: outside, ref: Ref{By: in(time.Hour)}, want: in(2 * day)},
		"jump":          {queue: outside, jump: day, want: in(3 * day)},
		"jump, return":  {queue: outside, jump: day, ref: Ref{By: in(time.Hour), Return: true}, want: in(day + time.Hour)},
		"start":         {queue: outside, began: in(day), want: in(2 * day)},
		"late start":    {queue: outside, began: in(3 * day), want: in(3*day + 15*time.Minute)},
		"start, return": {queue: outside, began: in(3 * day), ref: Ref{By: in(time.Hour), Return: true}, want: in(time.Hour)},
	} {
		c.ref.Created, s.began = created, c.began
		if s.jumps = nil; c.jump != 0 {
			s.jumps = s.jumps.and(c.jump.Milliseconds(), in(time.Minute+c.jump))
		}
		if got := s.end(&entry{Ref: c.ref, queue: c.queue}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
