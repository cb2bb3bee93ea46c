package queue

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// killed is the node after a kill at this moment: what was on disk, the rest anew. The
// old one may go on; nobody hears of it.
func (g *rig) killed() *rig {
	next := newRig()
	g.store.mu.Lock()
	defer g.store.mu.Unlock()
	next.store.control = slices.Clone(g.store.control)
	for id, m := range g.store.msgs {
		c := *m
		c.entries = maps.Clone(m.entries)
		next.store.msgs[id] = &c
	}
	return next
}

func (g *rig) byID(t *testing.T, id string) Info {
	t.Helper()
	for _, q := range g.List() {
		if q.ID == id {
			return q
		}
	}
	t.Fatalf("no queue %s", id)
	return Info{}
}

// Each stage before routing stops as a whole: what comes in stays, is listed there with
// the reason, over a kill too, and goes on when the stage is thawed.
func TestFrozenStages(t *testing.T) {
	for _, id := range []string{IDPreSubmission, IDDirectory, IDRouting} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig().start()
				if n, err := g.FreezeStages([]string{id}, NoteOf("ada", "look", time.Now())); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				g.send(1, "b@x")
				pass(100 * time.Hour)
				equal(t, "delivered", g.agent.got(), nil)
				g2 := g.killed()
				g.stop()
				g2.start()
				g2.send(2, "c@x")
				synctest.Wait()
				q := g2.byID(t, id)
				want := "`queue thaw " + id + "`: frozen by ada: look; messages do not expire meanwhile"
				if q.State != Frozen || !q.Whole || q.Messages != 2 || q.WaitingFor != want || q.OldestAge < 99*time.Hour {
					t.Errorf("%+v", q)
				}
				list, err := g2.Messages(id, 0)
				if err != nil || len(list) != 2 || list[0].State != "frozen" {
					t.Errorf("%+v, %v", list, err)
				}
				if n, _ := g2.Stopped(); n != 1 {
					t.Errorf("%d are frozen", n)
				}
				// One by one they do not go: the stage is frozen.
				if got := g2.act(t, Selection{Queues: []string{id}}, letGo); got.Messages != 0 {
					t.Errorf("%+v", got)
				}
				equal(t, "after a kill", g2.agent.got(), nil)
				if n, err := g2.ThawStages([]string{id, IDPoison}); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				pass(time.Minute)
				equal(t, "thawed", g2.agent.got(), []string{"x b@x", "x c@x"})
				if n, err := g2.ThawStages([]string{id}); n != 0 || err != nil {
					t.Error(n, err)
				}
				g2.stop()
			})
		})
	}
}

// Frozen pre-submission does not stop the node's own reports, however full it is; they
// are stopped by themselves.
func TestFrozenReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		g.inMu.Lock()
		g.intake.limit = 3
		g.inMu.Unlock()
		for _, id := range []string{IDPreSubmission, IDReports} {
			if _, err := g.FreezeStages([]string{id}, Note{At: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 10 {
			g.send(n+1, "b@x")
		}
		report := envelope(20, "r@y")
		report.System = true
		g.store.accept(report)
		g.Enqueue(report.ID, report)
		synctest.Wait()
		if a, b := g.byID(t, IDPreSubmission), g.byID(t, IDReports); a.Messages != 10 || b.Messages != 1 {
			t.Errorf("%+v, %+v", a, b)
		}
		g2 := g.killed()
		g.stop()
		g2.start()
		synctest.Wait()
		if a, b := g2.byID(t, IDPreSubmission), g2.byID(t, IDReports); a.Messages != 10 || b.Messages != 1 {
			t.Errorf("after a kill: %+v, %+v", a, b)
		}
		if _, err := g2.ThawStages([]string{IDReports}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "reports", g2.agent.got(), []string{"y r@y"})
		if _, err := g2.ThawStages([]string{IDPreSubmission}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := len(g2.agent.got()); n != 11 {
			t.Errorf("%d delivered", n)
		}
		g2.stop()
	})
}

// What waits for the directory is frozen by itself, stays so over a kill though the
// directory answers, does not expire, and goes on with the time that it had left.
func TestFrozenBeforeRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.dir.err = errors.New("the directory is away")
		g.start()
		one := g.send(1, "b@x")
		g.send(2, "c@x")
		pass(time.Hour) // of four
		if got := g.act(t, Selection{IDs: []mail.ID{one.ID}}, byHand); got.Messages != 1 || got.Recipients != 1 || got.Octets != 1000 {
			t.Errorf("%+v", got)
		}
		if got := g.act(t, Selection{IDs: []mail.ID{one.ID}}, byHand); got.Messages != 0 {
			t.Errorf("frozen twice: %+v", got)
		}
		_, held := g.Stopped()
		list, err := g.Messages(IDDirectory, 0)
		if err != nil || held[HoldByHand] != 1 || len(list) != 2 || list[0].State != "frozen" || list[0].Hold != HoldByHand || list[0].Frozen.Reason != "look at it" || list[1].State == "frozen" {
			t.Errorf("%v, %+v, %v", held, list, err)
		}
		pass(10 * time.Hour)
		if got := g.reporter.got(); got[0] != "failure to a@here: c@x 4.4.3" {
			t.Errorf("reports %q", got)
		}

		g2 := g.killed()
		g.stop()
		g2.start()
		pass(100 * time.Hour)
		equal(t, "after a kill", g2.agent.got(), nil)
		g2.agent.mu.Lock()
		g2.agent.dial = func(mail.Hop) error { return errAway }
		g2.agent.mu.Unlock()
		if got := g2.act(t, Selection{Match: func(it Item) bool { return it.Queue.State == Frozen }}, letGo); got.Messages != 1 {
			t.Errorf("%+v", got)
		}
		pass(2*time.Hour + 50*time.Minute) // of three
		for _, got := range g2.reporter.got() {
			if strings.HasPrefix(got, "failure") {
				t.Errorf("expired early: %q", got)
			}
		}
		g3 := g2.killed()
		g2.stop()
		if g3.start(); g3.early.Load() != 0 {
			t.Errorf("%d messages are remembered that have a plan", g3.early.Load())
		}
		pass(20 * time.Minute)
		if got := g3.agent.got(); !slices.Contains(got, "x b@x") {
			t.Errorf("delivered %q", got)
		}
		g3.stop()
	})
}

