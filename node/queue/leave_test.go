package queue

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// "When will it leave?" counts everything that keeps mail: the schedule, the link's
// clock and the message's own.
func TestWhenItLeaves(t *testing.T) {
	// Open from 01:00 to 01:30 and from 05:00 to 06:00.
	open := func(q int) bool { return q == 4 || q == 5 || q >= 20 && q < 24 }
	at := func(s string) time.Time {
		d, err := time.Parse("15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2000, 1, 1, d.Hour(), d.Minute(), d.Second(), 0, time.UTC)
	}
	for name, c := range map[string]struct {
		wait  time.Duration // from midnight until it is sent
		clock time.Duration // of retries
		fail  bool          // the host is away; else it defers
		state State
		when  string
		text  string
	}{
		"shut":                                {wait: 0, state: Scheduled, when: "01:00:00", text: "opens at 2000-01-01 01:00:00Z"},
		"a link's retry within the opening":   {wait: 61 * time.Minute, clock: 10 * time.Minute, fail: true, state: Retry, when: "01:11:00", text: "retry 1 at 2000-01-01 01:11:00Z"},
		"a link's retry after the end":        {wait: 80 * time.Minute, clock: 15 * time.Minute, fail: true, state: Retry, when: "05:00:00", text: "; schedule night of connector out is shut then and opens at 2000-01-01 05:00:00Z"},
		"a message's retry after the end":     {wait: 80 * time.Minute, clock: 15 * time.Minute, state: Retry, when: "05:00:00", text: "; schedule night of connector out is shut then and opens at 2000-01-01 05:00:00Z"},
		"a message's retry after the opening": {wait: 80 * time.Minute, clock: 4 * time.Hour, state: Retry, when: "05:20:00", text: "retry of deferred messages at 2000-01-01 05:20:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				var bad atomic.Bool
				bad.Store(true)
				g.agent.dial = func(mail.Hop) error {
					if c.fail && bad.Load() {
						return errAway
					}
					return nil
				}
				g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
					if bad.Load() {
						return mail.FromReply(mail.Reply{Code: 452, Status: mail.StatusMailboxFull, Lines: []string{"full"}}, "relay")
					}
					return delivered
				}
				hop := scheduled(open)
				hop.Options.Glitch = -1
				g.router.set("SMTP:x", hop)
				g.start(noNotice, func(cf *Config) { cf.Clock.First, cf.Clock.Expiration = c.clock, 48*time.Hour })
				<-time.After(c.wait)
				g.send(1, "b@x")
				pass(time.Millisecond)
				want := at(c.when)
				q := g.queue(t, KindRemote)
				if q.State != c.state || !q.NextAttempt.Truncate(time.Second).Equal(want) || !strings.Contains(q.WaitingFor, c.text) {
					t.Errorf("%s, next at %s: %q; want %s, %s, %q", q.State, q.NextAttempt, q.WaitingFor, c.state, want, c.text)
				}
				list, err := g.Messages(q.ID, 1)
				if err != nil || len(list) != 1 || !list[0].NextAttempt.Truncate(time.Second).Equal(want) {
					t.Errorf("the message: %+v, %v; want it to leave at %s", list, err, want)
				}
				// And then it does.
				bad.Store(false)
				if pass(time.Until(want) - time.Second); len(g.agent.got()) != 0 {
					t.Errorf("it left before %s", want)
				}
				pass(2 * time.Second)
				equal(t, "delivered", g.agent.got(), []string{"relay b@x"})
				g.stop()
			})
		})
	}
}

// The quarter of an hour that a link waits for is not that of its retry's end.
func TestScheduledLinkInRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(mail.Hop) error { return errAway }
		hop := scheduled(func(q int) bool { return q == 0 || q == 2 }) // 00:00 to 00:15, 00:30 to 00:45
		hop.Options.Glitch = -1
		g.router.set("SMTP:x", hop)
		g.start(noNotice, func(c *Config) { c.Clock.First, c.Clock.Expiration = 40*time.Minute, 48*time.Hour })
		g.send(1, "b@x")
		pass(20 * time.Minute) // shut, and its retry is at 00:40, in the next opening
		q := g.queue(t, KindRemote)
		if q.State != Scheduled || q.NextAttempt.Format("15:04") != "00:40" || !strings.Contains(q.WaitingFor, "opens at 2000-01-01 00:30:00Z; retry 1 at 2000-01-01 00:40:00Z") {
			t.Errorf("%s, next at %s: %q", q.State, q.NextAttempt, q.WaitingFor)
		}
		g.stop()
	})
}

