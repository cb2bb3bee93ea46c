package queue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/postroad/postroad/node/mail"
)

// wedged is an agent that, for one hop, takes a message and never comes back, not
// even when its connection is broken, until the test lets it.
type wedged struct {
	*fakeAgent
	hop   string
	first int // so many connections wedge
	free  chan struct{}
	late  func(feed mail.Feed, t *mail.Transaction) // then
}

func (a *wedged) Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	a.mu.Lock()
	wedge := hop.Name == a.hop && a.first > 0
	if wedge {
		a.first--
	}
	a.mu.Unlock()
	if !wedge {
		return a.fakeAgent.Serve(ctx, hop, feed)
	}
	t := feed.Next()
	<-a.free
	if a.late != nil {
		a.late(feed, t)
	}
	return nil
}

// A delivery that never returns costs its link an hour, not its mail. What it had
// goes out once, and what the delivery says long after changes nothing.
func TestWatchdogFreesWedgedDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		g := newRig()
		a := &wedged{fakeAgent: g.agent, hop: "x", first: 1, free: make(chan struct{})}
		a.late = func(feed mail.Feed, tr *mail.Transaction) {
			feed.Done(tr, []mail.Outcome{delivered})
			if feed.Next() != nil || feed.Wait(time.Minute) {
				t.Error("a delivery that was given up gets more mail")
			}
		}
		g.start(func(c *Config) { c.Agent, c.Logger, c.Clock.Stuck = a, zap.New(core), testStuck })
		g.send(1, "a@x")
		g.send(2, "b@x")
		pass(testStuck - time.Minute)
		equal(t, "delivered while the delivery may live", g.agent.got(), nil)
		pass(3 * time.Minute)
		if q := g.queue(t, KindRemote); q.Messages != 2 || !strings.Contains(q.LastError, "watchdog") && !strings.Contains(q.WaitingFor, "given up") {
			t.Errorf("after it was given up: %+v", q)
		}
		pass(15 * time.Second) // the first retry of the link
		equal(t, "delivered", g.agent.got(), []string{"x a@x", "x b@x"})
		if n := g.Stalls(StallConnection); n != 2 {
			t.Errorf("%d stalls of connections, want 2: broken, given up", n)
		}
		close(a.free)
		pass(0)
		equal(t, "delivered in the end", g.agent.got(), []string{"x a@x", "x b@x"})
		if logs.FilterMessage("transaction_reported_late").Len() != 1 || logs.FilterMessage("queue_stalled").Len() != 2 {
			t.Errorf("logged %v", logs.All())
		}
		if g.store.len() != 0 {
			t.Errorf("%d messages are left", g.store.len())
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}

const testStuck = 30 * time.Minute

// A node with such a delivery can be stopped; the message stays queued.
func TestStopWithWedgedDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		a := &wedged{fakeAgent: g.agent, hop: "x", first: 1, free: make(chan struct{})}
		g.start(func(c *Config) { c.Agent = a })
		g.send(1, "a@x")
		pass(time.Second)
		if err := g.stop(); err == nil {
			t.Error("the drain had nothing in flight")
		}
		if g.store.len() != 1 {
			t.Errorf("%d messages are left, want 1", g.store.len())
		}
		close(a.free)
	})
}

// A long transfer that makes progress is not stuck: its content is read.
func TestWatchdogHearsContent(t *testing.T) {
	s := NewScheduler(alone(Limits{}, testClock))
	hop := mail.Hop{Kind: mail.HopMX, Domain: "x"}
	put(s, keyFor(1), hop, 1, epoch)
	id := dialOf(t, s)
	s.Take(id, epoch)
	for at := epoch; at < epoch+10*testClock.fill().Stuck.Milliseconds(); at += 60_000 {
		s.Heard(id, at)
		if found := s.Watch(false, at); len(found) > 0 {
			t.Fatalf("at %d: %+v", at, found)
		}
	}
}

const epoch = int64(1_000_000)

func put(s *Scheduler, k Key, hop mail.Hop, n byte, now int64) Ref {
	ref := Ref{ID: mail.ID{n}, Created: now, Due: now}
	s.AddQueue(k, hop, false, now)
	s.Reserve(k.Name(), ref.ID)
	s.Commit(k.Name(), ref, now)
	return ref
}

func dialOf(t *testing.T, s *Scheduler) ConnID {
	t.Helper()
	for _, e := range s.Effects() {
		if e.Kind == EffectDial {
			return e.Conn
		}
	}
	t.Fatal("nothing was dialled")
	return 0
}

// kinds gives what the watchdog said and what it asked for.
func kinds(found []Stall, effects []Effect) (stalls []StallKind, asked []EffectKind) {
	for _, f := range found {
		stalls = append(stalls, f.Kind)
	}
	for _, e := range effects {
		asked = append(asked, e.Kind)
	}
	return stalls, asked
}