// Deleted before routing: by ID and by queue, with a report and without, for good.
func TestDeleteBeforeRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.start()
		if _, err := g.FreezeStages([]string{IDPreSubmission}, Note{At: 1}); err != nil {
			t.Fatal(err)
		}
		var sent []*mail.Envelope
		for n := range 5 {
			sent = append(sent, g.send(n+1, "b@x", "c@y"))
		}
		silent := withReport
		silent.Report = false
		only := Selection{Match: func(it Item) bool { return it.Target.Address.Local == "b" }}
		if got := g.act(t, only, silent); got.Messages != 0 || got.Refused[errPartEarly.Error()] != 5 {
			t.Errorf("a part of them: %+v", got)
		}
		if got := g.act(t, Selection{IDs: []mail.ID{sent[0].ID}}, withReport); got.Messages != 1 || got.Recipients != 2 {
			t.Errorf("%+v", got)
		}
		synctest.Wait() // the report goes its way
		dry, err := g.Act(t.Context(), Selection{Queues: []string{IDPreSubmission}}, silent, true)
		if err != nil || dry.Messages != 4 || g.store.len() < 4 {
			t.Errorf("%+v, %v", dry, err)
		}
		if got := g.act(t, Selection{Queues: []string{IDReports}}, silent); got.Messages != 0 {
			t.Errorf("another queue: %+v", got)
		}
		if got := g.act(t, Selection{Queues: []string{IDPreSubmission}}, silent); got.Messages != 4 || got.Recipients != 8 {
			t.Errorf("%+v", got)
		}
		pass(time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"local delivery a@here"})
		equal(t, "reports", g.reporter.got(), []string{"failure to a@here: b@x 4.3.2 c@y 4.3.2"})
		if q := g.byID(t, IDPreSubmission); q.Messages != 0 || g.store.len() != 0 {
			t.Errorf("%+v, %d messages", q, g.store.len())
		}
		g.stop()
	})
}

// Who categorizes a message at the moment of an order finishes; the order finds it
// where it went.
func TestOrderMeetsCategorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		gate := make(chan struct{})
		g.dir.wait = gate
		g.start()
		env := g.send(1, "b@x")
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(gate) })
		if got := g.act(t, Selection{IDs: []mail.ID{env.ID}}, byHand); got.Messages != 1 {
			t.Errorf("%+v", got)
		}
		list, err := g.Messages("", 0)
		if err != nil || len(list) != 1 || list[0].Hold != HoldByHand || list[0].Kind != KindRemote {
			t.Errorf("%+v, %v", list, err)
		}
		g.stop()
	})
}

// An order that cannot be kept is refused, and the message goes its way.
func TestFreezeBeforeRoutingOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.dir.err = errors.New("the directory is away")
		g.start()
		env := g.send(1, "b@x")
		synctest.Wait()
		g.store.mu.Lock()
		g.store.fail = func(call string) error {
			if call == "control" {
				return spool.ErrFull
			}
			return nil
		}
		g.store.mu.Unlock()
		if tally, err := g.Act(t.Context(), Selection{IDs: []mail.ID{env.ID}}, byHand, false); !errors.Is(err, spool.ErrFull) || tally.Messages != 0 {
			t.Errorf("%+v, %v", tally, err)
		}
		if _, err := g.FreezeStages([]string{IDDirectory}, Note{At: 1}); !errors.Is(err, spool.ErrFull) {
			t.Error(err)
		}
		g.dir.mu.Lock()
		g.dir.err = nil
		g.dir.mu.Unlock()
		pass(2 * time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"x b@x"})
		g.stop()
	})
}
