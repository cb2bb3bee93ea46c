package queue

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// RFC 4865: held to the second, over a restart, whatever else is retried; the time
// for delivering begins at the end.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		synctest.Wait()                        // what is listed from the spool while it is announced is looked at twice
		until := time.Now().Add(6 * time.Hour) // longer than the expiration
		env := envelope(1, "b@x", "c@here", "nobody@x")
		env.HoldUntil = until
		g.store.accept(env)
		g.Enqueue(env.ID, env)
		synctest.Wait()
		equal(t, "reports", g.reporter.got(), []string{"failure to a@here: nobody@x 5.1.1"}) // not after the hold
		q := g.queue(t, KindDeferred)
		if want := "the time that its sender asked for; the first at 2000-01-01 06:00:00Z"; q.State != Scheduled || q.WaitingFor != want || !q.NextAttempt.Equal(until) || q.Messages != 1 {
			t.Errorf("%+v, want it to wait for %q", q, want)
		}
		list, err := g.Messages(IDDeferred, 0)
		if err != nil || len(list) != 2 {
			t.Errorf("messages %+v, %v", list, err)
		}
		pass(3 * time.Hour)
		g.Retry(nil, false)
		pass(2 * time.Hour)
		g.stop()

		again := newRig()
		again.store, again.agent.dial = g.store, func(h mail.Hop) error {
			if h.Name == "x" {
				return errAway
			}
			return nil
		}
		again.start()
		pass(59 * time.Minute)
		equal(t, "before", again.agent.got(), nil)
		pass(time.Minute)
		equal(t, "after", again.agent.got(), []string{"local delivery c@here"})
		pass(3*time.Hour + 59*time.Minute)
		if n := len(again.reporter.got()); n != 1 {
			t.Errorf("reports %q", again.reporter.got())
		}
		pass(2 * time.Minute)
		if got := again.reporter.got(); len(got) != 2 || got[1] != "failure to a@here: b@x 4.4.7" {
			t.Errorf("reports %q", got)
		}
		again.stop()
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
	})
}

// RFC 2852 section 4.1.4: what has not been delivered by its time is given up, or
// told of once.
func TestDeliverBy(t *testing.T) {
	for name, c := range map[string]struct {
		back bool
		want []string
	}{
		"return": {true, []string{"failure to a@here: b@x 5.4.7"}},
		"notify": {false, []string{"delay to a@here: b@x 4.4.7", "delay to a@here: b@x 4.4.1", "failure to a@here: b@x 4.4.7"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.agent.dial = func(h mail.Hop) error {
					if h.Name == "x" {
						return errAway
					}
					return nil
				}
				g.start()
				env := envelope(1, "b@x")
				env.DeliverBy = mail.DeliverBy{Deadline: time.Now().Add(30 * time.Minute), Return: c.back}
				g.store.accept(env)
				g.Enqueue(env.ID, env)
				pass(29 * time.Minute)
				equal(t, "before", g.reporter.got(), nil)
				pass(2 * time.Minute)
				equal(t, "after", g.reporter.got(), c.want[:1])
				g.stop()
				// The rest after a restart: what was told is not told again.
				again := newRig()
				again.store, again.agent.dial = g.store, g.agent.dial
				again.start()
				pass(5 * time.Hour)
				equal(t, "at last", again.reporter.got(), c.want[1:])
				again.stop()
			})
		})
	}
}

// A trace asked for by BY is reported whatever NOTIFY says, but NEVER.
func TestTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
			o := delivered
			o.Traced = true
			return o
		}
		g.start()
		env := envelope(1, "b@x", "c@x")
		env.Recipients[1].Notify = mail.NotifyNever
		g.store.accept(env)
		g.Enqueue(env.ID, env)
		synctest.Wait()
		if got := g.reporter.got(); len(got) == 0 || got[0] != "success to a@here: b@x 2.0.0" {
			t.Errorf("reports %q", got)
		}
		g.stop()
	})
}

func noNotice(c *Config) { c.Clock.DelayNotice = 0 }

func timetable(open func(quarter int) bool) *mail.Timetable {
	t := &mail.Timetable{Name: "night"}
	for i := range t.Open {
		t.Open[i] = open(i % (24 * 4))
	}
	return t
}

func scheduled(open func(quarter int) bool) mail.Hop {
	return mail.Hop{Kind: mail.HopSmartHost, Name: "relay", Connector: mail.GUID{7}, ConnectorName: "out", Hosts: []string{"relay:25"},
		Options: mail.HopOptions{Timetable: timetable(open)}}
}

