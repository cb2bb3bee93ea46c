package queue

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// Every message that was added is worked on until it is done, one at a time,
// whatever is put off or spilled to the spool and read again.
func TestIntake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newIntake(5)
		spool := map[mail.ID]bool{} // submitted, by the truth
		working := map[mail.ID]item{}
		now, n := int64(1), byte(0)
		reread := func() {
			in.spilled = false
			for id := range spool {
				in.add(id, nil)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				for id := range spool {
					if _, ok := in.known[id]; !ok && !in.spilled {
						t.Fatalf("%s is forgotten", id)
					}
				}
				if len(in.known) > 5 {
					t.Fatalf("%d known, limit 5", len(in.known))
				}
			},
			"add": func(*rapid.T) {
				n++
				spool[mail.ID{n}] = true
				in.add(mail.ID{n}, nil)
			},
			"again": func(*rapid.T) {
				for id := range spool {
					in.add(id, nil)
					break
				}
			},
			"next": func(t *rapid.T) {
				it, ok, wait := in.next(now)
				if !ok {
					if wait != 0 && wait <= now {
						t.Fatalf("nothing to do, but the wait is over")
					}
					return
				}
				if _, twice := working[it.id]; twice || !spool[it.id] {
					t.Fatalf("%s is worked on twice, or after it was done", it.id)
				}
				working[it.id] = it
			},
			"done": func(*rapid.T) {
				for id := range working {
					delete(working, id)
					delete(spool, id)
					in.done(id)
					break
				}
			},
			"put off": func(t *rapid.T) {
				for id, it := range working {
					delete(working, id)
					it.poison = rapid.Bool().Draw(t, "poison")
					in.putOff(it, "away", time.Second, now)
					break
				}
			},
			"resolved": func(*rapid.T) { in.resolved(now) },
			"reread":   func(*rapid.T) { reread() },
			"wait":     func(t *rapid.T) { now += rapid.Int64Range(0, 100_000).Draw(t, "ms") },
		})
		for range 1000 {
			for id := range working {
				delete(working, id)
				delete(spool, id)
				in.done(id)
			}
			if it, ok, wait := in.next(now); ok {
				working[it.id] = it
			} else if in.wantsSpool() {
				reread()
			} else if wait > now {
				now = wait
			}
		}
		if len(spool) > 0 {
			t.Fatalf("%d messages stay for ever", len(spool))
		}
	})
}

// The wait for the directory doubles up to a minute and ends for all as soon as
// it answers one.
func TestDirectoryBackoff(t *testing.T) {
	in := newIntake(10)
	in.add(mail.ID{1}, nil)
	in.add(mail.ID{2}, nil)
	now := int64(0)
	other, _, _ := in.next(now)
	in.putOff(other, "away", time.Hour, now) // an hour is cut to a minute
	if in.later[0].at != 60_000 {
		t.Errorf("waits %d ms, want a minute", in.later[0].at)
	}
	now = 60_000 - 1
	in.later[0].at = 1 << 40
	it, _, _ := in.next(now)
	for _, want := range []int64{1000, 2000, 4000, 8000, 16000, 32000} {
		in.putOff(it, "away", time.Second, now)
		if got := in.later[0].at - now; got != want {
			t.Errorf("waits %d ms, want %d", got, want)
		}
		now = in.later[0].at
		it, _, _ = in.next(now)
	}
	in.putOff(it, "away", time.Second, now)
	in.resolved(now)
	if _, ok, _ := in.next(now); !ok {
		t.Error("the directory answered, but the others wait on")
	}
}

// A message that a rescan of the spool finds between its acceptance and its
// announcement is worked on twice. The second time must not take it out of its
// queue: it would lie in the spool until the next start.
func TestAnnouncedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.router.set("SMTP:x", scheduled(func(int) bool { return false }))
		g.start()
		env := g.send(1, "b@x")
		synctest.Wait()
		g.Enqueue(env.ID, env)
		synctest.Wait()
		if q := g.queue(t, KindRemote); q.Messages != 1 {
			t.Errorf("%+v", q)
		}
		list, err := g.Messages("", 0)
		if err != nil || len(list) != 1 {
			t.Errorf("%d messages, %v", len(list), err)
		}
		g.stop()
	})
}

