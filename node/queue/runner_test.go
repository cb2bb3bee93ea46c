package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func TestDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		g.send(1, "b@x", "c@here", "d@x")
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"local delivery c@here", "x b@x", "x d@x"})
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left in the spool", n)
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		slices.Sort(g.events)
		equal(t, "events", g.events, []string{"DELIVER c@here 2.0.0", "ROUTE b@x,d@x ", "ROUTE c@here ", "SEND b@x,d@x 2.0.0"})
	})
}

func TestOneTransactionForAllBehindALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		relay := mail.Hop{Kind: mail.HopSmartHost, Name: "relay", Hosts: []string{"relay:25"}}
		g.router.set("SMTP:x", relay)
		g.router.set("SMTP:y", relay)
		g.start()
		g.send(1, "b@x", "c@y")
		synctest.Wait()
		if g.agent.together[0] != 2 || len(g.agent.together) != 1 {
			t.Errorf("targets of transactions %v, want one of 2", g.agent.together)
		}
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
		g.stop()
	})
}

// A link's retries follow the clock: glitch, glitch, first, second, third,
// subsequent; a message that comes in meanwhile does not shorten the wait.
func TestRetryClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(mail.Hop) error { return errAway }
		conn := mail.GUID{7}
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopSmartHost, Name: "x", Connector: conn, Hosts: []string{"x:25"}})
		g.start()
		begin := time.Now()
		g.send(1, "b@x")
		pass(5 * time.Second)
		g.send(2, "c@x")
		synctest.Wait()
		q := g.queue(t, KindRemote)
		if want := "glitch retry 1 of 2 at 2000-01-01 00:00:10Z: connection refused"; q.State != Retry || q.WaitingFor != want || q.Messages != 2 {
			t.Errorf("queue %+v, want it to wait for %q", q, want)
		}
		pass(20 * time.Minute)
		synctest.Wait()
		var waits []string
		last := begin
		for _, at := range g.agent.at {
			waits = append(waits, at.Sub(last).String())
			last = at
		}
		equal(t, "waits", waits, []string{"0s", "10s", "10s", "1m0s", "2m0s", "3m0s", "5m0s", "5m0s"})
		if q := g.queue(t, KindRemote); !strings.HasPrefix(q.WaitingFor, "retry 6 at ") {
			t.Errorf("waits for %q", q.WaitingFor)
		}
		g.mu.Lock()
		if len(g.links) != 8 || g.links[0] != "false connection refused" {
			t.Errorf("link reports %q", g.links)
		}
		g.mu.Unlock()
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		if n := g.Retry(nil, false).Links; n != 1 {
			t.Errorf("Retry: %d links, want 1", n)
		}
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "x c@x"})
		if g.links[len(g.links)-1] != "true " {
			t.Errorf("link reports %q", g.links)
		}
		g.stop()
	})
}

// What a peer defers waits by itself; the link goes on.
func TestDeferredMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		var full atomic.Bool
		full.Store(true)
		g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, target mail.Target) mail.Outcome {
			if target.Address.Local == "full" && full.Load() {
				return mail.FromReply(mail.Reply{Code: 452, Status: mail.Status{Class: 4, Subject: 2, Detail: 2}, Lines: []string{"full"}}, "x [192.0.2.1]:25")
			}
			return delivered
		}
		g.start()
		g.send(1, "full@x", "b@x")
		g.send(2, "c@x")
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "x c@x"})
		q := g.queue(t, KindRemote)
		if q.State != Retry || q.WaitingFor != "retry of deferred messages at 2000-01-01 00:01:00Z: 452 4.2.2 full" {
			t.Errorf("queue %+v", q)
		}
		list, err := g.Messages(q.ID, 10)
		if err != nil || len(list) != 1 || list[0].Attempts != 1 || list[0].LastError != "452 4.2.2 full" || !slices.Equal(list[0].Recipients, []string{"full@x"}) {
			t.Errorf("messages %+v, %v", list, err)
		}
		full.Store(false)
		pass(61 * time.Second)
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "x c@x", "x full@x"})
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
		g.stop()
	})
}

