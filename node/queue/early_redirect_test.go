package queue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// What is not routed yet is redirected: the order is kept, over a kill too, is shown, and
// holds when the message is routed. The last order counts; auto takes it back.
func TestRedirectBeforeRouting(t *testing.T) {
	host := Way{Host: "h:25", Name: "h:25"}
	relay := Way{Connector: mail.GUID{7}, Name: "backup"}
	for name, c := range map[string]struct {
		orders  []Way
		touched int // messages that the last order changes
		want    []string
		next    string // as it is shown before
	}{
		"to a host":          {[]Way{host}, 1, []string{"h:25 b@x", "h:25 c@here", "h:25 d@y"}, "redirected to h:25"},
		"to a connector":     {[]Way{relay}, 1, []string{"local delivery c@here", "relay b@x", "y d@y"}, "redirected to backup"},
		"twice":              {[]Way{relay, host}, 1, []string{"h:25 b@x", "h:25 c@here", "h:25 d@y"}, "redirected to h:25"},
		"again":              {[]Way{host, host}, 0, []string{"h:25 b@x", "h:25 c@here", "h:25 d@y"}, "redirected to h:25"},
		"and back":           {[]Way{host, {Name: "the way of the map"}}, 1, []string{"local delivery c@here", "x b@x", "y d@y"}, ""},
		"back without cause": {[]Way{{Name: "the way of the map"}}, 0, []string{"local delivery c@here", "x b@x", "y d@y"}, ""},
	} {
		for _, killed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig()
					ready := func(g *rig) {
						g.router.set("SMTP:x@"+relay.Connector.String(), mail.Hop{Kind: mail.HopSmartHost, Name: "relay", Connector: relay.Connector, Hosts: []string{"relay"}})
						g.dir.set(errAway)
						g.start()
					}
					ready(g)
					env := g.send(1, "b@x", "c@here", "d@y")
					synctest.Wait()
					var got Tally
					for _, to := range c.orders {
						got = g.act(t, Selection{IDs: []mail.ID{env.ID}}, Order{Verb: VerbRedirect, To: to, Note: Note{By: "ada", Reason: "line is down"}})
					}
					if got.Messages != c.touched || len(got.Refused) != 0 {
						t.Errorf("%+v", got)
					}
					if killed {
						g2 := g.killed()
						g.stop()
						g = g2
						ready(g)
						synctest.Wait()
					}
					list, err := g.Messages("", 0)
					if err != nil || len(list) != 1 || list[0].NextHop != c.next || list[0].State == "frozen" {
						t.Errorf("%+v, %v", list, err)
					}
					g.dir.set(nil)
					pass(2 * time.Minute)
					equal(t, "delivered", g.agent.got(), c.want)
					g.stop()
					if len(g.ctl.Early) != 0 {
						t.Errorf("%+v is kept", g.ctl.Early)
					}
				})
			})
		}
	}
}

// An administrator's word is above a rule that redirects, and recipients whom both send
// the same way share a queue.
func TestRedirectBeforeRoutingAndRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := func(host string) Order {
			return Order{Verb: VerbRedirect, To: Way{Host: host, Name: host}, Match: func(it Item) bool { return it.Target.Address.Local == "b" }}
		}
		g := newRig()
		g.dir.set(errAway)
		g.start(func(c *Config) { c.Rules = []Rule{{Name: "r", Order: to("rule:25")}} })
		env := g.send(1, "b@x", "c@x")
		synctest.Wait()
		o := to("h:25")
		o.Match = nil
		g.act(t, Selection{IDs: []mail.ID{env.ID}}, o)
		g.dir.set(nil)
		pass(2 * time.Minute)
		equal(t, "delivered", g.agent.got(), []string{"h:25 b@x", "h:25 c@x"})
		g.stop()
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// A frozen message can be redirected before routing, stays frozen, and goes the new way.
func TestRedirectFrozenBeforeRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.dir.set(errAway)
		g.start(noNotice)
		env := g.send(1, "b@x")
		synctest.Wait()
		one := Selection{IDs: []mail.ID{env.ID}}
		g.act(t, one, byHand)
		g.act(t, one, Order{Verb: VerbRedirect, To: Way{Host: "h:25", Name: "h:25"}})
		g.dir.set(nil)
		pass(10 * time.Hour)
		equal(t, "frozen", g.agent.got(), nil)
		g.act(t, one, letGo)
		pass(time.Minute)
		equal(t, "thawed", g.agent.got(), []string{"h:25 b@x"})
		if n := g.seen("REDIRECT"); n != 1 || g.seen("FREEZE") != 1 || g.seen("THAW") != 1 {
			t.Errorf("events %q", g.events)
		}
		g.stop()
	})
}

// A host that an administrator mistyped returns nothing: mail waits until it is sent on.
func TestRedirectToNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(h mail.Hop) error {
			switch h.Name {
			case "typo:25":
				return &RejectError{mail.Fail(mail.StatusBadDomain, "the name does not exist")}
			case "x":
				return errAway
			}
			return nil
		}
		g.start(noNotice)
		g.send(1, "b@x")
		synctest.Wait()
		g.act(t, Selection{}, Order{Verb: VerbRedirect, To: Way{Host: "typo:25", Name: "typo:25"}})
		pass(time.Minute)
		q := g.queue(t, KindRemote)
		if q.State != Retry || q.LastError != "the name does not exist" || len(g.reporter.got()) != 0 {
			t.Errorf("%+v, reports %q", q, g.reporter.got())
		}
		g.act(t, Selection{}, Order{Verb: VerbRedirect, To: Way{Host: "h:25", Name: "h:25"}})
		synctest.Wait()
		if got := g.agent.got(); !slices.Equal(got, []string{"h:25 b@x"}) {
			t.Errorf("delivered %q", got)
		}
		g.stop()
	})
}