// Whenever a jump is seen: nothing waits longer than it would have, and what comes first does
// so still.
func TestIntakeWaitsNoLongerForAJump(t *testing.T) {
	const day = int64(24 * time.Hour / time.Millisecond)
	in, now := newIntake(10), epoch
	var work []item
	for n := range byte(4) {
		in.add(mail.ID{n + 1}, nil)
		it, _, _ := in.next(now)
		work = append(work, it)
	}
	work[0].poison, work[0].crashed = true, true
	work[1].poison = true
	work[3].poison, work[3].crashed = true, true
	in.putOff(work[0], "crashed", time.Second, now)
	in.putOff(work[1], "unreadable", time.Second, now)
	now += day // put forward, and not seen yet
	in.putOff(work[2], "away", time.Second, now)
	in.putOff(work[3], "crashed", time.Second, now)
	in.jump(day, now)
	waits := map[mail.ID]int64{}
	for _, it := range in.later {
		waits[it.id] = it.at - now
	}
	for n, want := range map[byte]time.Duration{1: crashWait, 2: time.Hour, 3: time.Second, 4: crashWait} {
		if got := waits[mail.ID{n}]; got != want.Milliseconds() {
			t.Errorf("%d waits %d ms, want %v", n, got, want)
		}
	}
	if it, ok, _ := in.next(now + 1000); !ok || it.id != (mail.ID{3}) {
		t.Errorf("first comes %v, %v", it.id, ok)
	}
}

// slowCategorizer has no answer for the first that it is asked about, once it has any,
// before its gate is open; but at once for c.
type slowCategorizer struct {
	*fakeCategorizer
	asked atomic.Bool
	gate  chan struct{}
}

func (c *slowCategorizer) Resolve(env *mail.Envelope) (Plan, error) {
	p, err := c.fakeCategorizer.Resolve(env)
	if err == nil && env.Recipients[0].Address.Local != "c" && !c.asked.Swap(true) {
		<-c.gate
	}
	return p, err
}

// When the directory answers again, all workers look after what waited for it.
func TestDirectoryIsBackForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		slow := &slowCategorizer{fakeCategorizer: g.dir, gate: make(chan struct{})}
		g.dir.set(errors.New("no catalog yet"))
		g.start(func(c *Config) { c.Categorizer = slow })
		g.send(1, "b@x")
		g.send(2, "b@x")
		pass(10*time.Minute + 10*time.Second) // they are asked about each minute now
		g.dir.set(nil)
		g.send(3, "c@x")
		pass(time.Second)
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "x c@x"})
		close(slow.gate)
		g.stop()
	})
}

// muteSpool does not say at times what has no plan.
type muteSpool struct {
	*fakeStore
	mute atomic.Bool
}

func (s *muteSpool) Submitted(after spool.ID, limit int) ([]spool.ID, error) {
	if s.mute.Load() {
		return nil, spool.ErrUnreadable
	}
	return s.fakeStore.Submitted(after, limit)
}

// What was left to the spool is read again a second after that failed, though a message
// that cannot be dealt with waits for an hour.
func TestSpoolIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		store := &muteSpool{fakeStore: g.store}
		g.start(func(c *Config) { c.Store = store })
		synctest.Wait()
		store.mute.Store(true)
		left := envelope(1, "b@x")
		g.store.accept(left)
		g.inMu.Lock()
		g.intake.stand(item{id: mail.ID{9}})
		it, _, _ := g.intake.next(g.now())
		it.poison = true
		g.intake.putOff(it, "cannot be read", time.Second, g.now())
		g.intake.spilled = true
		g.inMu.Unlock()
		g.send(2, "c@x")
		pass(5 * time.Second)
		store.mute.Store(false)
		pass(5 * time.Second)
		equal(t, "delivered", g.agent.got(), []string{"x b@x", "x c@x"})
		g.stop()
	})
}
