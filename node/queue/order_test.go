package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// idOf is the queue of that destination.
func (g *rig) idOf(t *testing.T, domain string) (id, name string) {
	t.Helper()
	for _, q := range g.List() {
		if q.Destination.Domain == domain && q.Kind == KindRemote {
			return q.ID, q.name
		}
	}
	t.Fatalf("no queue for %s in %+v", domain, g.List())
	return "", ""
}

func (g *rig) act(t *testing.T, sel Selection, o Order) Tally {
	t.Helper()
	tally, err := g.Act(context.Background(), sel, o, false)
	if err != nil {
		t.Fatal(err)
	}
	return tally
}

func (g *rig) seen(kind string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if strings.HasPrefix(e, kind+" ") {
			n++
		}
	}
	return n
}

// again is the node after a kill: the same spool, the rest anew.
func (g *rig) again() *rig {
	next := newRig()
	next.store = g.store
	return next
}

var (
	byHand     = Order{Verb: VerbFreeze, Hold: HoldByHand, Note: Note{By: "ada", Reason: "look at it"}}
	letGo      = Order{Verb: VerbThaw}
	withReport = Order{Verb: VerbDelete, Report: true, Status: mail.StatusNotAccepting, Note: Note{By: "ada", Reason: "junk"}}
)

func away(g *rig) {
	g.agent.dial = func(h mail.Hop) error {
		if h.Kind == mail.HopLocal {
			return nil
		}
		return errAway
	}
}

// A frozen queue takes mail and gives none out, says why, stays frozen over a
// restart though it is empty, and lets everything go when it is thawed.
func TestFrozenQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		_, name := g.idOf(t, "x")
		if n, err := g.FreezeQueues([]string{name}, NoteOf("ada", "their host is ill", time.Now())); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		g.send(2, "c@x")
		g.send(3, "d@y")
		g.Retry(nil, false)
		pass(30 * time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"y d@y"})
		q := g.queue(t, KindRemote)
		want := "`queue thaw`: frozen by ada: their host is ill; messages still expire"
		if q.State != Frozen || q.WaitingFor != want || q.Messages != 2 || q.NextHop != "x" || q.Frozen.By != "ada" {
			t.Errorf("%+v, want %q", q, want)
		}
		if err := g.stop(); err != nil {
			t.Fatal(err)
		}

		g2 := g.again().start()
		g2.send(4, "e@x")
		pass(time.Minute)
		equal(t, "after a restart", g2.agent.got(), nil)
		if q := g2.queue(t, KindRemote); q.State != Frozen || q.Messages != 3 {
			t.Errorf("%+v", q)
		}
		if n, err := g2.ThawQueues([]string{name, "2|0||0||||SMTP|other"}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		equal(t, "thawed", g2.agent.got(), []string{"x b@x", "x c@x", "x e@x"})
		// An empty queue stays listed while it is frozen.
		if _, err := g2.FreezeQueues([]string{name}, Note{At: 1}); err != nil {
			t.Fatal(err)
		}
		g2.idOf(t, "x")
		if err := g2.stop(); err != nil {
			t.Fatal(err)
		}
		g3 := g2.again().start()
		synctest.Wait()
		g3.idOf(t, "x")
		if _, err := g3.ThawQueues([]string{name}); err != nil {
			t.Fatal(err)
		}
		if err := g3.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// The order is on disk or it is refused: it is not half there.
func TestFreezeOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		_, name := g.idOf(t, "x")
		full := errors.New("full")
		g.store.mu.Lock()
		g.store.fail = func(call string) error {
			if call == "control" {
				return full
			}
			return nil
		}
		g.store.mu.Unlock()
		if _, err := g.FreezeQueues([]string{name}, Note{At: 1}); !errors.Is(err, full) {
			t.Error(err)
		}
		if err := g.SetOutbound(&Note{At: 1}); !errors.Is(err, full) || g.Outbound() != nil {
			t.Error(err, g.Outbound())
		}
		if q := g.queue(t, KindRemote); q.State != Retry {
			t.Errorf("%+v", q)
		}
		g.stop()
	})
}