// Mail waits for the schedule, says so, leaves at the opening, and waits again
// after.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", scheduled(func(q int) bool { return q >= 4 && q < 6 })) // 01:00 to 01:30
		g.start(noNotice)
		g.send(1, "b@x")
		synctest.Wait()
		q := g.queue(t, KindRemote)
		if want := "schedule night of connector out, which opens at 2000-01-01 01:00:00Z"; q.State != Scheduled || q.WaitingFor != want || q.NextAttempt.Hour() != 1 {
			t.Errorf("%+v, want it to wait for %q", q, want)
		}
		pass(59 * time.Minute)
		if len(g.agent.dialled()) != 0 || len(g.heard()) != 0 {
			t.Errorf("dialled %q, link state heard %q", g.agent.dialled(), g.heard())
		}
		pass(time.Minute)
		equal(t, "at the opening", g.agent.got(), []string{"relay b@x"})
		pass(29*time.Minute + 59*time.Second)
		g.send(2, "c@x")
		pass(time.Second / 2)
		equal(t, "at the end", g.agent.got(), []string{"relay b@x", "relay c@x"})
		pass(time.Second)
		g.send(3, "d@x") // while the connection is still open
		pass(time.Minute)
		equal(t, "closed", g.agent.got(), []string{"relay b@x", "relay c@x"})
		// The administrator's word is above the schedule, once.
		if f := g.Retry([]string{g.queue(t, KindRemote).ID}, false); f != (Forced{1, 1, 1}) {
			t.Errorf("forced %+v", f)
		}
		synctest.Wait()
		equal(t, "forced", g.agent.got(), []string{"relay b@x", "relay c@x", "relay d@x"})
		pass(time.Minute)
		g.send(4, "e@x")
		pass(time.Minute)
		equal(t, "closed again", g.agent.got(), []string{"relay b@x", "relay c@x", "relay d@x"})
		// Another schedule holds at once.
		g.router.set("SMTP:x", scheduled(func(int) bool { return true }))
		synctest.Wait()
		if got := g.agent.got(); len(got) != 4 {
			t.Errorf("delivered %q", got)
		}
		g.stop()
	})
}

// slowScale lets others go first.
type slowScale struct{ Store }

func (s slowScale) Weigh(queue string) spool.Weight {
	for range 10_000 {
		runtime.Gosched()
	}
	return s.Store.Weigh(queue)
}

// What an administrator forces, and what the other side asks for, is counted before it goes.
func TestOpenedQueuesAreCountedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := scheduled(func(int) bool { return false })
		remote := shut
		remote.Options = mail.HopOptions{Remote: true}
		g := newRig()
		g.router.set("SMTP:x", shut)
		g.router.set("SMTP:y", remote)
		g.start(noNotice, func(c *Config) { c.Store = slowScale{c.Store} })
		g.send(1, "b@x")
		synctest.Wait()
		if f := g.Retry([]string{g.queue(t, KindRemote).ID}, false); f != (Forced{1, 1, 1}) {
			t.Errorf("forced %+v", f)
		}
		synctest.Wait()
		g.send(2, "b@y")
		synctest.Wait()
		if queues, n := g.Trigger(forDomain("y")); queues != 1 || n != 1 {
			t.Errorf("asked for %d messages of %d queues", n, queues)
		}
		synctest.Wait()
		equal(t, "gone", g.agent.got(), []string{"relay b@x", "relay b@y"})
		g.stop()
	})
}

func TestNeverOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", scheduled(func(int) bool { return false }))
		g.start(noNotice)
		g.send(1, "b@x")
		pass(3 * time.Hour)
		q := g.queue(t, KindRemote)
		if q.State != Scheduled || !q.NextAttempt.IsZero() || !strings.Contains(q.WaitingFor, "never open") || len(g.agent.dialled()) != 0 {
			t.Errorf("%+v, dials %q", q, g.agent.dialled())
		}
		g.stop()
	})
}

// Mail of a remote-triggered connector goes when it is asked for, and only that
// of who asked.
func TestRemoteTriggered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		for _, d := range []string{"x", "y"} {
			g.router.set("SMTP:"+d, mail.Hop{Kind: mail.HopSmartHost, Name: d, Connector: mail.GUID{d[0]}, Hosts: []string{d + ":25"}, Options: mail.HopOptions{Remote: true}})
		}
		g.start()
		g.send(1, "b@x")
		g.send(2, "c@y")
		pass(time.Hour / 2)
		q := g.queue(t, KindRemote)
		if q.State != Remote || !strings.HasPrefix(q.WaitingFor, "the other side to ask for its mail") || len(g.agent.dialled()) != 0 {
			t.Errorf("%+v, dials %q", q, g.agent.dialled())
		}
		ask := func() (int, int64) {
			return g.Trigger(func(k Key, _ mail.Hop) bool { return k.Destination.Domain == "x" })
		}
		if queues, n := ask(); queues != 1 || n != 1 {
			t.Errorf("%d queues, %d messages", queues, n)
		}
		pass(time.Minute)
		equal(t, "asked for", g.agent.got(), []string{"x b@x"})
		if queues, n := ask(); queues != 0 || n != 0 {
			t.Errorf("%d queues, %d messages", queues, n)
		}
		g.send(3, "d@x")
		pass(time.Minute)
		equal(t, "not asked for", g.agent.got(), []string{"x b@x"})
		g.stop()
	})
}

