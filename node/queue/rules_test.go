package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// A rule that came while a message was held meets it when it is let go, before a
// connection does. Who let it go by hand wants it to move: no rule holds it then.
func TestRulesMeetWhatIsLetGo(t *testing.T) {
	bounce := rule("later", Order{Verb: VerbDelete, Report: true, Status: mail.StatusNoPermission}, "b")
	divert := rule("later", Order{Verb: VerbRedirect, To: Way{Host: "other", Name: "other"}}, "b")
	hold := rule("later", Order{Verb: VerbFreeze}, "b")
	for name, c := range map[string]struct {
		later   Rule
		byHand  []string // what is delivered when a message is let go that was frozen by hand
		byRule  []string // and when the rule ends that held it
		reports int
	}{
		"bounce":   {bounce, []string{"local delivery a@here", "x c@x"}, []string{"local delivery a@here", "x c@x"}, 1},
		"redirect": {divert, []string{"other b@x", "x c@x"}, []string{"other b@x", "x c@x"}, 0},
		"hold":     {hold, []string{"x b@x", "x c@x"}, []string{"x c@x"}, 0},
	} {
		t.Run(name+" by hand", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.agent.dial = func(h mail.Hop) error {
					if h.Name == "x" {
						return errAway
					}
					return nil
				}
				g.start(noNotice)
				env := g.send(1, "b@x", "c@x")
				synctest.Wait()
				one := Selection{IDs: []mail.ID{env.ID}}
				g.act(t, one, byHand)
				g.SetRules([]Rule{c.later})
				pass(time.Hour)
				equal(t, "frozen", g.agent.got(), nil)
				g.agent.mu.Lock()
				g.agent.dial = nil
				g.agent.mu.Unlock()
				g.act(t, one, letGo)
				pass(time.Hour)
				equal(t, "let go", g.agent.got(), c.byHand)
				if n := len(g.reporter.got()); n != c.reports {
					t.Errorf("%d reports", n)
				}
				g.stop()
			})
		})
		t.Run(name+" by rule", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				first := rule("first", Order{Verb: VerbFreeze}, "b")
				first.Order.Match = func(Item) bool { return true }
				first.Until = time.Now().Add(time.Hour).UnixMilli()
				g.start(noNotice, func(cf *Config) { cf.Rules = []Rule{first} })
				g.send(1, "b@x", "c@x")
				pass(time.Minute)
				g.SetRules([]Rule{first, c.later})
				pass(time.Minute)
				equal(t, "held", g.agent.got(), nil)
				pass(2 * time.Hour)
				equal(t, "let go", g.agent.got(), c.byRule)
				if n := len(g.reporter.got()); n != c.reports {
					t.Errorf("%d reports", n)
				}
				if _, held := g.Stopped(); name == "hold" && held[RuleHold("later")] != 1 {
					t.Errorf("held %v", held)
				}
				g.stop()
			})
		})
	}
}

// A rule that is taken away while what waits is held against it does nothing more.
func TestRuleTakenAwayMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start(noNotice)
		for n := range 5 {
			g.send(n+1, "b@x")
		}
		synctest.Wait()
		slow := rule("bounce", withReport, "b")
		means := slow.Order.Match
		slow.Order.Match = func(it Item) bool {
			<-time.After(time.Second)
			return means(it)
		}
		g.SetRules([]Rule{slow})
		pass(1500 * time.Millisecond)
		g.SetRules(nil)
		pass(time.Minute)
		if got := g.reporter.got(); len(got) > 1 {
			t.Errorf("%d of 5 messages were returned", len(got))
		}
		g.stop()
	})
}
