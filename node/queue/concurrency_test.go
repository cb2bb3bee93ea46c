package queue

import (
	"fmt"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// The window over a life with a limit of 8: quick growth, one halving for trouble
// that belongs together, slow growth after it.
func TestConcurrencyWindow(t *testing.T) {
	c := newConcurrency(8)
	var got []int
	note := func(f func(), times int) {
		for range times {
			f()
		}
		got = append(got, c.window)
	}
	good := func() { c.succeeded(8) }
	note(good, 0)
	note(good, 3)
	note(good, 20)
	note(c.failed, 3)
	note(c.failed, 1)
	note(c.failed, 2)
	note(c.failed, 9)
	note(good, growAfter-1)
	note(good, 1)
	note(func() { good(); c.failed() }, 2)
	note(good, 10*growAfter)
	if want := []int{2, 5, 8, 4, 4, 2, 1, 1, 2, 1, 8}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("window %v, want %v", got, want)
	}
}

func TestConcurrencyBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		c := newConcurrency(limit)
		for range rapid.IntRange(0, 300).Draw(t, "events") {
			was := c.window
			if rapid.Bool().Draw(t, "good") {
				c.succeeded(limit)
			} else {
				c.failed()
			}
			if c.window < 1 || c.window > limit || c.window > was+1 || c.window < was/2 {
				t.Fatalf("from %d to %d, limit %d", was, c.window, limit)
			}
		}
		for range 25 * growAfter {
			c.succeeded(limit)
		}
		if c.window != limit {
			t.Fatalf("a healthy hop has %d of %d", c.window, limit)
		}
	})
}

// Above the window connections end, all but as many as it has room for; the list
// shows both.
func TestConcurrencyShrinks(t *testing.T) {
	s := NewScheduler(alone(Limits{PerConnection: 1, PerLink: 8}, testClock))
	k := keyFor(1)
	for i := range 200 {
		put(s, k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, byte(i+1), epoch)
	}
	var open []ConnID
	dialled := func() {
		for _, e := range s.Effects() {
			if e.Kind == EffectDial {
				open = append(open, e.Conn)
			}
		}
	}
	for range 20 {
		dialled()
		s.Take(open[0], epoch)
		s.Worked(open[0], epoch)
	}
	if q := s.List(epoch)[0]; len(open) != 8 || q.Connections != 8 || q.Window != 8 {
		t.Fatalf("%d connections, listed %d of %d", len(open), q.Connections, q.Window)
	}
	s.Slowed(open[0], epoch)
	left := 0
	for _, id := range open {
		if s.Take(id, epoch) != nil {
			left++
		} else if s.Idle(id, epoch) != RestClose {
			t.Error("a connection above the window may stay")
		}
	}
	if q := s.List(epoch)[0]; left != 4 || q.Window != 4 {
		t.Errorf("%d connections go on, listed %d", left, q.Window)
	}
	for _, id := range open[:4] {
		s.Closed(id, Ending{}, epoch)
	}
	dialled()
	if q := s.List(epoch)[0]; len(open) != 8 || q.Connections != 4 {
		t.Errorf("after they closed: %d of %d, dialled %d", q.Connections, q.Window, len(open))
	}
}

// Messages that failed before stand behind fresh ones, three times of four, and
// lose nothing when there are none.
func TestProblemMessagesGoBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewScheduler(alone(Limits{}, testClock))
		k := keyFor(1)
		hop := mail.Hop{Kind: mail.HopMX, Domain: "x"}
		s.AddQueue(k, hop, false, epoch)
		old, fresh := rapid.IntRange(0, 40).Draw(t, "tried"), rapid.IntRange(0, 40).Draw(t, "fresh")
		for i := range old + fresh {
			ref := Ref{ID: mail.ID{byte(i + 1)}, Created: epoch, Due: epoch}
			if i < old {
				ref.Attempts = 1 // and older: they stand first
			}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, epoch)
		}
		if old+fresh == 0 {
			return
		}
		triedTaken, freshTaken := 0, 0
		for taken := s.Take(1, epoch); taken != nil; taken = s.Take(1, epoch) {
			if taken[0].Ref.Attempts > 0 {
				triedTaken++
			} else {
				freshTaken++
			}
			n := triedTaken + freshTaken
			if freshTaken < fresh && triedTaken < old && triedTaken != n/problemShare {
				t.Fatalf("of %d messages %d had failed before, want one of %d", n, triedTaken, problemShare)
			}
		}
		if triedTaken != old || freshTaken != fresh {
			t.Fatalf("%d and %d were taken of %d and %d", triedTaken, freshTaken, old, fresh)
		}
	})
}

