package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// wall is a clock that can be set.
type wall struct{ off atomic.Int64 }

func (w *wall) now() time.Time { return time.Now().Round(0).Add(time.Duration(w.off.Load())) }

func (w *wall) jump(by time.Duration) { w.off.Add(int64(by)) }

func (w *wall) config(c *Config) { c.Now = w.now }

// send is that of the rig, by the clock that can be set.
func (w *wall) send(g *rig, n int, to string) *mail.Envelope {
	env := envelope(n, to)
	env.Created = w.now()
	env.ID = mail.NewID(w.now(), [10]byte{9: byte(n)})
	g.store.accept(env)
	g.Enqueue(env.ID, env)
	synctest.Wait()
	return env
}

// jumpsOf are the ways in which a clock is set.
var jumpsOf = map[string][]time.Duration{
	"an hour forward":       {time.Hour},
	"a day forward":         {24 * time.Hour},
	"a year forward":        {365 * 24 * time.Hour},
	"an hour back":          {-time.Hour},
	"a day back":            {-24 * time.Hour},
	"a year back":           {-365 * 24 * time.Hour},
	"forward and back":      {72 * time.Hour, -72 * time.Hour},
	"back and forward":      {-72 * time.Hour, 72 * time.Hour},
	"forward and half back": {72 * time.Hour, -36 * time.Hour},
}

// Whatever is done to the clock of a node while mail waits: links and messages are tried
// when they would have been, and senders hear of a delay and of the end after that time
// has passed, not before. New mail is no worse off.
func TestClockJumpsWhileMailWaits(t *testing.T) {
	for name, by := range jumpsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				var back atomic.Bool
				g.agent.dial = func(h mail.Hop) error {
					if h.Name == "x" && !back.Load() {
						return errAway
					}
					return nil
				}
				var tried atomic.Int64 // of the message that is deferred by itself
				g.agent.answer = func(_ mail.Hop, _ *mail.Transaction, to mail.Target) mail.Outcome {
					if to.Address.Domain == "busy" && !back.Load() {
						tried.Add(1)
						return mail.FromReply(mail.Reply{Code: 450}, "busy")
					}
					return delivered
				}
				g.start(w.config)
				w.send(g, 1, "b@x")
				w.send(g, 2, "b@busy")
				pass(20 * time.Minute)
				for _, d := range by {
					w.jump(d)
					before, dials := tried.Load(), g.dialled("x")
					pass(11 * time.Minute) // twice the longest interval, and until it is noticed
					tries := tried.Load() - before
					if tries == 0 || g.dialled("x") == dials {
						t.Errorf("after a jump by %v the message was tried %d times, the link %d times", d, tries, g.dialled("x")-dials)
					}
					if tries > 5 || g.dialled("x") > dials+5 {
						t.Errorf("after a jump by %v the message was tried %d times, the link %d times", d, tries, g.dialled("x")-dials)
					}
				}
				if got := g.reporter.got(); len(got) > 0 {
					t.Errorf("after half an hour senders hear %q", got)
				}
				w.send(g, 3, "b@y")
				if !slices.Contains(g.agent.got(), "y b@y") {
					t.Errorf("new mail waits: %+v", g.List())
				}
				w.send(g, 4, "c@x")
				pass(time.Hour)
				if got := len(g.reporter.got()); got < 2 && len(by) == 1 && by[0] > 0 {
					t.Errorf("after an hour and a half senders hear %q", g.reporter.got())
				}
				back.Store(true)
				pass(6 * time.Minute)
				for _, want := range []string{"x b@x", "x c@x", "busy b@busy"} {
					if !slices.Contains(g.agent.got(), want) {
						t.Errorf("%s was not delivered when it could be: %q", want, g.agent.got())
					}
				}
				g.stop()
			})
		})
	}
}

