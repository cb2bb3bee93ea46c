package queue

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func (g *rig) outlook(t *testing.T, id mail.ID) Outlook {
	t.Helper()
	list, err := g.Outlook(id, "here", nil)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

// dialled counts the attempts for a next hop.
func (g *rig) dialled(hop string) (n int) {
	for _, h := range g.agent.dialled() {
		if h == hop {
			n++
		}
	}
	return n
}

// blocksOf are the blocks of an outlook, in order.
func blocksOf(o Outlook) string {
	var list []string
	for _, b := range o.Blocks {
		list = append(list, b.Kind)
	}
	return strings.Join(list, ", ")
}

// What is foretold happens: an attempt is made then, and none before.
func TestOutlookComesTrue(t *testing.T) {
	office := &mail.Timetable{Name: "office"}
	for q := range office.Open {
		office.Open[q] = q%96 >= 8 && q%96 < 16 // 02:00 to 04:00
	}
	never := &mail.Timetable{Name: "never"}
	for name, c := range map[string]struct {
		options mail.HopOptions
		dial    error
		answer  *mail.Outcome
		do      func(*rig, *mail.Envelope)
		blocks  string
		after   time.Duration // it leaves; -1: nothing says when
	}{
		"glitch":     {dial: errAway, blocks: BlockLink, after: 10 * time.Second},
		"deferred":   {answer: &mail.Outcome{Result: mail.Deferred, Status: mail.StatusSystemFull, Text: "later", Reply: &mail.Reply{Code: 452}}, blocks: BlockRetry, after: time.Minute},
		"schedule":   {options: mail.HopOptions{Timetable: office}, blocks: BlockSchedule, after: 2 * time.Hour},
		"never":      {options: mail.HopOptions{Timetable: never}, blocks: BlockSchedule, after: -1},
		"remote":     {options: mail.HopOptions{Remote: true}, blocks: BlockRemote, after: -1},
		"held back":  {do: func(g *rig, e *mail.Envelope) { e.HoldUntil = time.Now().Add(3 * time.Hour) }, blocks: BlockDeferred, after: 3 * time.Hour},
		"held, shut": {options: mail.HopOptions{Timetable: office}, do: func(g *rig, e *mail.Envelope) { e.HoldUntil = time.Now().Add(11 * time.Hour) }, blocks: BlockDeferred, after: 11 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.router.hops = map[string]mail.Hop{"SMTP:x": {Kind: mail.HopSmartHost, Name: "x", Hosts: []string{"x:25"}, ConnectorName: "k", Options: c.options}}
				g.agent.dial = func(mail.Hop) error { return c.dial }
				g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
					if c.answer != nil {
						return *c.answer
					}
					return delivered
				}
				g.start()
				env := envelope(1, "b@x")
				env.Created = time.Now()
				if c.do != nil {
					c.do(g, env)
				}
				g.store.accept(env)
				g.Enqueue(env.ID, env)
				synctest.Wait()
				o := g.outlook(t, env.ID)
				if blocksOf(o) != c.blocks {
					t.Errorf("blocks %+v, want %s", o.Blocks, c.blocks)
				}
				if c.after < 0 {
					if !o.Leaves.IsZero() || o.Blocks[0].Until != 0 {
						t.Errorf("leaves %v: %+v", o.Leaves, o.Blocks)
					}
					g.stop()
					return
				}
				if wait := time.Until(o.Leaves); wait != c.after {
					t.Fatalf("leaves in %v, want %v: %+v", wait, c.after, o.Blocks)
				}
				tries := g.dialled("x")
				if name == "deferred" || name == "held, shut" {
					// The connection may be open already, or there is another wait then.
					g.stop()
					return
				}
				pass(c.after - time.Second)
				if n := g.dialled("x"); n != tries {
					t.Errorf("%d attempts before that", n-tries)
				}
				pass(time.Second + time.Millisecond)
				if n := g.dialled("x"); n != tries+1 {
					t.Errorf("%d attempts at that time", n-tries)
				}
				g.stop()
			})
		})
	}
}

