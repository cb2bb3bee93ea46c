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
