package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// A directory that cannot be asked delays mail and never bounces it.
func TestDirectoryAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.dir.set(errors.New("no catalog yet"))
		g.start()
		g.send(1, "b@x")
		g.send(2, "c@x")
		pass(10 * time.Second)
		synctest.Wait()
		q := g.queue(t, KindDirectory)
		if q.Messages != 2 || q.State != Retry || !strings.Contains(q.WaitingFor, "no catalog yet") {
			t.Errorf("queue %+v", q)
		}
		g.dir.set(nil)
		pass(10 * time.Second)
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "x c@x"})
		g.stop()
	})
}

// Nothing that happened is forgotten because the disk was full for a while.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		full := true
		g.store.fail = func(call string) error {
			if full && (call == "settle" || call == "plan") {
				return spool.ErrFull
			}
			return nil
		}
		g.start()
		g.send(1, "b@x")
		pass(3 * time.Second)
		g.store.mu.Lock()
		full = false
		g.store.mu.Unlock()
		pass(10 * time.Second)
		synctest.Wait()
		equal(t, "delivered once", g.agent.got(), []string{"x b@x"})
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
		g.stop()
	})
}

// A report that cannot be written keeps the recipient queued.
func TestReporterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.reporter.err = spool.ErrFull
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopFail, Status: mail.StatusNoRoute, Reason: "no connector"})
		g.start()
		g.send(1, "b@x")
		pass(10 * time.Second)
		synctest.Wait()
		if n := g.store.len(); n != 1 {
			t.Fatalf("%d messages in the spool, want 1", n)
		}
		g.reporter.mu.Lock()
		g.reporter.err = nil
		g.reporter.mu.Unlock()
		pass(2 * time.Minute)
		synctest.Wait()
		equal(t, "reports", g.reporter.got(), []string{"failure to a@here: b@x 5.4.4"})
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
		g.stop()
	})
}

// A restart finds everything: what was only accepted, what waited, and what is
// beyond the window; each is delivered once, and small windows keep the order.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		small := func(c *Config) { c.Limits.Window = 8; c.Limits.PerLink = 1 }
		g := newRig()
		g.agent.dial = func(mail.Hop) error { return errAway }
		g.start(small)
		for i := range 100 {
			g.send(i, fmt.Sprintf("b%03d@x", i))
			synctest.Wait()
		}
		if q := g.queue(t, KindRemote); q.Messages != 100 {
			t.Errorf("queue %+v, want 100 messages", q)
		}
		if n := len(g.sched.sorted()[0].refs); n > 16 {
			t.Errorf("%d entries in memory, window is 8", n)
		}
		id := g.queue(t, KindRemote).ID
		g.stop()
		g.store.accept(envelope(100, "c@x"))
		g.agent = &fakeAgent{}
		g.start(small)
		synctest.Wait()
		if len(g.agent.delivered) != 101 || !slices.IsSorted(g.agent.delivered[:100]) {
			t.Errorf("delivered %d, in the order %q", len(g.agent.delivered), g.agent.delivered)
		}
		if g.queue(t, KindLocal).ID != IDLocal || id == "" {
			t.Error("queues that are always listed are missing")
		}
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
		g.stop()
	})
}

// Draining waits for what is in flight and begins nothing; what takes too long
// is broken off and stays queued.
func TestDrain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		takes time.Duration
		left  int
		err   error
	}{
		{"in time", 5 * time.Second, 1, nil},
		{"too slow", time.Hour, 2, context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				release := make(chan struct{})
				g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
					select {
					case <-release:
						return delivered
					case <-g.serving.Done():
						return mail.Defer(mail.StatusDropped, "broken off")
					}
				}
				g.start(func(c *Config) { c.Limits.PerLink = 1 })
				g.send(1, "b@x")
				g.send(2, "c@x")
				synctest.Wait()
				timer := time.AfterFunc(tc.takes, func() { close(release) })
				err := g.stop()
				timer.Stop()
				if !errors.Is(err, tc.err) {
					t.Errorf("Run: %v, want %v", err, tc.err)
				}
				if n := g.store.len(); n != tc.left {
					t.Errorf("%d messages left, want %d", n, tc.left)
				}
			})
		})
	}
}