// New intervals hold for the waits that have begun, in both directions.
func TestIntervalsChangeAtRunTime(t *testing.T) {
	for name, c := range map[string]struct {
		at    time.Duration // after the failure
		first time.Duration
		want  time.Duration // of the next attempt, after the failure
	}{
		"shorter":                       {time.Minute, 5 * time.Minute, 5 * time.Minute},
		"shorter than it waits already": {6 * time.Minute, 5 * time.Minute, 6 * time.Minute},
		"longer":                        {time.Minute, 30 * time.Minute, 30 * time.Minute},
		"the same":                      {time.Minute, 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.agent.dial = func(mail.Hop) error { return errAway }
				g.router.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "x", Domain: "x", Options: mail.HopOptions{Glitch: -1}})
				clock := testClock
				clock.First = 10 * time.Minute
				g.start(noNotice, func(cf *Config) { cf.Clock = clock })
				failed := time.Now()
				g.send(1, "b@x")
				pass(c.at)
				clock.First = c.first
				g.SetSenders(alone(Limits{}, clock))
				g.SetSenders(alone(Limits{}, clock)) // each change of the directory says it again
				pass(0)
				if q := g.queue(t, KindRemote); c.want > c.at && !q.NextAttempt.Equal(failed.Add(c.want)) {
					t.Errorf("next try at %s", q.NextAttempt)
				}
				pass(c.want - c.at)
				g.stop()
				if len(g.agent.at) != 2 || g.agent.at[1].Sub(failed) != c.want {
					t.Errorf("tried at %v, want %s after the failure", g.agent.at, c.want)
				}
			})
		})
	}
}

// Each priority may have a time of its own, for local mailboxes too; what it does not
// say is as for all.
func TestTimesOfPriorities(t *testing.T) {
	c := testClock // a notice after 1 hour, the end after 4
	c.LocalExpiration = 2 * time.Hour
	c.High = Lifetimes{DelayNotice: 10 * time.Minute}
	c.Low = Lifetimes{DelayNotice: 2 * time.Hour, Expiration: 8 * time.Hour}
	for _, p := range []struct {
		to             string
		priority       mail.Priority
		notice, expiry time.Duration
	}{
		{"b@x", mail.PriorityHigh, 10 * time.Minute, 4 * time.Hour},
		{"b@x", mail.PriorityNormal, time.Hour, 4 * time.Hour},
		{"b@x", mail.PriorityLow, 2 * time.Hour, 8 * time.Hour},
		{"b@here", mail.PriorityHigh, 10 * time.Minute, 2 * time.Hour},
		{"b@here", mail.PriorityLow, 2 * time.Hour, 8 * time.Hour},
	} {
		t.Run(p.priority.String()+" "+p.to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.agent.dial = func(mail.Hop) error { return errAway }
				g.start(func(cf *Config) { cf.Clock = c })
				synctest.Wait()
				env := envelope(1, p.to)
				env.From.Domain, env.Priority = "y", p.priority
				g.store.accept(env)
				g.Enqueue(env.ID, env)
				for _, step := range []struct {
					at   time.Duration
					want int
				}{{p.notice - time.Second, 0}, {p.notice + time.Second, 1}, {p.expiry - time.Second, 1}, {p.expiry + time.Second, 2}} {
					pass(time.Until(env.Created.Add(step.at)))
					// The report itself, from nobody, waits like all else.
					if got := slices.DeleteFunc(g.reporter.got(), func(s string) bool { return strings.Contains(s, " to : ") }); len(got) != step.want {
						t.Errorf("after %s: %q, want %d reports", step.at, got, step.want)
					}
				}
				g.stop()
			})
		})
	}
}

