package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// busy is what a host says that puts everything off.
func busy(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
	return mail.FromReply(mail.Reply{Code: 451, Status: mail.Status{Class: 4, Subject: 2}, Lines: []string{"busy"}}, "x [192.0.2.1]:25")
}

// A forced connection is for all that was deferred, on disk too, once: what is deferred
// again waits as long as ever.
func TestForceBeyondTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		g := newRig()
		g.agent.answer = busy
		g.start(noNotice, func(c *Config) { c.Limits = Limits{Window: 40} })
		for i := range n {
			g.send(i+1, fmt.Sprintf("b%d@x", i))
		}
		pass(time.Second)
		q := g.queue(t, KindRemote)
		if q.State != Retry || q.Messages != n {
			t.Fatalf("%+v", q)
		}
		if f := g.Retry([]string{q.ID}, true); f != (Forced{0, 1, n}) {
			t.Errorf("dry: %+v", f)
		}
		pass(time.Second)
		if tried := g.attempts(t, q.ID); tried[1] != n {
			t.Errorf("a question changed something: %v", tried)
		}
		g.Retry([]string{q.ID}, false)
		pass(time.Second)
		if tried := g.attempts(t, q.ID); tried[2] != n {
			t.Errorf("attempts %v, want 2 for all", tried)
		}
		pass(30 * time.Second)
		if tried := g.attempts(t, q.ID); tried[2] != n {
			t.Errorf("attempts %v, want 2 for all still", tried)
		}
		g.stop()
	})
}

// attempts counts the messages of a queue by their attempts.
func (g *rig) attempts(t *testing.T, queue string) map[int]int {
	t.Helper()
	list, err := g.Messages(queue, 1000)
	if err != nil {
		t.Fatal(err)
	}
	tried := map[int]int{}
	for _, m := range list {
		tried[m.Attempts]++
	}
	return tried
}

// New intervals hold for messages that wait by themselves, for those on disk and over a
// restart too.
func TestIntervalsChangeForMessages(t *testing.T) {
	for name, c := range map[string]struct {
		at, first time.Duration // after the failure; the interval from then on
		want      time.Duration // of the next attempt, after the failure
	}{
		"shorter":                       {time.Minute, 5 * time.Minute, 5 * time.Minute},
		"shorter than it waits already": {6 * time.Minute, 5 * time.Minute, 6 * time.Minute},
		"longer":                        {time.Minute, 30 * time.Minute, 30 * time.Minute},
		"the same":                      {time.Minute, 10 * time.Minute, 10 * time.Minute},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const n = 75 // up to two windows
					g := newRig()
					g.agent.answer = busy
					clock := testClock
					clock.First = 10 * time.Minute
					change := func(cf *Config) { cf.Clock, cf.Limits = clock, Limits{Window: 40} }
					g.start(noNotice, change)
					for i := range n {
						g.send(i+1, fmt.Sprintf("b%d@x", i))
					}
					synctest.Wait()
					pass(c.at)
					clock.First = c.first
					if restart {
						g.stop()
						g = g.again()
						g.agent.answer = busy
						g.start(noNotice, change)
						synctest.Wait()
					} else {
						g.SetSenders(alone(Limits{}, clock))
						g.SetSenders(alone(Limits{}, clock)) // each change of the directory says it again
					}
					q := g.queue(t, KindRemote)
					if c.want > c.at {
						pass(c.want - c.at - 2*time.Second)
						if tried := g.attempts(t, q.ID); tried[1] != n {
							t.Errorf("too early: %v", tried)
						}
						pass(2 * time.Second)
					}
					pass(3 * time.Second)
					if tried := g.attempts(t, q.ID); tried[2] != n {
						t.Errorf("attempts %v, want 2 for all", tried)
					}
					g.stop()
				})
			})
		}
	}
}

// What one host put off does not wait for that when it is sent to another.
func TestRedirectedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(h mail.Hop, tr *mail.Transaction, target mail.Target) mail.Outcome {
			if h.Name == "x" {
				return busy(h, tr, target)
			}
			return delivered
		}
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		g.act(t, Selection{}, Order{Verb: VerbRedirect, To: Way{Host: "other.example:25", Name: "other.example:25"}})
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"other.example:25 b@x"})
		g.stop()
	})
}

// The directory is asked at once, though a lookup failed a moment ago.
func TestForceLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.dir.set(errAway)
		g.start()
		g.send(1, "b@x")
		pass(20 * time.Second) // the next try is 11 s away
		g.dir.set(nil)
		if f := g.Retry([]string{IDDirectory}, true); f != (Forced{0, 1, 1}) {
			t.Errorf("dry: %+v", f)
		}
		if f := g.Retry([]string{IDDirectory}, false); f != (Forced{0, 1, 1}) {
			t.Errorf("%+v", f)
		}
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"x b@x"})
		g.stop()
	})
}

// Nothing that was stopped goes for a forced connection, and of several queues only those
// that are named.
func TestForceNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = busy
		g.start()
		g.send(1, "b@x")
		g.send(2, "b@y")
		g.send(3, "b@z")
		synctest.Wait()
		ids := map[string]string{}
		for _, q := range g.List() {
			if q.Kind == KindRemote {
				ids[q.NextHop] = q.ID
			}
		}
		name, _ := g.QueueNames([]string{ids["z"]})
		if _, err := g.FreezeQueues(name, Note{At: 1}); err != nil {
			t.Fatal(err)
		}
		if f := g.Retry([]string{ids["x"], ids["z"]}, false); f != (Forced{0, 1, 1}) {
			t.Errorf("%+v", f)
		}
		synctest.Wait()
		if got := strings.Join(g.agent.dialled(), " "); strings.Count(got, "z") != 1 || strings.Count(got, "y") != 1 {
			t.Errorf("dialled %s", got)
		}
		if tried := g.attempts(t, ids["x"]); tried[2] != 1 {
			t.Errorf("attempts %v", tried)
		}
		g.stop()
	})
}
