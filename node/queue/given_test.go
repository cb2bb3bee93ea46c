package queue

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// An order for a message in flight holds though the node dies during the attempt: it
// is carried out before anybody is given the message again.
func TestOrderInFlightSurvivesKill(t *testing.T) {
	for name, c := range map[string]struct {
		orders  []Order
		reports []string
		left    int
		hold    string
	}{
		"delete":              {[]Order{withReport}, []string{"failure to a@here: b@x 4.3.2"}, 0, ""},
		"freeze":              {[]Order{byHand}, nil, 1, HoldByHand},
		"redirect":            {[]Order{{Verb: VerbRedirect, To: Way{Host: "other:25", Name: "other"}}}, nil, 0, ""},
		"freeze, then delete": {[]Order{byHand, withReport}, []string{"failure to a@here: b@x 4.3.2"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				gate := make(chan struct{})
				g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
					<-gate
					return delivered
				}
				g.start()
				env := g.send(1, "b@x")
				synctest.Wait()
				for _, o := range c.orders {
					if tally, err := g.Act(context.Background(), Selection{IDs: []mail.ID{env.ID}}, o, false); tally.Later != 1 || err != nil {
						t.Fatalf("%+v, %v", tally, err)
					}
				}
				g2 := g.killed()
				close(gate)
				synctest.Wait()
				equal(t, "without a kill", g.agent.got(), []string{"x b@x"})
				g.stop()
				if n := len(keptOrders(t, g)); n != 0 {
					t.Errorf("%d orders are kept that are done", n)
				}

				g2.start()
				pass(time.Minute)
				for _, got := range g2.agent.got() {
					if got == "x b@x" {
						t.Errorf("delivered %q in spite of the order", g2.agent.got())
					}
				}
				equal(t, "reports", g2.reporter.got(), c.reports)
				list, err := g2.Messages("", 0)
				if err != nil || len(list) != c.left || c.left > 0 && list[0].Hold != c.hold {
					t.Errorf("%+v, %v", list, err)
				}
				if n := len(keptOrders(t, g2)); n != 0 {
					t.Errorf("%d orders are kept after they were carried out", n)
				}
				// Let go, it is not stopped again by the next start.
				if c.left > 0 {
					g2.act(t, Selection{IDs: []mail.ID{env.ID}}, letGo)
					g3 := g2.killed()
					g2.stop()
					g3.start()
					pass(time.Minute)
					list, err := g3.Messages("", 0)
					if err != nil || len(list) > 0 && list[0].Hold != "" {
						t.Errorf("stopped again: %+v, %v", list, err)
					}
					g3.stop()
					return
				}
				g2.stop()
			})
		})
	}
}

func keptOrders(t *testing.T, g *rig) []givenOrder {
	t.Helper()
	b, err := g.store.Control()
	if err != nil {
		t.Fatal(err)
	}
	var c stopOrders
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c.Given
}

// The order names recipients: what came to stand in the queue later is not meant.
func TestOrderInFlightOfOneRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		gate := make(chan struct{})
		g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
			<-gate
			return delivered
		}
		g.start()
		g.send(1, "b@x", "c@x")
		synctest.Wait()
		sel := Selection{Match: func(it Item) bool { return it.Target.Address.Local == "b" }}
		if tally, err := g.Act(context.Background(), sel, withReport, false); tally.Later != 1 || err != nil {
			t.Fatalf("%+v, %v", tally, err)
		}
		g2 := g.killed()
		close(gate)
		g.stop()
		g2.start()
		pass(time.Minute)
		equal(t, "delivered", sorted(g2.agent.got()), []string{"local delivery a@here", "x c@x"})
		equal(t, "reports", g2.reporter.got(), []string{"failure to a@here: b@x 4.3.2"})
		g2.stop()
	})
}

// Who thaws a message that is to be frozen after its attempt takes the order back, on
// disk too.
func TestOrderInFlightIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		gate := make(chan struct{})
		g.agent.answer = func(h mail.Hop, _ *mail.Transaction, _ mail.Target) mail.Outcome {
			<-gate
			return mail.Defer(mail.StatusSystemFull, "later")
		}
		g.start()
		env := g.send(1, "b@x")
		synctest.Wait()
		sel := Selection{IDs: []mail.ID{env.ID}}
		if tally := g.act(t, sel, byHand); tally.Later != 1 {
			t.Fatalf("%+v", tally)
		}
		if n := len(keptOrders(t, g)); n != 1 {
			t.Fatalf("%d orders are kept", n)
		}
		if tally, err := g.Act(context.Background(), sel, letGo, true); tally.Messages != 1 || err != nil {
			t.Errorf("%+v, %v", tally, err)
		}
		if tally := g.act(t, sel, letGo); tally.Messages != 1 {
			t.Errorf("%+v", tally)
		}
		g2 := g.killed()
		close(gate)
		synctest.Wait()
		for name, n := range map[string]*rig{"living": g, "killed": g2} {
			if n == g2 {
				n.agent.answer = g.agent.answer
				n.start()
				synctest.Wait()
			}
			list, err := n.Messages("", 0)
			if err != nil || len(list) != 1 || list[0].Hold != "" {
				t.Errorf("%s: %+v, %v", name, list, err)
			}
			n.stop()
		}
	})
}
