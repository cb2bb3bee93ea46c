package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// What an order means is what a search shows: an error is that of its recipient, and a
// message in two queues is one.
func TestErrorsAreOfTheirRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:y", pulled)
		g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, target mail.Target) mail.Outcome {
			return mail.Defer(mail.StatusSystemFull, "no room for "+target.Address.Local)
		}
		g.start(noNotice)
		g.send(1, "grey@x", "full@x", "c@y")
		pass(time.Second)
		for text, want := range map[string]struct {
			rows, recipients, messages int
		}{
			"for grey":    {1, 1, 1},
			"for full":    {1, 1, 1},
			"for c":       {0, 0, 0},
			"":            {1, 1, 1}, // c@y was not tried
			"no room for": {1, 2, 1},
			"*":           {2, 3, 1}, // all
		} {
			means := func(list []string) bool {
				return slices.ContainsFunc(list, func(s string) bool { return text == "*" || s == text || text != "" && strings.Contains(s, text) })
			}
			filter := fmt.Sprintf(`error ~ "*%s*"`, text)
			if text == "" {
				filter = `error = ""`
			}
			rows := found(t, g.Runner, Search{Filter: parse(t, filter), Limit: 100})
			sel := Selection{Match: func(it Item) bool { return means(it.Errors) && means([]string{it.LastErr}) }}
			tally, err := g.Act(context.Background(), sel, withReport, true)
			if err != nil || len(rows) != want.rows || tally.Recipients != want.recipients || tally.Messages != want.messages || tally.Octets != int64(want.messages)*1000 {
				t.Errorf("%s: %q, %+v, %v, want %+v", filter, rows, tally, err, want)
			}
		}
		if tally := g.act(t, Selection{Match: func(Item) bool { return true }}, byHand); tally.Messages != 1 || tally.Recipients != 3 || tally.Octets != 1000 {
			t.Errorf("frozen: %+v", tally)
		}
		g.stop()
	})
}

// New intervals hold for what is meant by its state, too.
func TestMeantByTheNewIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
			return mail.Defer(mail.StatusSystemFull, "later")
		}
		g.start(noNotice)
		g.send(1, "b@x")
		pass(time.Second)
		var due int64
		sel := Selection{Match: func(it Item) bool { due = it.Due; return false }}
		g.act(t, sel, byHand)
		before := due
		c := testClock
		c.DelayNotice, c.First = 0, time.Hour
		g.SetSenders(alone(Limits{}, c))
		synctest.Wait()
		g.act(t, sel, byHand)
		if due-before != (time.Hour - testClock.First).Milliseconds() {
			t.Errorf("ready at %d, then at %d", before, due)
		}
		g.stop()
	})
}

// Who deletes with a report hears of how many senders are told nothing.
func TestUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", pulled)
		g.start(noNotice)
		g.reporter.full = true
		g.send(1, "b@x")
		never, null := envelope(2, "c@x"), envelope(3, "d@x")
		never.Recipients[0].Notify = mail.NotifyNever
		null.From = mail.Address{}
		for _, env := range []*mail.Envelope{never, null} {
			g.store.accept(env)
			g.Enqueue(env.ID, env)
		}
		synctest.Wait()
		if got := g.act(t, Selection{Match: func(Item) bool { return true }}, withReport); got.Messages != 3 || got.Untold != 1 {
			t.Errorf("%+v", got)
		}
		if _, err := g.FreezeStages([]string{IDPreSubmission}, NoteOf("ada", "", time.Now())); err != nil {
			t.Fatal(err)
		}
		g.send(4, "e@x")
		synctest.Wait()
		if got := g.act(t, Selection{Match: func(Item) bool { return true }}, withReport); got.Messages != 1 || got.Untold != 1 {
			t.Errorf("before routing: %+v", got)
		}
		g.stop()
	})
}
