package queue

import (
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// slowReporter writes no report before its gate is open.
type slowReporter struct {
	*fakeReporter
	gate chan struct{}
}

func (r slowReporter) Report(kind ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, c mail.Content) ([]spool.Incoming, error) {
	<-r.gate
	return r.fakeReporter.Report(kind, env, targets, outcomes, c)
}

// A message without a plan that one administrator has in hand is not given to another: it
// would be delivered, and its sender told that it was deleted.
func TestOneAdministratorAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		slow := slowReporter{g.reporter, make(chan struct{})}
		g.start(func(c *Config) { c.Reporter = slow })
		if _, err := g.FreezeStages([]string{IDPreSubmission}, Note{At: 1}); err != nil {
			t.Fatal(err)
		}
		env := g.send(1, "b@x")
		one := Selection{IDs: []mail.ID{env.ID}}
		g.act(t, one, byHand)
		if _, err := g.ThawStages([]string{IDPreSubmission}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if got := g.act(t, one, withReport); got.Messages != 1 {
				t.Errorf("delete: %+v", got)
			}
		}()
		synctest.Wait()
		if got := g.act(t, one, letGo); got.Messages != 0 || got.Refused[errBusyEarly.Error()] != 1 {
			t.Errorf("thaw: %+v", got)
		}
		synctest.Wait()
		close(slow.gate)
		<-ended
		synctest.Wait()
		equal(t, "delivered", g.agent.got(), []string{"local delivery a@here"}) // the report
		equal(t, "reports", g.reporter.got(), []string{"failure to a@here: b@x 4.3.2"})
		g.stop()
	})
}

// Who waits for a message that an administrator has in hand gets it when he is done.
func TestClaimAfterAnother(t *testing.T) {
	in := newIntake(10)
	id := mail.ID{1}
	in.add(id, nil)
	if ok, _ := in.claim(id); !ok {
		t.Fatal("nobody has it")
	}
	ok, again := in.claim(id)
	if ok {
		t.Fatal("two have it")
	}
	in.unclaim(id, stageSubmitted, false)
	select {
	case <-again:
	default:
		t.Error("who waits hears nothing")
	}
	if ok, _ := in.claim(id); !ok {
		t.Error("nobody has it any more")
	}
}
