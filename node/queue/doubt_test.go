package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// hanging is an agent whose connections to one hop never answer.
type hanging struct {
	*fakeAgent
	hop   string
	broke func(hop string, cause error)
}

func (a hanging) Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	if hop.Name != a.hop {
		return a.fakeAgent.Serve(ctx, hop, feed)
	}
	t := feed.Next()
	<-ctx.Done()
	a.broke(hop.Name, context.Cause(ctx))
	o := mail.Defer(mail.StatusNoAnswer, "given up")
	if t != nil {
		feed.Done(t, []mail.Outcome{o})
	}
	return context.Cause(ctx)
}

// A node that hangs keeps its connections. What is in flight to it goes another
// way soon after link state has declared it down.
func TestHangingHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "hangs", Domain: "hangs"})
		var why error
		g.start(func(c *Config) {
			c.Agent = hanging{g.agent, "hangs", func(_ string, cause error) { why = cause }}
		})
		start := time.Now()
		g.send(1, "b@x")
		pass(2 * time.Second)
		g.router.mu.Lock()
		g.router.gone = "hangs"
		g.router.mu.Unlock()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "other", Domain: "other"})
		g.send(2, "c@x")
		pass(0)
		equal(t, "delivered at once, the new mail", g.agent.got(), []string{"other c@x"})
		pass(patience*time.Millisecond - time.Since(start) - time.Millisecond)
		equal(t, "while there is patience", g.agent.got(), []string{"other c@x"})
		pass(2 * time.Millisecond)
		equal(t, "delivered", g.agent.got(), []string{"other b@x", "other c@x"})
		if why == nil || why.Error() != "hangs is down" {
			t.Errorf("broken because %v", why)
		}
		g.stop()
	})
}

// One that answers while the map says that it is gone keeps what is in flight,
// and gets no more.
func TestDoubtedHostThatAnswers(t *testing.T) {
	s := NewScheduler(alone(Limits{}, testClock))
	k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x"}, mail.Class{}, nil)
	s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, false, 1)
	for i := range 3 {
		ref := Ref{ID: mail.ID{byte(i)}, Due: 1, Created: 1}
		s.Reserve(k.Name(), ref.ID)
		s.Commit(k.Name(), ref, 1)
	}
	conn := s.Effects()[0].Conn
	s.Take(conn, 1)
	s.Take(conn, 1)
	gone := func(mail.Hop) string { return "gone" }
	s.Doubt(gone, 1000)
	if got := s.Take(conn, 1000); got != nil {
		t.Errorf("more mail for a host that is gone: %v", got)
	}
	s.Worked(conn, 4000)
	s.Tick(1 + patience)
	if e := s.Effects(); len(e) != 0 {
		t.Errorf("effects %+v while it answers", e)
	}
	s.Tick(4000 + patience)
	e := s.Effects()
	if len(e) != 1 || e[0].Kind != EffectBreak || e[0].Conn != conn || e[0].Reason != "gone" {
		t.Errorf("effects %+v, want one break", e)
	}
	s.Doubt(gone, 4000+patience)
	s.Tick(4000 + 10*patience)
	if e := s.Effects(); len(e) != 0 {
		t.Errorf("broken again: %+v", e)
	}
}