// What waits in a frozen queue expires as ever, with the code of the original; the
// time of a message that is frozen by itself stands still.
func TestTimeOfTheFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		var created time.Time
		g.agent.answer = func(h mail.Hop, tr *mail.Transaction, _ mail.Target) mail.Outcome {
			if h.Kind == mail.HopLocal {
				return delivered
			}
			g.agent.mu.Lock()
			created = tr.Envelope.Created
			g.agent.mu.Unlock()
			return mail.Defer(mail.StatusSystemFull, "later")
		}
		g.start()
		g.send(1, "b@x")
		one := g.send(2, "c@y")
		synctest.Wait()
		_, name := g.idOf(t, "x")
		if _, err := g.FreezeQueues([]string{name}, NoteOf("ada", "", time.Now())); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Hour) // of four
		if got := g.act(t, Selection{IDs: []mail.ID{one.ID}}, byHand); got.Messages != 1 || got.Octets != 1000 {
			t.Errorf("%+v", got)
		}
		pass(100 * time.Hour)
		equal(t, "reports", slices.Sorted(slices.Values(g.reporter.got())), []string{"delay to a@here: b@x 4.3.2", "delay to a@here: c@y 4.4.1", "failure to a@here: b@x 4.3.2"})
		list, err := g.Messages("", 0)
		if err != nil || len(list) == 0 || list[0].Hold != HoldByHand || list[0].Frozen.Reason != "look at it" {
			t.Errorf("%+v, %v", list, err)
		}
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		g.act(t, Selection{IDs: []mail.ID{one.ID}}, letGo)
		pass(time.Minute / 2)
		g.agent.mu.Lock()
		if want := one.Created.Add(100 * time.Hour); created.Before(want) {
			t.Errorf("the next host counts from %v, want %v", created, want)
		}
		g.agent.mu.Unlock()
		pass(58 * time.Minute)
		if n := len(g.reporter.got()); n != 3 {
			t.Errorf("expired early: %q", g.reporter.got())
		}
		pass(20 * time.Minute)
		if got := g.reporter.got(); len(got) < 4 || !strings.HasPrefix(got[3], "failure to a@here: c@y") {
			t.Errorf("reports %q", got)
		}
		g.stop()
	})
}

// A message is frozen, survives a restart so, and part of it goes on.
func TestFrozenPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		env := g.send(1, "b@x", "c@x", "d@x", "e@y")
		synctest.Wait()
		only := func(local ...string) func(Item) bool {
			return func(it Item) bool { return slices.Contains(local, it.Target.Address.Local) }
		}
		if got := g.act(t, Selection{Match: only("b", "c")}, byHand); got.Messages != 1 || got.Recipients != 2 {
			t.Errorf("%+v", got)
		}
		if got := g.act(t, Selection{Match: only("d")}, withReport); got.Messages != 1 || got.Recipients != 1 {
			t.Errorf("%+v", got)
		}
		if got := g.act(t, Selection{Match: only("nobody")}, withReport); got.Messages != 0 {
			t.Errorf("%+v", got)
		}
		synctest.Wait() // the report is delivered
		g.stop()

		g2 := g.again().start()
		pass(2 * time.Hour)
		equal(t, "delivered", g2.agent.got(), []string{"y e@y"})
		equal(t, "reports", g.reporter.got(), []string{"failure to a@here: d@x 4.3.2"})
		if n := g.seen("FREEZE"); n != 1 {
			t.Errorf("%d events FREEZE in %q", n, g.events)
		}
		// One of the two goes on, then a thaw of the other finds the first still there.
		g2.agent.mu.Lock()
		g2.agent.dial = func(mail.Hop) error { return errAway }
		g2.agent.mu.Unlock()
		g2.act(t, Selection{Match: only("b")}, letGo)
		synctest.Wait()
		if got := g2.act(t, Selection{IDs: []mail.ID{env.ID}, Match: only("c")}, letGo); got.Messages != 1 {
			t.Errorf("%+v", got)
		}
		g2.agent.mu.Lock()
		g2.agent.dial = nil
		g2.agent.mu.Unlock()
		pass(time.Hour)
		equal(t, "in the end", g2.agent.got(), []string{"x b@x", "x c@x", "y e@y"})
		g2.stop()
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
	})
}

