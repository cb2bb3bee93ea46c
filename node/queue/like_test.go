package queue

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// A standing freeze stops queues that come later, over a kill too, leaves the others
// alone, and ends with its thaw only.
func TestStandingFreeze(t *testing.T) {
	for name, like := range map[string]Likeness{
		"destination": {Destination: "*.shop.example"},
		"as listed":   {Destination: "SMTP:a.shop.example"},
		"next hop":    {NextHop: "a.shop.*"},
		"both":        {NextHop: "a.shop.*", Destination: "a.shop.example"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig().start()
				if changed, err := g.FreezeLike(like, NoteOf("ada", "ill", time.Now())); !changed || err != nil {
					t.Fatal(changed, err)
				}
				if changed, err := g.FreezeLike(like, NoteOf("ada", "ill", time.Now())); changed || err != nil {
					t.Fatal(changed, err)
				}
				g.send(1, "b@a.shop.example", "c@y")
				env := envelope(2, "d@a.shop.example")
				env.Priority = mail.PriorityHigh
				g.store.accept(env)
				g.Enqueue(env.ID, env)
				pass(time.Minute)
				equal(t, "delivered", g.agent.got(), []string{"y c@y"})
				g2 := g.killed()
				g.stop()
				g2.start()
				pass(time.Minute)
				equal(t, "after a kill", g2.agent.got(), nil)
				st := g2.Standing()
				if len(st) != 1 || st[0].Like != like || st[0].Queues != 2 || st[0].Messages != 2 {
					t.Errorf("%+v", st)
				}
				id, _ := g2.idOf(t, "a.shop.example")
				q := g2.byID(t, id)
				want := "`queue thaw " + like.flags() + "`: frozen by ada: ill; messages still expire"
				if q.State != Frozen || q.Whole || q.Like != like.String() || q.WaitingFor != want || g2.Retry([]string{id}, false).Links != 0 {
					t.Errorf("%+v, want %q", q, want)
				}
				if found, err := g2.ThawLike(Likeness{Destination: "x"}); found || err != nil {
					t.Error(found, err)
				}
				if found, err := g2.ThawLike(like); !found || err != nil {
					t.Error(found, err)
				}
				pass(time.Minute)
				equal(t, "thawed", sorted(g2.agent.got()), []string{"a.shop.example b@a.shop.example", "a.shop.example d@a.shop.example"})
				g2.stop()
			})
		})
	}
}

// A queue that the map leads over a frozen next hop stops, and goes when it is led away.
func TestStandingFreezeFollowsTheMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		over := mail.Hop{Kind: mail.HopSmartHost, Name: "ill", Hosts: []string{"ill:25"}}
		g.router.hops = map[string]mail.Hop{"SMTP:x": over}
		g.start()
		if _, err := g.FreezeLike(Likeness{NextHop: "ill"}, Note{At: 1}); err != nil {
			t.Fatal(err)
		}
		g.send(1, "b@x")
		pass(time.Minute)
		equal(t, "delivered", g.agent.got(), nil)
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "well", Domain: "x"})
		pass(time.Minute)
		equal(t, "led away", g.agent.got(), []string{"well b@x"})
		g.router.set("SMTP:x", over)
		g.send(2, "c@x")
		pass(time.Minute)
		equal(t, "led back", g.agent.got(), []string{"well b@x"})
		g.stop()
	})
}

// The local queue and deferred delivery are frozen though there are none at the moment.
func TestStandingFreezeOfKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		for _, id := range []string{IDLocal, IDDeferred} {
			if _, err := g.FreezeLike(Likeness{Kind: id}, NoteOf("ada", "", time.Now())); err != nil {
				t.Fatal(err)
			}
			if q := g.byID(t, id); q.State != Frozen || q.WaitingFor != "`queue thaw "+id+"`: frozen by ada" {
				t.Errorf("%+v", q)
			}
		}
		held := envelope(1, "b@x")
		held.HoldUntil = time.Now().Add(time.Minute)
		g.store.accept(held)
		g.Enqueue(held.ID, held)
		g.send(2, "a@here")
		g.send(3, "c@x")
		pass(30 * time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"x c@x"})
		for _, id := range []string{IDLocal, IDDeferred} {
			if found, err := g.ThawLike(Likeness{Kind: id}); !found || err != nil {
				t.Error(found, err)
			}
		}
		pass(time.Minute)
		equal(t, "thawed", sorted(g.agent.got()), []string{"local delivery a@here", "x b@x", "x c@x"})
		if _, err := g.FreezeLike(Likeness{}, Note{}); !errors.Is(err, errNoLikeness) {
			t.Error(err)
		}
		g.stop()
	})
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