// ATRN and TURN: the other side opened the connection and takes all that is its
// own over it; nothing is dialled meanwhile, and what it leaves waits again.
func TestHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		for _, d := range []string{"x", "y", "z"} {
			g.router.set("SMTP:"+d, mail.Hop{Kind: mail.HopSmartHost, Name: d, Connector: mail.GUID{d[0]}, Hosts: []string{d + ":25"}, Options: mail.HopOptions{Remote: true}})
		}
		g.start(noNotice)
		for i, to := range []string{"b@x", "c@x", "d@y", "e@z"} {
			g.send(i+1, to)
		}
		synctest.Wait()
		mine := func(k Key, _ mail.Hop) bool { return k.Destination.Domain != "z" }
		if !g.Offers(mine) || g.Offers(func(k Key, _ mail.Hop) bool { return k.Destination.Domain == "other" }) {
			t.Error("offers something else")
		}
		var got []string
		g.Hand(t.Context(), mine, func(ctx context.Context, _ mail.Hop, f mail.Feed) error {
			for tr := f.Next(); tr != nil; tr = f.Next() {
				o := delivered
				if tr.Targets[0].Address.Local == "c" {
					o = mail.Defer(mail.StatusMailboxFull, "later")
				}
				got = append(got, tr.Targets[0].Address.String())
				f.Done(tr, []mail.Outcome{o})
			}
			if f.Wait(time.Hour) {
				t.Error("waits for more")
			}
			return errAway
		})
		equal(t, "handed over", got, []string{"b@x", "c@x", "d@y"})
		pass(3 * time.Hour)
		if n := g.store.len(); n != 2 || len(g.agent.dialled()) != 0 {
			t.Errorf("%d messages left, want c@x and e@z; dialled %q", n, g.agent.dialled())
		}
		if q := g.queue(t, KindRemote); q.State != Remote {
			t.Errorf("%+v", q)
		}
		g.Hand(t.Context(), mine, func(context.Context, mail.Hop, mail.Feed) error { return nil })
		g.stop()
	})
}

// Mailboxes here have times of their own.
func TestLocalExpiration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(h mail.Hop) error {
			if h.Kind == mail.HopLocal {
				return errAway
			}
			return nil
		}
		g.start(func(c *Config) { c.Clock.LocalDelayNotice, c.Clock.LocalExpiration = 30*time.Minute, 2*time.Hour })
		env := envelope(1, "b@here")
		env.From.Domain = "x"
		g.store.accept(env)
		g.Enqueue(env.ID, env)
		pass(31 * time.Minute)
		equal(t, "delay", g.reporter.got(), []string{"delay to a@x: b@here 4.4.1"})
		pass(90 * time.Minute)
		equal(t, "failure", g.reporter.got()[1:], []string{"failure to a@x: b@here 4.4.7"})
		g.stop()
	})
}

// However many connectors lead to a domain, its hosts get so many connections.
func TestConnectionsPerDomain(t *testing.T) {
	s := NewScheduler(alone(Limits{PerConnection: 1, PerLink: 4, PerDomain: 3}, testClock))
	for d := range 2 {
		k := keyFor(d)
		s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x", Connector: mail.GUID{byte(d + 1)}}, false, 1)
		for i := range 20 {
			ref := Ref{ID: mail.ID{byte(d + 1), byte(i + 1)}, Due: 1, Created: 1}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, 1)
		}
	}
	open := map[ConnID]bool{}
	dialled := func() (n int) {
		for _, e := range s.Effects() {
			if e.Kind == EffectDial {
				open[e.Conn] = true
				n++
			}
		}
		return n
	}
	n := dialled()
	for range 4 {
		for c := range open {
			s.Take(c, 1)
			s.Worked(c, 1)
			n += dialled()
		}
	}
	if n != 3 {
		t.Errorf("%d connections to one domain, want 3", n)
	}
	k := keyFor(3)
	s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x", Connector: mail.GUID{9}}, false, 1)
	s.Reserve(k.Name(), mail.ID{9})
	s.Commit(k.Name(), Ref{ID: mail.ID{9}, Due: 1, Created: 1}, 1)
	if got := s.info(s.queues[k.Name()], 1).WaitingFor; got != "a free connection: all 3 to x are in use" {
		t.Errorf("a third connector waits for %q", got)
	}
	s.RouteQueue(k.Name(), mail.Hop{Kind: mail.HopUnreachable}, 1)
	s.Closed(1, Ending{}, 1)
	if n := dialled(); n != 1 {
		t.Errorf("%d connections in place of one, want 1", n)
	}
	s.SetSenders(alone(Limits{PerConnection: 1, PerLink: 4, PerDomain: 5}, testClock), 1)
	for range 2 {
		for c := range open {
			s.Worked(c, 1)
			s.Take(c, 1)
		}
	}
	if n := dialled(); n != 2 {
		t.Errorf("%d more after the limit was raised by 2", n)
	}
}

func TestMarksInNames(t *testing.T) {
	k := keyFor(1)
	plain := k.Name()
	k.Held, k.Class.RequireTLS = true, true
	if got := k.Name(); got != "ht"+plain {
		t.Errorf("%q", got)
	}
	back, err := ParseName(k.Name())
	if err != nil || !back.Held || !back.Class.RequireTLS {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err := ParseName("th" + plain); err == nil {
		t.Error("one queue has two names")
	}
}