// Who is in flight is deleted after the attempt, if it is still there then.
func TestDeleteInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		outcome mail.Outcome
		want    []string
	}{
		"delivered": {delivered, nil},
		"deferred":  {mail.Defer(mail.StatusSystemFull, "later"), []string{"failure to a@here: b@x 4.3.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				gate := make(chan struct{})
				g.agent.answer = func(h mail.Hop, _ *mail.Transaction, _ mail.Target) mail.Outcome {
					if h.Name == "x" {
						<-gate
						return c.outcome
					}
					return delivered
				}
				g.start()
				env := g.send(1, "b@x")
				synctest.Wait()
				got := make(chan Tally)
				go func() {
					tally, err := g.Act(context.Background(), Selection{IDs: []mail.ID{env.ID}}, withReport, false)
					if err != nil {
						t.Error(err)
					}
					got <- tally
				}()
				if tally := <-got; tally.Later != 1 || tally.Messages != 0 {
					t.Errorf("%+v", tally)
				}
				close(gate)
				pass(time.Minute)
				equal(t, "reports", g.reporter.got(), c.want)
				g.stop()
				if n := g.store.len(); n != 0 {
					t.Errorf("%d messages left", n)
				}
			})
		})
	}
}

// A report that cannot be written keeps the message.
func TestDeleteWithoutReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		g.reporter.mu.Lock()
		g.reporter.err = errors.New("no room")
		g.reporter.mu.Unlock()
		tally := g.act(t, Selection{}, withReport)
		if tally.Messages != 0 || tally.Refused["the report to the sender cannot be written: no room"] != 1 || g.store.len() != 1 {
			t.Errorf("%+v, %d messages", tally, g.store.len())
		}
		// Without one it goes.
		silent := withReport
		silent.Report = false
		dry, err := g.Act(context.Background(), Selection{}, silent, true)
		if err != nil || dry.Messages != 1 || g.store.len() != 1 {
			t.Errorf("%+v, %v, %d messages", dry, err, g.store.len())
		}
		if tally := g.act(t, Selection{}, silent); tally.Messages != 1 || g.store.len() != 0 {
			t.Errorf("%+v, %d messages", tally, g.store.len())
		}
		g.stop()
	})
}

// Mail is sent another way: to a host, to a connector that takes it, and back.
func TestRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		k := mail.GUID{7}
		g.router.set("SMTP:x@"+k.String(), mail.Hop{Kind: mail.HopSmartHost, Name: "relay", Connector: k, Hosts: []string{"relay"}})
		g.agent.dial = func(h mail.Hop) error {
			if h.Name == "x" || h.Name == "y" {
				return errAway
			}
			return nil
		}
		g.start()
		g.send(1, "b@x", "c@here", "d@y")
		synctest.Wait()
		idX, _ := g.idOf(t, "x")
		tally := g.act(t, Selection{}, Order{Verb: VerbRedirect, To: Way{Connector: k, Name: "backup"}})
		if tally.Messages != 1 || tally.Refused["connector backup does not take mail for y from here: y"] != 1 {
			t.Errorf("%+v", tally)
		}
		synctest.Wait()
		equal(t, "over the connector", g.agent.got(), []string{"local delivery c@here", "relay b@x"})
		if _, unknown := g.QueueNames([]string{idX}); len(unknown) != 1 {
			t.Errorf("queue %s is still there", idX)
		}
		g.act(t, Selection{}, Order{Verb: VerbRedirect, To: Way{Host: "other.example:25", Name: "other.example:25"}})
		synctest.Wait()
		equal(t, "to a host", g.agent.got(), []string{"local delivery c@here", "other.example:25 d@y", "relay b@x"})
		if n := g.seen("REDIRECT"); n != 2 {
			t.Errorf("%d events REDIRECT in %q", n, g.events)
		}
		g.stop()
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
	})
}

