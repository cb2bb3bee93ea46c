package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// pulled is the hop of a remote-triggered connector: one smart host for all its domains.
var pulled = mail.Hop{Kind: mail.HopSmartHost, Name: "branch", Connector: mail.GUID{9}, ConnectorName: "branch", Hosts: []string{"branch:25"},
	Options: mail.HopOptions{Remote: true}}

func forDomain(d string) func(Key, mail.Hop) bool {
	return func(k Key, h mail.Hop) bool { return h.Options.Remote && k.Destination.Domain == d }
}

func pulledRig(domains ...string) *rig {
	g := newRig()
	for _, d := range domains {
		g.router.set("SMTP:"+d, pulled)
	}
	return g.start(noNotice)
}

// RFC 1985 section 5: ETRN names a domain. What the same connector holds for others
// stays, also when it comes to the same host.
func TestTriggerOfOneDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pulledRig("x", "y")
		for i, to := range []string{"b@x", "c@y", "d@x", "e@y"} {
			g.send(i+1, to)
		}
		synctest.Wait()
		g.Trigger(forDomain("x"))
		pass(time.Minute)
		equal(t, "asked for x", g.agent.got(), []string{"branch b@x", "branch d@x"})
		if q := g.queue(t, KindRemote); q.State != Remote || q.Messages != 2 {
			t.Errorf("%+v", q)
		}
		g.send(5, "f@x")
		g.Trigger(forDomain("y"))
		pass(time.Minute)
		equal(t, "asked for y", g.agent.got(), []string{"branch b@x", "branch c@y", "branch d@x", "branch e@y"})
		g.Retry([]string{g.queue(t, KindRemote).ID}, false)
		pass(time.Minute)
		equal(t, "forced", g.agent.got(), []string{"branch b@x", "branch c@y", "branch d@x", "branch e@y", "branch f@x"})
		g.stop()
	})
}

// What was asked for and could not be sent waits to be asked for again; nobody else's
// question sends it.
func TestTriggerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pulledRig("x", "y")
		g.agent.mu.Lock()
		g.agent.dial = func(mail.Hop) error { return errAway }
		g.agent.mu.Unlock()
		g.send(1, "b@x")
		g.send(2, "c@y")
		synctest.Wait()
		g.Trigger(forDomain("x"))
		pass(time.Hour)
		if q := g.queue(t, KindRemote); q.State != Remote || len(g.agent.dialled()) != 1 {
			t.Errorf("%+v, dialled %d times", q, len(g.agent.dialled()))
		}
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		g.Trigger(forDomain("y"))
		pass(time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"branch c@y"})
		g.stop()
	})
}

// RFC 2645 section 5.2.1: ATRN with domains gets the mail of these alone; who takes
// mail for one domain would refuse, and so bounce, that of another.
func TestHandOfOneDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pulledRig("x", "y")
		for i, to := range []string{"b@x", "c@y"} {
			g.send(i+1, to)
		}
		both := envelope(3, "d@x", "e@y")
		g.store.accept(both)
		g.Enqueue(both.ID, both)
		synctest.Wait()
		take := func(domain string) (got []string) {
			g.Hand(t.Context(), forDomain(domain), func(_ context.Context, _ mail.Hop, f mail.Feed) error {
				for tr := f.Next(); tr != nil; tr = f.Next() {
					out := make([]mail.Outcome, len(tr.Targets))
					for i, target := range tr.Targets {
						got, out[i] = append(got, target.Address.String()), delivered
					}
					f.Done(tr, out)
				}
				return nil
			})
			return got
		}
		equal(t, "handed over for x", take("x"), []string{"b@x", "d@x"})
		pass(time.Minute)
		if q := g.queue(t, KindRemote); q.State != Remote || q.Messages != 2 {
			t.Errorf("%+v", q)
		}
		equal(t, "handed over for y", take("y"), []string{"c@y", "e@y"})
		pass(time.Minute)
		if n := g.store.len(); n != 0 || len(g.agent.dialled()) != 0 {
			t.Errorf("%d messages left, dialled %q", n, g.agent.dialled())
		}
		g.stop()
	})
}

// RFC 1985 section 5.3 has the answer say how many messages are pending: all, not
// those that happen to be in memory.
func TestTriggerCountsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", pulled)
		g.start(noNotice, func(c *Config) { c.Limits.Window = 8 })
		for i := range 100 {
			g.send(i+1, fmt.Sprintf("b%03d@x", i))
			synctest.Wait()
		}
		if _, n := g.Trigger(forDomain("x")); n != 100 {
			t.Errorf("%d messages are pending, want 100", n)
		}
		pass(time.Minute)
		if n := len(g.agent.got()); n != 100 {
			t.Errorf("%d were delivered", n)
		}
		g.stop()
	})
}

// What was asked for and found no free connection for long is not sent with what
// somebody else asks for then.
func TestTriggerThatStarves(t *testing.T) {
	s := NewScheduler(alone(Limits{Connections: 1}, testClock))
	busy := keyFor(0)
	put(s, busy, mail.Hop{Kind: mail.HopMX, Domain: "busy"}, 1, epoch)
	id := dialOf(t, s)
	s.Take(id, epoch)
	for d := 1; d <= 2; d++ {
		put(s, keyFor(d), pulled, byte(d+1), epoch)
	}
	ask := func(d int, now int64) {
		if names := s.Trigger(forDomain(keyFor(d).Destination.Domain), now); len(names) != 1 {
			t.Fatalf("asked for %q", names)
		}
	}
	ask(1, epoch)
	later := epoch + forcedFor + 1
	ask(2, later)
	s.Gone(busy.Name(), mail.ID{1}, later)
	s.Closed(id, Ending{}, later)
	taken := s.Take(dialOf(t, s), later)
	if len(taken) != 1 || taken[0].Queue != keyFor(2).Name() || s.Take(s.nextID, later) != nil {
		t.Errorf("taken %+v", taken)
	}
}

// That mail is there and stopped is another answer than that there is none.
func TestStoppedMailIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ofX := forDomain("x")
		stop := NoteOf("ada", "", time.Now())
		for name, c := range map[string]func(g *rig, queue string) error{
			"queue":    func(g *rig, queue string) error { _, err := g.FreezeQueues([]string{queue}, stop); return err },
			"outbound": func(g *rig, _ string) error { return g.SetOutbound(&stop) },
			"like": func(g *rig, _ string) error {
				_, err := g.FreezeLike(Likeness{Destination: "SMTP:x"}, stop)
				return err
			},
		} {
			g := newRig()
			g.router.set("SMTP:x", pulled)
			g.start(noNotice, func(c *Config) { c.Limits.Window = 8 })
			if g.Withheld(ofX) {
				t.Errorf("%s: stopped, and nothing was sent", name)
			}
			for i := range 20 {
				g.send(i+1, fmt.Sprintf("b%02d@x", i))
			}
			synctest.Wait()
			if g.Withheld(ofX) {
				t.Errorf("%s: stopped before anybody did that", name)
			}
			_, queue := g.idOf(t, "x")
			if err := c(g, queue); err != nil {
				t.Fatal(err)
			}
			if queues, n := g.Trigger(ofX); queues != 0 || n != 0 || g.Offers(ofX) || !g.Withheld(ofX) {
				t.Errorf("%s: %d queues with %d messages, offered %v, stopped %v", name, queues, n, g.Offers(ofX), g.Withheld(ofX))
			}
			g.stop()
		}
	})
}