// The delay notice goes out once: over restarts, and though several nodes in a row
// hold the message for long (the book, chapter 5: one notification).
func TestOneDelayNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newRig()
		first.agent.dial = func(mail.Hop) error { return errAway }
		first.start()
		synctest.Wait()
		sent := first.send(1, "b@x")
		pass(time.Hour + time.Minute)
		for range 3 {
			first.stop()
			again := newRig()
			again.store, again.reporter, again.agent.dial = first.store, first.reporter, first.agent.dial
			first = again
			first.start()
			pass(10 * time.Minute)
		}
		equal(t, "reports of the first node", first.reporter.got(), []string{"delay to a@here: b@x 4.4.1"})

		// The way is free, as far as the next node, which is told.
		var passed *mail.Envelope
		first.agent.mu.Lock()
		first.agent.dial = nil
		first.agent.answer = func(_ mail.Hop, tr *mail.Transaction, target mail.Target) mail.Outcome {
			if target.Address.Local == "b" {
				passed = tr.Envelope
			}
			return delivered
		}
		first.agent.mu.Unlock()
		first.Retry(nil, false)
		synctest.Wait()
		first.stop()
		if passed == nil || !passed.Notified || !passed.Created.Equal(sent.Created) {
			t.Fatalf("it goes on as %+v", passed)
		}

		second := newRig()
		second.agent.dial = func(h mail.Hop) error {
			if h.Name == "x" {
				return errAway
			}
			return nil
		}
		second.start()
		synctest.Wait()
		next := envelope(2, "b@x")
		next.Created, next.Notified = passed.Created, passed.Notified
		second.store.accept(next)
		second.Enqueue(next.ID, next)
		pass(4 * time.Hour)
		equal(t, "reports of the second node", second.reporter.got(), []string{"failure to a@here: b@x 4.4.7"})
		second.stop()
	})
}

// What the next node has heard of is all recipients of a message or none: one that is
// not told of yet is worth a second notice for the others.
func TestNoticeOfSome(t *testing.T) {
	for _, c := range []struct {
		told []bool
		want bool
	}{{[]bool{true}, true}, {[]bool{false}, false}, {[]bool{true, true}, true}, {[]bool{true, false}, false}} {
		var taken []Taken
		for _, n := range c.told {
			taken = append(taken, Taken{Ref: Ref{Notified: n}})
		}
		if got := told(taken); got != c.want {
			t.Errorf("%v: %v", c.told, got)
		}
	}
}

// RFC 2852 section 4.1.4: the server at which the time ran out has told the sender.
func TestDeliverByOverBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(mail.Hop) error { return errAway }
		g.start()
		synctest.Wait()
		env := envelope(1, "b@x")
		env.DeliverBy = mail.DeliverBy{Deadline: env.Received.Add(-time.Second)}
		g.store.accept(env)
		g.Enqueue(env.ID, env)
		pass(time.Hour / 2)
		equal(t, "reports", g.reporter.got(), nil)
		g.stop()
	})
}

// A link that waits for its opening and for its retry has the retry left when the schedule
// is taken away, and nobody has to find that it stands still.
func TestScheduleEndsInRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(mail.Hop) error { return errAway }
		hop := scheduled(func(q int) bool { return q == 0 || q == 20 }) // 00:00 to 00:15, 05:00 to 05:15
		hop.Options.Glitch = -1
		g.router.set("SMTP:x", hop)
		g.start(noNotice, func(c *Config) { c.Clock.First, c.Clock.Expiration = 10*time.Minute, 48*time.Hour })
		pass(14 * time.Minute)
		g.send(1, "b@x") // its next try is at 00:24
		pass(2 * time.Minute)
		g.send(2, "c@x")
		pass(time.Minute)
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		hop.Options.Timetable = nil
		g.router.set("SMTP:x", hop)
		pass(8 * time.Minute)
		equal(t, "delivered at 00:25", g.agent.got(), []string{"relay b@x", "relay c@x"})
		pass(time.Hour)
		if n := g.Stalls(StallLink); n != 0 {
			t.Errorf("the watchdog freed it %d times", n)
		}
		g.stop()
	})
}