// With outbound mail disabled everything that leaves the server waits, over a
// restart too, and local delivery goes on.
func TestOutboundDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		note := NoteOf("ada", "the line is billed by the octet", time.Now())
		if err := g.SetOutbound(&note); err != nil {
			t.Fatal(err)
		}
		g.send(1, "b@x", "c@here")
		synctest.Wait()
		g.stop()
		g2 := g.again().start()
		g2.send(2, "d@y", "e@here")
		pass(time.Minute)
		equal(t, "delivered", append(g.agent.got(), g2.agent.got()...), []string{"local delivery c@here", "local delivery e@here"})
		want := "`node outbound enable`: frozen by ada: the line is billed by the octet; messages still expire"
		if q := g2.queue(t, KindRemote); q.State != Frozen || q.WaitingFor != want {
			t.Errorf("%+v, want %q", q, want)
		}
		if err := g2.SetOutbound(nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "enabled", g2.agent.got(), []string{"local delivery e@here", "x b@x", "y d@y"})
		g2.stop()
	})
}

func rule(name string, o Order, local string) Rule {
	if o.Verb == VerbFreeze {
		o.Hold = RuleHold(name)
	}
	o.Note.Reason = "policy"
	o.Match = func(it Item) bool { return it.Target.Address.Local == local }
	return Rule{Name: name, Order: o}
}

// Rules hold, return and redirect what comes and what waits; what they hold goes
// on when they end, by themselves, over restarts.
func TestRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "held@x", "back@x", "on@x", "plain@x")
		synctest.Wait()
		hold := rule("hold", Order{Verb: VerbFreeze}, "held")
		hold.Until = time.Now().Add(5 * time.Hour).UnixMilli()
		rules := []Rule{hold,
			rule("bounce", Order{Verb: VerbDelete, Report: true, Status: mail.StatusNoPermission}, "back"),
			rule("divert", Order{Verb: VerbRedirect, To: Way{Host: "other", Name: "other"}}, "on")}
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		g.SetRules(rules)
		pass(time.Hour)
		g.send(2, "held@x", "back@x", "on@x", "plain@x")
		pass(time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"local delivery a@here", "local delivery a@here", "other on@x", "other on@x", "x plain@x", "x plain@x"})
		equal(t, "reports", g.reporter.got(), []string{"failure to a@here: back@x 5.7.1", "failure to a@here: back@x 5.7.1"})
		if _, held := g.Stopped(); held[RuleHold("hold")] != 2 {
			t.Errorf("held %v", held)
		}
		g.stop()

		g2 := g.again()
		g2.start(func(c *Config) { c.Rules = rules })
		pass(time.Hour)
		equal(t, "after a restart", g2.agent.got(), nil)
		pass(3 * time.Hour)
		equal(t, "at its end", g2.agent.got(), []string{"x held@x", "x held@x"})
		if g2.seen("THAW held@x") != 2 {
			t.Errorf("events %q", g2.events)
		}
		// A message that somebody let go is not held again; a rule that is taken away
		// lets go what it held.
		open := rule("open", Order{Verb: VerbFreeze}, "held")
		g2.SetRules([]Rule{open})
		g2.agent.mu.Lock()
		g2.agent.dial = func(mail.Hop) error { return errAway }
		g2.agent.mu.Unlock()
		free := g2.send(3, "held@y")
		g2.send(4, "held@z")
		synctest.Wait()
		g2.act(t, Selection{IDs: []mail.ID{free.ID}}, letGo)
		g2.SetRules([]Rule{open, rule("other", Order{Verb: VerbFreeze}, "nobody")})
		synctest.Wait()
		if _, held := g2.Stopped(); held[RuleHold("open")] != 1 {
			t.Errorf("held %v", held)
		}
		g2.agent.mu.Lock()
		g2.agent.dial = nil
		g2.agent.mu.Unlock()
		g2.SetRules(nil)
		pass(time.Hour)
		if n := g2.store.len(); n != 0 {
			t.Errorf("%d messages left: %+v", n, g2.List())
		}
		g2.stop()
	})
}
