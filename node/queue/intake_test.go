package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
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
