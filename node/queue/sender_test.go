package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// hasty is a virtual server that gives up sooner than the others.
var hasty = mail.GUID{7}

func hastyTerms() map[mail.GUID]Terms {
	c := testClock
	c.First, c.Second, c.Third, c.Subsequent = 7*time.Minute, 7*time.Minute, 7*time.Minute, 7*time.Minute
	c.DelayNotice, c.Expiration = 30*time.Minute, 2*time.Hour
	return map[mail.GUID]Terms{hasty: {Clock: c}}
}

// What the sender of late mail is told, and when it is given up, is as the virtual server
// says that sends it.
func TestNoticesByVirtualServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(h mail.Hop) error {
			if h.Domain == "" {
				return nil // the reports
			}
			return errAway
		}
		by := mail.Hop{Kind: mail.HopMX, Name: "x", Domain: "x", VirtualServer: hasty, VirtualServerName: "hasty"}
		g.router.set("SMTP:x", by)
		g.router.set("SMTP:y", mail.Hop{Kind: mail.HopMX, Name: "y", Domain: "y"})
		g.start(func(c *Config) { c.Own = hastyTerms() })
		begin := time.Now()
		g.send(1, "u@x")
		g.send(2, "u@y")
		pass(5 * time.Hour)
		g.stop()
		for _, c := range []struct {
			to     string
			notice time.Duration
		}{{"u@x", 2 * time.Hour}, {"u@y", 4 * time.Hour}} {
			if got := g.reporter.until[c.to]; !got.Equal(begin.Add(c.notice)) {
				t.Errorf("%s is said to be given up at %s, want %s after the beginning", c.to, got, c.notice)
			}
		}
		equal(t, "reports", g.reporter.list, []string{
			"delay to a@here: u@x 4.4.1", "delay to a@here: u@y 4.4.1", "failure to a@here: u@x 4.4.7", "failure to a@here: u@y 4.4.7",
		})
	})
}

// A message that the next hop defers by itself waits by the clock of its virtual server.
func TestDeferredByVirtualServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
			return mail.Defer(mail.Status{Class: 4, Subject: 2, Detail: 1}, "greylisted")
		}
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "x", Domain: "x", VirtualServer: hasty})
		g.start(noNotice, func(c *Config) { c.Own = hastyTerms() })
		begin := time.Now()
		g.send(1, "u@x")
		pass(8 * time.Minute)
		g.stop()
		if at := g.agent.at; len(at) != 2 || at[1].Sub(begin) != 7*time.Minute {
			t.Errorf("tried at %v, want once more after 7 minutes", at)
		}
	})
}

// A virtual server with few connections keeps its own links waiting, and takes no idle
// connection from another one.
func TestConnectionsOfVirtualServers(t *testing.T) {
	s := NewScheduler(Senders{
		Default: Terms{Clock: testClock, Limits: Limits{Connections: 1}},
		Own:     map[mail.GUID]Terms{hasty: {Clock: testClock, Limits: Limits{Connections: 1}}},
	})
	add := func(n int, hop mail.Hop) (dialled []ConnID) {
		k := keyFor(n)
		s.AddQueue(k, hop, false, 1)
		s.Reserve(k.Name(), mail.ID{byte(n)})
		s.Commit(k.Name(), Ref{ID: mail.ID{byte(n)}, Due: 1, Created: 1}, 1)
		for _, e := range s.Effects() {
			switch e.Kind {
			case EffectDial:
				dialled = append(dialled, e.Conn)
			case EffectHangUp:
				t.Errorf("connection %d has to make room", e.Conn)
			}
		}
		return dialled
	}
	to := func(domain string, by mail.GUID) mail.Hop {
		return mail.Hop{Kind: mail.HopMX, Name: domain, Domain: domain, VirtualServer: by}
	}
	first := add(1, to("a", mail.GUID{}))
	if len(first) != 1 {
		t.Fatalf("dialled %v", first)
	}
	for _, taken := range s.Take(first[0], 1) {
		s.Gone(taken.Queue, taken.Ref.ID, 1)
	}
	if s.Idle(first[0], 1) != RestSleep {
		t.Fatal("a connection without work does not stay")
	}
	other := add(2, to("a", hasty)) // the same domain, and its place is taken by nobody
	if len(other) != 1 || other[0] == first[0] {
		t.Fatalf("dialled %v", other)
	}
	if third := add(3, to("b", hasty)); len(third) != 0 {
		t.Errorf("dialled %v, beyond the limit", third)
	}
	s.Closed(other[0], Ending{Err: "away"}, 1)
	if b := s.by[hasty].all; len(b.line) != 0 || b.open != 1 {
		t.Errorf("%d links wait and %d connections are open after one ended", len(b.line), b.open)
	}
}