// The same over all queues of a link: each message that failed before stands behind
// the fresh ones of its priority wherever they lead, and keeps a quarter of the turns.
func TestProblemsGoBehindOtherQueues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewScheduler(alone(Limits{}, testClock))
		problems, fresh, n := 0, 0, 0
		for d := range rapid.IntRange(2, 12).Draw(t, "queues") {
			k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: fmt.Sprint(d)}, mail.Class{}, nil)
			s.AddQueue(k, mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"relay"}}, false, epoch)
			ill := rapid.IntRange(0, 12).Draw(t, "failed before")
			for i := range ill + rapid.IntRange(0, 12).Draw(t, "fresh") {
				n++
				ref := Ref{ID: mail.ID{byte(d), byte(n)}, Created: epoch, Due: epoch}
				if i < ill {
					ref.Attempts = 1
					problems++
				} else {
					fresh++
				}
				s.Reserve(k.Name(), ref.ID)
				s.Commit(k.Name(), ref, epoch)
			}
		}
		served, taken := 0, 0
		for next := s.Take(1, epoch); next != nil; next = s.Take(1, epoch) {
			taken++
			if next[0].Ref.Attempts > 0 {
				served++
			}
			// One of four at most while there are fresh ones; all of the turns after that.
			if left := fresh - (taken - served); left > 0 && served > taken/problemShare {
				t.Fatalf("of %d messages %d had failed before, with %d fresh ones left", taken, served, left)
			}
		}
		if served != problems || taken-served != fresh {
			t.Fatalf("%d of %d and %d of %d were taken", served, problems, taken-served, fresh)
		}
	})
}

// Low priority keeps its turns, whatever failed before it.
func TestProblemsKeepToTheirPriority(t *testing.T) {
	s := NewScheduler(alone(Limits{}, testClock))
	for p := mail.PriorityLow; p <= mail.PriorityHigh; p++ {
		k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x"}, mail.Class{Priority: p}, nil)
		s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, false, epoch)
		for i := range 160 {
			ref := Ref{ID: mail.ID{byte(p + 2), byte(i)}, Due: epoch, Created: epoch}
			if p != mail.PriorityLow {
				ref.Attempts = 3
			}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, epoch)
		}
	}
	count := map[byte]int{}
	for range 160 {
		count[s.Take(1, epoch)[0].Ref.ID[0]]++
	}
	if want := map[byte]int{3: 100, 2: 50, 1: 10}; fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("of 160 turns: %v, want %v", count, want)
	}
}

// What the next hop says to mail moves the number: 4yz for all recipients halves it, and
// a message that is put off for one of two does not.
func TestConcurrencyFollowsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, target mail.Target) mail.Outcome {
			if target.Address.Local == "late" {
				return mail.FromReply(mail.Reply{Code: 451, Status: mail.Status{Class: 4, Subject: 3}, Lines: []string{"later"}}, "x")
			}
			return delivered
		}
		g.start(noNotice)
		synctest.Wait()
		window := func() int {
			g.send(99, "late@x") // so that there is a queue to look at
			synctest.Wait()
			return g.queue(t, KindRemote).Window
		}
		for i := range 20 {
			g.send(i+1, "b@x")
			synctest.Wait()
		}
		if n := window(); n != 4 {
			t.Errorf("after twenty good answers and one 451: %d connections are allowed, want 4 of 8", n)
		}
		g.send(100, "late@x", "b@x")
		synctest.Wait()
		if n := g.queue(t, KindRemote).Window; n != 4 {
			t.Errorf("after a message of which one recipient was put off: %d, want 4", n)
		}
		g.stop()
	})
}