// Each way of standing still, made by force, is found when its time is over and
// not before, and set going again.
func TestWatchFindsStalls(t *testing.T) {
	const minute = int64(60_000)
	stalled, stuck := testClock.fill().Stalled.Milliseconds(), testClock.fill().Stuck.Milliseconds()
	hop := mail.Hop{Kind: mail.HopMX, Domain: "x"}
	for _, c := range []struct {
		name  string
		after int64
		wreck func(t *testing.T, s *Scheduler)
		kind  StallKind
		want  EffectKind
	}{
		{"a link that nobody kicked", stalled, func(t *testing.T, s *Scheduler) {
			id := dialOf(t, s)
			c := s.conns[id]
			delete(s.conns, id)
			delete(c.link.conns, id)
		}, StallLink, EffectFill},
		{"an idle connection that nobody woke", stalled, func(t *testing.T, s *Scheduler) {
			c := s.conns[dialOf(t, s)]
			c.idle, c.link.idle = true, []*conn{c}
		}, StallLink, EffectHangUp},
		{"a fill that nobody answered", stalled, func(t *testing.T, s *Scheduler) {
			s.rebuild(s.sorted()[0], epoch)
			s.Effects()
		}, StallQueue, EffectFill},
		{"an entry in flight that nobody has", stuck, func(t *testing.T, s *Scheduler) {
			s.Take(dialOf(t, s), epoch)
			for _, c := range s.conns {
				s.Closed(c.id, Ending{}, epoch)
			}
			s.Effects()
		}, StallQueue, EffectFill},
		{"a connection without a sign of life", stuck, func(t *testing.T, s *Scheduler) {
			s.Take(dialOf(t, s), epoch)
		}, StallConnection, EffectBreak},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewScheduler(alone(Limits{}, testClock))
			put(s, keyFor(1), hop, 1, epoch)
			c.wreck(t, s)
			for at := epoch; at < epoch+c.after; at += minute {
				if found, asked := kinds(s.Watch(false, at), s.Effects()); len(found) > 0 || len(asked) > 0 {
					t.Fatalf("after %d ms: %v, %v", at, found, asked)
				}
			}
			found, asked := kinds(s.Watch(false, epoch+c.after), s.Effects())
			if len(found) != 1 || found[0] != c.kind || len(asked) == 0 || asked[0] != c.want {
				t.Errorf("found %v, asked for %v; want %v, %v", found, asked, c.kind, c.want)
			}
			if q := s.List(epoch + c.after); len(q) != 1 || !strings.Contains(q[0].LastError, "watchdog: ") {
				t.Errorf("listed as %+v", q)
			}
		})
	}
}

// What waits for something is left alone, however long.
func TestWatchLeavesTheWaitingAlone(t *testing.T) {
	for name, hop := range map[string]mail.Hop{
		"no way":         {Kind: mail.HopUnreachable},
		"remote trigger": {Kind: mail.HopSmartHost, Name: "r", Options: mail.HopOptions{Remote: true}},
		"never open":     {Kind: mail.HopSmartHost, Name: "s", Options: mail.HopOptions{Timetable: &mail.Timetable{Name: "never"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewScheduler(alone(Limits{}, testClock))
			put(s, keyFor(1), hop, 1, epoch)
			s.Effects()
			for at := epoch; at < epoch+30*60_000; at += 60_000 {
				if found, asked := kinds(s.Watch(false, at), s.Effects()); len(found) > 0 || len(asked) > 0 {
					t.Fatalf("after %d ms: %v, %v", at, found, asked)
				}
			}
		})
	}
	t.Run("all connections taken", func(t *testing.T) {
		s := NewScheduler(alone(Limits{Connections: 1}, testClock))
		put(s, keyFor(1), mail.Hop{Kind: mail.HopMX, Domain: "x"}, 1, epoch)
		id := dialOf(t, s)
		put(s, keyFor(2), mail.Hop{Kind: mail.HopMX, Domain: "y"}, 2, epoch)
		for at := epoch; at < epoch+30*60_000; at += 60_000 {
			s.Heard(id, at)
			if found, asked := kinds(s.Watch(false, at), s.Effects()); len(found) > 0 || len(asked) > 0 {
				t.Fatalf("after %d ms: %v, %v", at, found, asked)
			}
		}
	})
	t.Run("in retry, and while the spool cannot write", func(t *testing.T) {
		s := NewScheduler(alone(Limits{}, testClock))
		put(s, keyFor(1), mail.Hop{Kind: mail.HopMX, Domain: "x"}, 1, epoch)
		id := dialOf(t, s)
		s.Take(id, epoch)
		s.Closed(id, Ending{}, epoch) // settled, as far as the connection goes
		s.Effects()
		for at := epoch; at < epoch+3*testClock.fill().Stuck.Milliseconds(); at += 60_000 {
			if found := s.Watch(true, at); len(found) > 0 {
				t.Fatalf("after %d ms: %v", at, found)
			}
		}
	})
}