// Everybody who has something against a message is named, with what lets it go; its
// place, its clocks and the last answer are told.
func TestOutlookNamesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(h mail.Hop, _ *mail.Transaction, to mail.Target) mail.Outcome {
			o := mail.Defer(mail.StatusSystemFull, "not now")
			o.Reply, o.Remote = &mail.Reply{Code: 452}, "mx.x"
			return o
		}
		g.start()
		first := g.send(1, "b@x")
		second := g.send(2, "c@x")
		g.send(3, "d@y")
		synctest.Wait()
		o := g.outlook(t, second.ID)
		if o.Ahead != 1 || len(o.Tried) != 1 || o.Tried[0].Recipient != "c@x" || o.Tried[0].Remote != "mx.x" || o.Attempts != 1 || o.RetryAfter != 2*time.Minute {
			t.Errorf("%+v", o)
		}
		if got := o.Expires.Sub(o.Created); got != 4*time.Hour || o.Notice.Sub(o.Created) != time.Hour || o.Notified {
			t.Errorf("expires after %v, notice %v", got, o.Notice)
		}
		_, name := g.idOf(t, "x")
		note := NoteOf("ada", "ill", time.Now())
		if _, err := g.FreezeQueues([]string{name}, note); err != nil {
			t.Fatal(err)
		}
		if _, err := g.FreezeLike(Likeness{NextHop: "x"}, note); err != nil {
			t.Fatal(err)
		}
		if err := g.SetOutbound(&note); err != nil {
			t.Fatal(err)
		}
		g.act(t, Selection{IDs: []mail.ID{first.ID}}, byHand)
		pass(3 * time.Hour)
		o = g.outlook(t, second.ID)
		if want := "frozen queue, frozen queue, outbound"; blocksOf(o) != want || !o.Leaves.IsZero() || !o.Notified || !o.Notice.IsZero() {
			t.Errorf("%s, want %s; %+v", blocksOf(o), want, o)
		}
		for i, cure := range []string{"`queue thaw " + queueID(name) + "`", "`queue thaw --next-hop x`", "`node outbound enable`"} {
			if b := o.Blocks[i]; !strings.Contains(b.Text, cure) || !strings.Contains(b.Text, "by ada: ill") {
				t.Errorf("%+v does not say %s", b, cure)
			}
		}
		o = g.outlook(t, first.ID)
		if want := "frozen message, frozen queue, outbound"; blocksOf(o) != want || o.Frozen.By != "ada" {
			t.Errorf("%s, want %s; %+v", blocksOf(o), want, o)
		}
		// Its time stands still: it has what it had three hours ago.
		if left := time.Until(o.Expires); left != 4*time.Hour {
			t.Errorf("%v are left", left)
		}
		if list, err := g.Outlook(mail.ID{1}, "here", nil); len(list) != 0 || err != nil {
			t.Errorf("%+v, %v", list, err)
		}
		g.stop()
	})
}

// A message that a rule holds, and those that are not routed yet.
func TestOutlookElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		end := time.Now().Add(time.Hour)
		g.SetRules([]Rule{{Name: "audit", Until: end.UnixMilli(), Order: Order{
			Verb: VerbFreeze, Hold: RuleHold("audit"), Note: Note{Reason: "case 1"}, Match: func(it Item) bool { return it.Target.Address.Domain == "x" },
		}}})
		held := g.send(1, "b@x")
		synctest.Wait()
		o := g.outlook(t, held.ID)
		if blocksOf(o) != BlockRule || !strings.HasPrefix(o.Blocks[0].Text, "held by rule audit: case 1;") || !o.Leaves.Equal(end) {
			t.Errorf("%+v", o)
		}
		g.dir.set(errors.New("away"))
		waits := g.send(2, "c@y")
		synctest.Wait()
		o = g.outlook(t, waits.ID)
		if blocksOf(o) != BlockDirectory || time.Until(o.Leaves) != time.Second || o.Expires.Sub(o.Created) != 4*time.Hour {
			t.Errorf("%+v", o)
		}
		g.act(t, Selection{IDs: []mail.ID{waits.ID}}, byHand)
		if _, err := g.FreezeStages([]string{IDDirectory}, NoteOf("bob", "", time.Now())); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour / 2)
		o = g.outlook(t, waits.ID)
		if want := "frozen message, frozen queue"; blocksOf(o) != want || !o.Leaves.IsZero() || time.Until(o.Expires) != 4*time.Hour {
			t.Errorf("%s, want %s; %+v", blocksOf(o), want, o)
		}
		g.stop()
	})
}