// Mail moves to another link when another virtual server sends it; what is open ends by
// the terms of its beginning.
func TestOtherVirtualServerIsAnotherLink(t *testing.T) {
	s := NewScheduler(Senders{Default: Terms{Clock: testClock}, Own: hastyTerms()})
	k := keyFor(1)
	hop := mail.Hop{Kind: mail.HopMX, Name: "x", Domain: "x", Options: mail.HopOptions{Glitch: -1}}
	s.AddQueue(k, hop, false, 1)
	s.Reserve(k.Name(), mail.ID{1})
	s.Commit(k.Name(), Ref{ID: mail.ID{1}, Due: 1, Created: 1}, 1)
	old := s.Effects()[0].Conn
	hop.VirtualServer = hasty
	if moved := s.Reroute(func(Key) mail.Hop { return hop }, 2); moved != 1 {
		t.Fatalf("%d queues moved", moved)
	}
	next := s.Effects()
	if len(next) != 1 || next[0].Kind != EffectDial || next[0].Hop.VirtualServer != hasty {
		t.Fatalf("%+v", next)
	}
	s.Closed(old, Ending{}, 3)
	s.Closed(next[0].Conn, Ending{Err: "away"}, 3)
	if want := 3 + (7 * time.Minute).Milliseconds(); s.Next() != want {
		t.Errorf("the next attempt is at %d, want %d", s.Next(), want)
	}
	if s.by[mail.GUID{}].all.open != 0 || s.by[hasty].all.open != 0 || len(s.by[hasty].domains) != 0 {
		t.Error("connections that ended still count")
	}
}

// Mail that waits goes by the clock of the virtual server to which it moves: what was
// deferred by itself, and its end.
func TestClockOfTheOtherVirtualServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, to mail.Target) mail.Outcome {
			if to.Address.Domain != "x" {
				return delivered // the report
			}
			return mail.Defer(mail.Status{Class: 4, Subject: 2, Detail: 1}, "greylisted")
		}
		hop := mail.Hop{Kind: mail.HopMX, Name: "x", Domain: "x"}
		g.router.set("SMTP:x", hop)
		g.start(noNotice, func(c *Config) {
			c.Own = hastyTerms()
			c.Own[hasty] = Terms{Clock: Clock{First: 7 * time.Minute, Second: time.Hour, Third: time.Hour, Subsequent: time.Hour, Expiration: 40 * time.Minute}}
		})
		begin := time.Now()
		g.send(1, "u@x")
		pass(30 * time.Second) // deferred, until the first minute is over
		hop.VirtualServer = hasty
		g.router.set("SMTP:x", hop)
		pass(10 * time.Minute)
		pass(30*time.Minute + time.Second)
		g.stop()
		if at := g.agent.at; len(at) != 3 || at[1].Sub(begin) != 7*time.Minute || at[2].Sub(begin) != 40*time.Minute {
			t.Errorf("tried at %v, want once more after 7 minutes, and the report after 40", at)
		}
		equal(t, "reports", g.reporter.list, []string{"failure to a@here: u@x 4.2.1"})
	})
}