func TestDelayNoticeAndExpiration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable, Reason: "connector paris-rome is DOWN"})
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		if q := g.queue(t, KindUnreachable); q.WaitingFor != "a path to the destination: connector paris-rome is DOWN" || q.Messages != 1 {
			t.Errorf("queue %+v", q)
		}
		pass(time.Hour + time.Second)
		synctest.Wait()
		equal(t, "reports after an hour", g.reporter.got(), []string{"delay to a@here: b@x 4.4.1"})
		pass(3 * time.Hour)
		synctest.Wait()
		equal(t, "reports after four", g.reporter.got(), []string{"delay to a@here: b@x 4.4.1", "failure to a@here: b@x 4.4.7"})
		equal(t, "delivered", g.agent.got(), []string{"local delivery a@here", "local delivery a@here"})
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages left", n)
		}
		g.stop()
	})
}

// Mail leaves the unreachable queue by itself when the map changes, in its order.
func TestReroute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable})
		g.start()
		for i := range 50 {
			g.send(i, fmt.Sprintf("b%02d@x", i))
		}
		synctest.Wait()
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "other", Domain: "x", Options: mail.HopOptions{MaxConnections: 1}})
		synctest.Wait()
		if len(g.agent.delivered) != 50 || !slices.IsSorted(g.agent.delivered) {
			t.Errorf("delivered in the order %q", g.agent.delivered)
		}
		g.stop()
	})
}

// A connection that breaks gives its message back; the message that breaks each
// one waits by itself in the end and the others pass.
func TestBrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, target mail.Target) mail.Outcome {
			if target.Address.Local == "poison" {
				return mail.Defer(mail.StatusDropped, "lost")
			}
			return delivered
		}
		g.agent.after = func(_ mail.Hop, tr *mail.Transaction) error {
			if tr.Targets[0].Address.Local == "poison" {
				return errors.New("connection reset")
			}
			return nil
		}
		g.start()
		g.send(1, "poison@x")
		g.send(2, "b@x")
		pass(30 * time.Second)
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"x b@x"})
		g.stop()
		if n := g.store.len(); n != 1 {
			t.Errorf("%d messages in the spool, want the poisonous one", n)
		}
	})
}

func TestFailures(t *testing.T) {
	reject := &RejectError{mail.Fail(mail.StatusBadDomain, "no such domain")}
	for _, tc := range []struct {
		name    string
		prepare func(*rig)
		rcpts   []string
		want    []string
	}{
		{"by the categorizer", func(*rig) {}, []string{"nobody@here"}, []string{"failure to a@here: nobody@here 5.1.1"}},
		{"some by the categorizer", func(*rig) {}, []string{"nobody@here", "b@x"}, []string{"failure to a@here: nobody@here 5.1.1"}},
		{"no route", func(g *rig) {
			g.router.set("SMTP:x", mail.Hop{Kind: mail.HopFail, Status: mail.StatusNoRoute, Reason: "no connector"})
		}, []string{"b@x"}, []string{"failure to a@here: b@x 5.4.4"}},
		{"the hop for good", func(g *rig) {
			g.agent.dial = func(h mail.Hop) error {
				if h.Kind == mail.HopMX {
					return reject
				}
				return nil
			}
		}, []string{"b@x"}, []string{"failure to a@here: b@x 5.1.2"}},
		{"the peer", func(g *rig) {
			g.agent.answer = func(h mail.Hop, _ *mail.Transaction, _ mail.Target) mail.Outcome {
				if h.Kind == mail.HopMX {
					return mail.FromReply(mail.Reply{Code: 550, Status: mail.StatusUnknownUser}, "x")
				}
				return delivered
			}
		}, []string{"b@x", "c@x"}, []string{"failure to a@here: b@x 5.1.1 c@x 5.1.1"}},
		{"a panic in the agent", func(g *rig) {
			var n atomic.Int64
			g.agent.dial = func(h mail.Hop) error {
				if n.Add(1) == 1 {
					panic("oops")
				}
				return nil
			}
		}, []string{"b@x"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				tc.prepare(g)
				g.start()
				synctest.Wait() // as in TestHold
				g.send(1, tc.rcpts...)
				pass(time.Minute)
				synctest.Wait()
				equal(t, "reports", g.reporter.got(), tc.want)
				if n := g.store.len(); n != 0 {
					t.Errorf("%d messages left", n)
				}
				g.stop()
			})
		})
	}
}
