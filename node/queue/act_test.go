package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/mail"
)

// What an action tells stays as it was told, though an order for a message in flight
// comes to its end later, and to a bad one.
func TestTallyIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		away(g)
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		gate := make(chan struct{})
		g.agent.mu.Lock()
		g.agent.dial = nil
		g.agent.mu.Unlock()
		g.agent.answer = func(mail.Hop, *mail.Transaction, mail.Target) mail.Outcome {
			<-gate
			return mail.Defer(mail.StatusNotTaken, "later")
		}
		g.send(2, "c@y")
		synctest.Wait()
		g.reporter.mu.Lock()
		g.reporter.err = errors.New("no room")
		g.reporter.mu.Unlock()
		tally, err := g.Act(context.Background(), Selection{}, withReport, false)
		if err != nil || tally.Later != 1 || len(tally.Refused) != 1 {
			t.Fatalf("%+v, %v", tally, err)
		}
		g.reporter.mu.Lock()
		g.reporter.err = errors.New("no room at all")
		g.reporter.mu.Unlock()
		close(gate)
		synctest.Wait()
		if len(tally.Refused) != 1 {
			t.Errorf("it changed behind its reader: %v", tally.Refused)
		}
		g.stop()
	})
}
