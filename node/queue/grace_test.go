package queue

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Within the grace after a start nothing is given up for its age, also when an attempt was
// made and deferred; it is tried by its interval, and given up when the grace is over.
func TestDeferredAfterTheStartIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newRig(), &wall{}
		g.agent.dial = func(mail.Hop) error { return errAway }
		g.start(w.config, noNotice)
		w.send(g, 1, "b@grey")
		w.send(g, 2, "b@x")
		pass(time.Minute)
		g.stop()
		w.jump(72 * time.Hour) // it was off for three days
		next := newRig()
		next.store = g.store
		var grey, x atomic.Int64
		next.agent.answer = func(_ mail.Hop, _ *mail.Transaction, to mail.Target) mail.Outcome {
			switch {
			case to.Address.Domain == "grey" && grey.Add(1) < 3, to.Address.Domain == "x" && x.Add(1) > 0:
				return mail.FromReply(mail.Reply{Code: 451}, "come back in a minute")
			}
			return delivered
		}
		next.start(w.config, noNotice)
		pass(14 * time.Minute)
		equal(t, "reports within the grace", next.reporter.got(), nil)
		equal(t, "delivered", next.agent.got(), []string{"grey b@grey"})
		if n := x.Load(); n != 5 { // at once, and after 1, 2, 3 and 5 minutes
			t.Errorf("tried %d times, want by the intervals", n)
		}
		pass(time.Minute + time.Second)
		equal(t, "reports after it", next.reporter.got(), []string{"failure to a@here: b@x 4.4.7"})
		next.stop()
	})
}

// The directory may be away at the start, too.
func TestDirectoryIsAwayAtTheStart(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprint("it comes back: ", back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				g.dir.set(errAway)
				g.start(w.config, noNotice)
				w.send(g, 1, "b@x")
				pass(time.Minute)
				g.stop()
				w.jump(72 * time.Hour)
				next := newRig()
				next.store = g.store
				next.dir.set(errAway)
				next.start(w.config, noNotice)
				pass(14 * time.Minute)
				equal(t, "reports within the grace", next.reporter.got(), nil)
				if back {
					next.dir.set(nil)
				}
				pass(3 * time.Minute)
				if got := next.reporter.got(); back == slices.Contains(got, "failure to a@here: b@x 4.4.3") {
					t.Errorf("reports after it: %q", got)
				}
				if got := next.agent.got(); back != slices.Contains(got, "x b@x") {
					t.Errorf("delivered %q", got)
				}
				next.stop()
			})
		})
	}
}

// A time that its sender set has a message looked at within the grace after a start: it is
// given up then if he wants that, and not for its age.
func TestDeliverByWithinTheGrace(t *testing.T) {
	hour := time.Hour.Milliseconds()
	for _, returns := range []bool{false, true} {
		s := NewScheduler(alone(Limits{}, testClock))
		now := 100 * hour
		s.began = now
		k := keyFor(1)
		s.AddQueue(k, mail.Hop{Kind: mail.HopMX, Domain: "x"}, false, now)
		ref := Ref{ID: mail.ID{1}, Due: now - 10*hour, Created: now - 10*hour, By: now - hour, Return: returns}
		s.Reserve(k.Name(), ref.ID)
		s.Commit(k.Name(), ref, now)
		s.Effects()
		due := func() (kinds []EffectKind) {
			for _, e := range s.Effects() {
				if e.Kind == EffectDelay || e.Kind == EffectExpire {
					kinds = append(kinds, e.Kind)
				}
			}
			return kinds
		}
		s.Tick(now + 1)
		want := EffectDelay
		if returns {
			want = EffectExpire
		}
		if got := due(); len(got) != 1 || got[0] != want {
			t.Errorf("to be returned then: %v: %v at the start, want %v", returns, got, want)
		}
		if returns {
			continue
		}
		ref.By, ref.Notified = 0, true
		s.Requeued(k.Name(), ref, "", now+1)
		if s.Tick(now + startGrace - 1); len(due()) > 0 {
			t.Error("given up within the grace")
		}
		s.Tick(now + startGrace)
		if got := due(); len(got) != 1 || got[0] != EffectExpire {
			t.Errorf("%v after the grace", got)
		}
	}
}