// Of what lies on disk only the place is counted, too.
func TestOutlookBeyondWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.hops = map[string]mail.Hop{"SMTP:x": {Kind: mail.HopUnreachable, Name: "nowhere", Reason: "no way"}}
		g.start(func(c *Config) { c.Limits.Window = 2 })
		var last *mail.Envelope
		for n := range 50 {
			last = g.send(n+1, "b@x")
			pass(time.Millisecond)
		}
		o := g.outlook(t, last.ID)
		if o.Ahead != 49 || o.AheadOpen || blocksOf(o) != BlockUnreachable || !strings.Contains(o.Blocks[0].Text, "no way") {
			t.Errorf("%+v", o)
		}
		g.stop()
	})
}

// A notice is foretold to, and was sent to, who wants to hear of a delay; and mail without a
// way wants no next hop that other mail wants.
func TestOutlookOfNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		for _, d := range []string{"x", "y", "z"} {
			g.router.set("SMTP:"+d, mail.Hop{Kind: mail.HopUnreachable, Name: "currently unreachable", Reason: d + " is down"})
		}
		g.start()
		wants := g.send(1, "b@x")
		var silent [2]*mail.Envelope
		for i := range silent {
			silent[i] = envelope(i+2, []string{"b@y", "b@z"}[i])
		}
		silent[0].Recipients[0].Notify = mail.NotifyFailure
		silent[1].From = mail.Address{}
		for _, env := range silent {
			g.store.accept(env)
			g.Enqueue(env.ID, env)
		}
		synctest.Wait()
		for range 2 {
			if o := g.outlook(t, wants.ID); o.Notice.IsZero() != o.Notified || o.Beside != 0 {
				t.Errorf("who wants it: %v, notified %v, %d beside", o.Notice, o.Notified, o.Beside)
			}
			for i, env := range silent {
				if o := g.outlook(t, env.ID); !o.Notice.IsZero() || o.Notified {
					t.Errorf("silent %d: %v, notified %v", i, o.Notice, o.Notified)
				}
			}
			pass(testClock.DelayNotice + time.Minute)
		}
		if o := g.outlook(t, wants.ID); !o.Notified || !o.Notice.IsZero() {
			t.Errorf("afterwards: %v, notified %v", o.Notice, o.Notified)
		}
		g.stop()
	})
}

// What is given up before it could leave does not leave: nobody is told to wait for that.
func TestOutlookBeyondTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", scheduled(func(q int) bool { return q == 8 })) // 02:00
		g.start(func(c *Config) { c.Clock.Expiration = time.Hour })
		env := g.send(1, "b@x")
		synctest.Wait()
		o := g.outlook(t, env.ID)
		if blocksOf(o) != "schedule, expiration" || !o.Leaves.IsZero() || !o.NextAttempt.IsZero() || !strings.Contains(o.Blocks[1].Text, "2000-01-01 02:00:00Z") {
			t.Errorf("%+v", o)
		}
		g.act(t, Selection{IDs: []mail.ID{env.ID}}, byHand) // its time stands still
		if o := g.outlook(t, env.ID); blocksOf(o) != "frozen message, schedule" {
			t.Errorf("frozen: %+v", o.Blocks)
		}
		g.stop()
	})
}

