package queue

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/mail"
)

// Messages of one destination that belong to different buckets, or come from
// senders whom connectors tell apart, may go different ways, and still do after
// a restart.
func TestBucketsAndSendersGoTheirOwnWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		hop := func(name string) mail.Hop {
			return mail.Hop{Kind: mail.HopSmartHost, Name: name, Hosts: []string{name + ":25"}}
		}
		g.router.bucket = func(origin mail.ID) uint8 {
			if origin[len(origin)-1]%3 == 0 {
				return 0
			}
			return origin[len(origin)-1] % 3
		}
		for _, bucket := range []int{0, 1, 2} {
			g.router.set(fmt.Sprintf("SMTP:x+%d", bucket), mail.Hop{Kind: mail.HopUnreachable})
		}
		g.router.set("SMTP:y~", mail.Hop{Kind: mail.HopUnreachable})
		g.start()
		send := func(n int, from, to string) {
			env := envelope(n, to)
			env.From.Local = from
			env.Origin = mail.ID{15: byte(n)}
			g.store.accept(env)
			g.Enqueue(env.ID, env)
		}
		for n := range 6 {
			send(n, "someone", fmt.Sprintf("b%d@x", n))
		}
		send(7, "trainee", "t@y")
		send(8, "someone", "s@y")
		synctest.Wait()
		equal(t, "delivered at first", g.agent.got(), []string{"y s@y"})
		g.stop()

		for _, bucket := range []int{0, 1, 2} {
			g.router.set(fmt.Sprintf("SMTP:x+%d", bucket), hop(fmt.Sprintf("way%d", bucket)))
		}
		g.router.set("SMTP:y~", hop("narrow"))
		g.start()
		synctest.Wait()
		got := g.agent.got()
		slices.Sort(got)
		equal(t, "delivered", got, []string{"narrow t@y", "way0 b0@x", "way0 b3@x", "way1 b1@x", "way1 b4@x", "way2 b2@x", "way2 b5@x", "y s@y"})
		g.stop()
	})
}

// A change of the map moves the queues whose hop is another one and no others,
// and asks the spool for nothing.
func TestRerouteMovesWhatChanged(t *testing.T) {
	s := NewScheduler(alone(Limits{}, Clock{}))
	hops := map[string]string{"a": "one", "b": "one", "c": "two"}
	hopOf := func(k Key) mail.Hop {
		name := hops[k.Destination.Domain]
		if name == "" {
			return mail.Hop{Kind: mail.HopUnreachable}
		}
		return mail.Hop{Kind: mail.HopSmartHost, Name: name, Hosts: []string{name}}
	}
	n := byte(0)
	for domain := range hops {
		k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: domain}, mail.Class{}, nil)
		s.AddQueue(k, hopOf(k), false, 1)
		for range 100 {
			n++
			ref := Ref{ID: mail.ID{n}, Due: 1, Created: 1}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, 1)
		}
	}
	s.Effects()
	for _, step := range []struct {
		domain, hop string
		moved       int
	}{{"a", "one", 0}, {"a", "two", 1}, {"b", "", 1}, {"b", "two", 1}} {
		hops[step.domain] = step.hop
		if moved := s.Reroute(hopOf, 2); moved != step.moved {
			t.Errorf("%s to %q: %d queues moved, want %d", step.domain, step.hop, moved, step.moved)
		}
		for _, e := range s.Effects() {
			if e.Kind != EffectDial {
				t.Errorf("%s to %q: effect %+v", step.domain, step.hop, e)
			}
		}
	}
}