// An agent that breaks its contract loses no message.
func TestCarelessAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		n := 0
		agent := agentFunc(func(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
			tr := feed.Next()
			switch n++; n {
			case 1:
				return nil // not reported at all
			case 2:
				feed.Done(tr, nil) // miscounted
			default:
				feed.Done(tr, []mail.Outcome{delivered})
				feed.Done(tr, []mail.Outcome{delivered}) // twice
			}
			return nil
		})
		g.start(func(c *Config) { c.Agent = agent })
		g.send(1, "b@x")
		pass(10 * time.Minute)
		synctest.Wait()
		if left := g.store.len(); left != 0 || n < 3 {
			t.Errorf("%d messages left after %d connections", left, n)
		}
		g.stop()
	})
}

type agentFunc func(context.Context, mail.Hop, mail.Feed) error

func (f agentFunc) Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	return f(ctx, hop, feed)
}

type homeless struct{ status mail.Status }

func (homeless) Error() string         { return "half a recipient" }
func (h homeless) Status() mail.Status { return h.status }

// What the sender hears in the end is the trouble itself where it has a code, not
// that the time is up (RFC 3463, X.4.7).
func TestGivenUpWithTheTrouble(t *testing.T) {
	unreachable := func(s mail.Status) func(*rig) {
		return func(g *rig) { g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable, Status: s}) }
	}
	deferred := func(s string) func(*rig) {
		status, _ := mail.ParseStatus(s)
		return func(g *rig) {
			g.agent.answer = func(h mail.Hop, _ *mail.Transaction, _ mail.Target) mail.Outcome {
				if h.Kind == mail.HopMX {
					return mail.Defer(status, "later")
				}
				return delivered
			}
		}
	}
	directory := func(err error) func(*rig) { return func(g *rig) { g.dir.set(err) } }
	noPath := mail.Status{Class: 4, Subject: 4, Detail: 4}
	for name, c := range map[string]struct {
		prepare func(*rig)
		want    []string
	}{
		"a loop":           {unreachable(mail.StatusHopCount), []string{"4.4.6", "4.4.6"}},
		"no path":          {unreachable(noPath), []string{"4.4.4", "4.4.4"}},
		"a full disk":      {deferred("4.3.1"), []string{"4.3.1", "4.3.1"}},
		"a drained server": {deferred("4.3.2"), []string{"4.3.2", "4.3.2"}},
		"a closed mailbox": {deferred("4.2.1"), []string{"4.2.1", "4.2.1"}},
		"DNS away":         {deferred("4.4.3"), []string{"4.4.3", "4.4.3"}},
		"greylisting":      {deferred("4.7.1"), []string{"4.7.1", "4.4.7"}},
		"a silent host": {func(g *rig) {
			g.agent.dial = func(h mail.Hop) error {
				if h.Kind == mail.HopMX {
					return errors.New("connection refused")
				}
				return nil
			}
		}, []string{"4.4.1", "4.4.7"}},
		"a missing home":     {directory(homeless{mail.StatusMoved}), []string{"5.1.6"}},
		"an unknown kind":    {directory(fmt.Errorf("resolving: %w", homeless{mail.StatusBadAddress})), []string{"5.1.0"}},
		"a silent directory": {directory(errors.New("no catalog yet")), []string{"4.4.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				c.prepare(g)
				g.start()
				g.send(1, "b@x")
				pass(testClock.Expiration + time.Hour)
				g.dir.set(nil) // the report's own way
				pass(time.Minute)
				synctest.Wait()
				var got []string
				for _, r := range g.reporter.got() {
					got = append(got, r[strings.LastIndexByte(r, ' ')+1:])
				}
				equal(t, "statuses", got, c.want)
				g.stop()
			})
		})
	}
}