// Mail on the disk of a node that starts with another clock leaves, and nothing that can be
// delivered is returned: it is tried first.
func TestClockJumpsBetweenStarts(t *testing.T) {
	for name, by := range jumpsOf {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the host is away: %v", name, down), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g, w := newRig(), &wall{}
					away := func(h mail.Hop) error {
						if h.Name == "x" {
							return errAway
						}
						return nil
					}
					g.agent.dial = away
					g.start(w.config, noNotice)
					g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
						return mail.FromReply(mail.Reply{Code: 450}, "busy")
					}
					for i := range 4 {
						w.send(g, i+1, fmt.Sprint("b", i, "@x"))
					}
					w.send(g, 5, "b4@busy") // deferred by itself
					pass(5 * time.Minute)
					g.stop()
					w.jump(by[0])
					next := newRig()
					next.store = g.store
					if down {
						next.agent.dial = away
					}
					next.start(w.config, noNotice)
					pass(10 * time.Minute)
					switch got := next.agent.got(); {
					case !down && len(got) != 5:
						t.Errorf("delivered %q; reports %q", got, next.reporter.got())
					case down && (len(got) != 1 || len(next.reporter.got()) > 0 || next.dialled("x") < 3):
						t.Errorf("after %d attempts: %q", next.dialled("x"), next.reporter.got())
					}
					pass(4 * time.Hour)
					got := slices.DeleteFunc(next.reporter.got(), func(s string) bool { return !strings.HasPrefix(s, "failure to a@here") })
					if down && len(got) != 4 {
						t.Errorf("after its time is over senders hear %q", got)
					}
					next.stop()
				})
			})
		}
	}
}

// Mail that waits for the directory asks it again.
func TestClockJumpsWhileTheDirectoryIsAway(t *testing.T) {
	for name, by := range jumpsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				g.dir.set(errAway)
				g.start(w.config, noNotice)
				w.send(g, 1, "b@x")
				pass(5 * time.Minute)
				for _, d := range by {
					w.jump(d)
					pass(5 * time.Minute)
				}
				g.dir.set(nil)
				pass(2 * time.Minute)
				equal(t, "delivered", g.agent.got(), []string{"x b@x"})
				equal(t, "reports", g.reporter.got(), nil)
				g.stop()
			})
		})
	}
}

// What was asked to be tried at once is, and no more than that, when the clock goes back.
func TestClockGoesBackAfterForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newRig(), &wall{}
		var tried atomic.Int64
		g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
			tried.Add(1)
			return mail.FromReply(mail.Reply{Code: 450}, "x")
		}
		g.start(w.config, noNotice)
		w.send(g, 1, "b@x")
		g.Retry(nil, false)
		synctest.Wait()
		w.jump(-24 * time.Hour)
		before := tried.Load()
		pass(20 * time.Minute)
		if n := tried.Load() - before; n < 3 || n > 8 {
			t.Errorf("tried %d times in 20 minutes", n)
		}
		g.stop()
	})
}

// New intervals hold for what was deferred before the clock was put back, in memory and read
// from disk after that.
func TestIntervalsChangeAfterTheClockWentBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, by := range []time.Duration{-time.Hour, -24 * time.Hour} {
			t.Run(fmt.Sprintf("%v, read after that: %v", by, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g, w := newRig(), &wall{}
					var tried atomic.Int64
					busy := func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
						tried.Add(1)
						return mail.FromReply(mail.Reply{Code: 450}, "busy")
					}
					g.agent.answer = busy
					clock := testClock
					clock.First, clock.Second = 10*time.Minute, 10*time.Minute
					change := func(c *Config) { c.Now, c.Clock = w.now, clock }
					g.start(noNotice, change)
					w.send(g, 1, "b@x")
					if late {
						g.stop()
						w.jump(by)
						g = g.again()
						g.agent.answer = busy
						g.start(noNotice, change)
					} else {
						w.jump(by)
					}
					pass(2 * time.Minute)
					clock.First, clock.Second = 4*time.Minute, 4*time.Minute
					g.SetSenders(alone(Limits{}, clock))
					before := tried.Load()
					pass(4*time.Minute + time.Second) // since it was deferred, or read
					if n := tried.Load() - before; n != 1 {
						t.Errorf("tried %d times, want once by the new interval", n)
					}
					g.stop()
				})
			})
		}
	}
}

// What is meant for a time of day follows the clock.
func TestTimesOfDayFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newRig(), &wall{}
		office := &mail.Timetable{Name: "office"}
		for q := range office.Open {
			office.Open[q] = q%96 >= 48 && q%96 < 64 // 12:00 to 16:00; the test begins at midnight
		}
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopSmartHost, Name: "x", Hosts: []string{"x:25"}, ConnectorName: "k", Options: mail.HopOptions{Timetable: office}})
		g.start(w.config, noNotice)
		held := envelope(1, "b@y")
		held.Created, held.HoldUntil = w.now(), w.now().Add(10*time.Hour)
		g.store.accept(held)
		g.Enqueue(held.ID, held)
		w.send(g, 2, "b@x")
		pass(time.Minute)
		w.jump(9 * time.Hour)
		pass(30 * time.Minute)
		if got := g.agent.got(); len(got) > 0 {
			t.Errorf("too early: %q", got)
		}
		w.jump(3 * time.Hour)
		pass(2 * time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "y b@y"})
		g.stop()
	})
}

