package queue

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// The oldest message of a long queue is found though it was deferred, and lies behind all
// others on disk; when it has gone, the next counts.
func TestOldestBeyondTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = busy
		clock := testClock
		clock.First = 10 * time.Hour
		g.start(noNotice, func(c *Config) { c.Limits, c.Clock = Limits{Window: 40}, clock })
		old := g.send(1, "old@x")
		synctest.Wait()
		pass(time.Hour)
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable})
		for i := range 200 {
			g.send(i+2, fmt.Sprintf("b%d@x", i))
		}
		pass(2 * agesEvery)
		q := g.queue(t, KindUnreachable)
		if want := time.Hour + 2*agesEvery; q.Messages != 201 || q.OldestAge < want || q.OldestAge > want+time.Minute {
			t.Errorf("%d messages, the oldest since %s", q.Messages, q.OldestAge)
		}
		// Over a restart, too.
		g.stop()
		g = g.again()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable})
		g.start(noNotice, func(c *Config) { c.Limits = Limits{Window: 40} })
		pass(agesEvery + time.Second)
		if q = g.queue(t, KindUnreachable); q.OldestAge < time.Hour {
			t.Errorf("after a restart: %s", q.OldestAge)
		}
		g.act(t, Selection{IDs: []mail.ID{old.ID}}, Order{Verb: VerbDelete, Status: mail.StatusNotAccepting})
		pass(2 * agesEvery)
		if q = g.queue(t, KindUnreachable); q.Messages != 200 || q.OldestAge > time.Hour {
			t.Errorf("%d messages, the oldest since %s", q.Messages, q.OldestAge)
		}
		g.stop()
	})
}