// The end that is foretold is that by the clock of this moment, also when that was set: what
// senders and administrators read comes true.
func TestForetoldEndsFollowTheClock(t *testing.T) {
	for name, by := range jumpsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				g.agent.dial = func(h mail.Hop) error {
					if h.Name == "x" {
						return errAway
					}
					return nil
				}
				begin := time.Now()
				g.start(w.config)
				waits, frozen := w.send(g, 1, "b@x"), w.send(g, 2, "c@x")
				pass(time.Minute)
				g.act(t, Selection{IDs: []mail.ID{frozen.ID}}, byHand)
				stood := time.Now()
				g.dir.set(errAway)
				early := w.send(g, 3, "d@x")
				pass(2 * time.Minute)
				for _, d := range by {
					w.jump(d)
					pass(3 * time.Minute)
				}
				left := func(env *mail.Envelope) time.Duration { return g.outlook(t, env.ID).Expires.Sub(w.now()) }
				check := func(what string, got, want time.Duration) {
					if back := by[0] < 0; got < want || got > want && !back {
						t.Errorf("%s has %v left, want %v", what, got, want)
					}
				}
				aged := time.Since(begin)
				check("what waits", left(waits), testClock.Expiration-aged)
				check("what is frozen", left(frozen), testClock.Expiration-stood.Sub(begin))
				check("what is not routed", left(early), testClock.Expiration-(aged-time.Minute))
				g.dir.set(nil)
				pass(testClock.DelayNotice + time.Minute)
				end := g.reporter.until["b@x"]
				if o := g.outlook(t, waits.ID); !o.Expires.Equal(end) {
					t.Errorf("the sender reads %v, the administrator %v", end, o.Expires)
				}
				pass(end.Sub(w.now()) - time.Second)
				if _, gone := g.reporter.outcome("failure b@x"); gone {
					t.Error("given up before the time that was told")
				}
				pass(2 * time.Second)
				if _, gone := g.reporter.outcome("failure b@x"); !gone {
					t.Error("not given up at the time that was told")
				}
				g.stop()
			})
		})
	}
}

// So it is after a start, when nothing is given up for its age yet.
func TestForetoldEndsAfterTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newRig(), &wall{}
		g.agent.dial = func(mail.Hop) error { return errAway }
		g.start(w.config, noNotice)
		env := w.send(g, 1, "b@x")
		pass(time.Minute)
		g.dir.set(errAway)
		early := w.send(g, 2, "c@x")
		g.stop()
		w.jump(72 * time.Hour)
		next := newRig()
		next.store, next.agent.dial = g.store, g.agent.dial
		next.dir.set(errAway)
		next.start(w.config)
		begin := w.now()
		pass(time.Minute)
		for _, id := range []mail.ID{env.ID, early.ID} {
			if o := next.outlook(t, id); o.Expires.Sub(begin) != 15*time.Minute || !o.Notice.IsZero() {
				t.Errorf("expires %v after the start, notice %v", o.Expires.Sub(begin), o.Notice)
			}
		}
		next.stop()
	})
}

// No clock tells when a connection ends that others have: nothing says when what waits for
// one leaves.
func TestOutlookOfTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, free := newRig(), make(chan struct{})
		g.agent.answer = func(h mail.Hop, _ *mail.Transaction, _ mail.Target) mail.Outcome {
			if h.Domain == "busy" {
				<-free
			}
			return delivered
		}
		g.start(func(c *Config) { c.Limits.Connections = 1 })
		g.send(1, "z@busy")
		synctest.Wait()
		env := g.send(2, "b@x")
		synctest.Wait()
		if o := g.outlook(t, env.ID); blocksOf(o) != BlockConnection || !o.Leaves.IsZero() || !o.NextAttempt.IsZero() {
			t.Errorf("leaves %v, next attempt %v: %+v", o.Leaves, o.NextAttempt, o.Blocks)
		}
		close(free)
		pass(time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"busy z@busy", "x b@x"})
		g.stop()
	})
}