// A delivery under way is not taken for one that hangs.
func TestClockJumpBreaksNoConnection(t *testing.T) {
	for name, by := range jumpsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				var broke atomic.Bool
				g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
					<-time.After(10 * time.Minute)
					return delivered
				}
				g.agent.after = func(mail.Hop, *mail.Transaction) error { return nil }
				g.start(w.config, noNotice)
				w.send(g, 1, "b@x")
				pass(3 * time.Minute)
				for _, d := range by {
					w.jump(d)
					pass(3 * time.Minute)
				}
				for _, k := range StallKinds() {
					broke.Store(broke.Load() || g.Stalls(k) > 0)
				}
				pass(10 * time.Minute)
				if broke.Load() || len(g.agent.got()) != 1 {
					t.Errorf("broken: %v, delivered %q", broke.Load(), g.agent.got())
				}
				g.stop()
			})
		})
	}
}

// What an alarm from before a jump was armed for keeps no nearer one from ringing.
func TestNearerAlarmsRingAfterAJump(t *testing.T) {
	for name, by := range jumpsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				g.router.set("SMTP:far", mail.Hop{Kind: mail.HopUnreachable, Reason: "no way"})
				g.start(w.config, func(c *Config) { c.Clock.DelayNotice, c.Clock.Expiration = 12*time.Hour, 48*time.Hour })
				w.send(g, 1, "b@far") // its alarm is the notice, in twelve hours
				pass(2 * time.Minute)
				for _, d := range by {
					w.jump(d)
					pass(2 * time.Minute)
				}
				env := envelope(2, "b@y")
				env.Created, env.HoldUntil = w.now(), w.now().Add(10*time.Minute)
				g.store.accept(env)
				g.Enqueue(env.ID, env)
				pass(10*time.Minute + time.Second)
				equal(t, "delivered after ten minutes", g.agent.got(), []string{"y b@y"})
				g.stop()
			})
		})
	}
}

// A transfer that goes on is alive, whenever the jump of the clock is seen.
func TestClockJumpBreaksNoTransfer(t *testing.T) {
	for name, by := range jumpsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w := newRig(), &wall{}
				g.agent.answer = func(_ mail.Hop, tr *mail.Transaction, _ mail.Target) mail.Outcome {
					for range 3 * 360 { // some of it is read each ten seconds, for three hours
						select {
						case <-g.serving.Done():
							return delivered
						case <-time.After(10 * time.Second):
						}
						tr.Content.(*content).beat()
					}
					return delivered
				}
				g.start(w.config, noNotice)
				w.send(g, 1, "b@x")
				pass(3*time.Minute + 5*time.Second)
				for _, d := range by {
					w.jump(d)
					pass(3 * time.Minute)
				}
				pass(3 * time.Hour)
				for _, k := range StallKinds() {
					if n := g.Stalls(k); n > 0 {
						t.Errorf("%d of %s stood still", n, k)
					}
				}
				equal(t, "delivered", g.agent.got(), []string{"x b@x"})
				g.stop()
			})
		})
	}
}

// Over any life with any jumps no message is given up, and no sender hears of a delay,
// before that time has really passed since it was created.
func TestNothingIsReturnedForAJump(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewScheduler(alone(Limits{}, testClock))
		real, off := int64(epoch), int64(0)
		born := map[mail.ID]int64{}
		k := keyFor(1)
		hop := mail.Hop{Kind: mail.HopUnreachable}
		n := byte(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				n++
				ref := put(s, k, hop, n, real+off)
				born[ref.ID] = real
			case 1:
				by := rapid.Int64Range(-10*3600_000, 10*3600_000).Draw(t, "jump")
				off += by
				s.Jump(by, real+off)
			case 2:
				real += rapid.Int64Range(0, 2*3600_000).Draw(t, "time")
			}
			s.Tick(real + off)
			for _, e := range s.Effects() {
				age := time.Duration(real-born[e.Ref.ID]) * time.Millisecond
				switch e.Kind {
				case EffectDelay:
					if age < testClock.DelayNotice {
						t.Fatalf("delayed after %v", age)
					}
					e.Ref.Notified = true
					s.Requeued(e.Queue, e.Ref, "", real+off)
				case EffectExpire:
					if age < testClock.Expiration {
						t.Fatalf("given up after %v", age)
					}
					s.Gone(e.Queue, e.Ref.ID, real+off)
				}
			}
		}
	})
}
