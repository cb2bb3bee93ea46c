package queue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// bomb crashes what processes the messages of one sender, as long as it is armed.
type bomb struct {
	where string
	off   bool
}

func (b *bomb) meet(where string, env *mail.Envelope) {
	if b.where == where && !b.off && env.From.Local == "bomb" {
		panic("boom")
	}
}

type bombCategorizer struct {
	*fakeCategorizer
	*bomb
}

func (c bombCategorizer) Resolve(env *mail.Envelope) (Plan, error) {
	c.meet("categorizer", env)
	return c.fakeCategorizer.Resolve(env)
}

type bombReporter struct {
	*fakeReporter
	*bomb
}

func (r bombReporter) Report(kind ReportKind, env *mail.Envelope, targets []mail.Target, outcomes []mail.Outcome, content mail.Content) ([]spool.Incoming, error) {
	r.meet("reporter", env)
	return r.fakeReporter.Report(kind, env, targets, outcomes, content)
}

// What processes a message crashes: the process lives on, other mail goes on, the
// message is tried once more, also by another process, and set aside then; an
// administrator has it tried again.
func TestCrash(t *testing.T) {
	for name, recipient := range map[string]string{
		"categorizer": "b@x", "delivery": "b@x", "reporter": "refused@x", "reporter at once": "nobody@x", "reporter of the delay": "b@far",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bomb{where: name}
				if len(name) > 8 && name[:8] == "reporter" {
					b.where = "reporter"
				}
				g := newRig()
				start := func(g *rig) *rig {
					g.router.set("SMTP:far", mail.Hop{Kind: mail.HopUnreachable})
					g.agent.answer = func(_ mail.Hop, tr *mail.Transaction, target mail.Target) mail.Outcome {
						b.meet("delivery", tr.Envelope)
						if target.Address.Local == "refused" {
							return mail.Fail(mail.StatusUnknownUser, "unknown")
						}
						return delivered
					}
					return g.start(func(c *Config) {
						c.Categorizer, c.Reporter = bombCategorizer{g.dir, b}, bombReporter{g.reporter, b}
						c.DirectoryRetry = time.Minute
					})
				}
				start(g)
				bad := envelope(1, recipient)
				bad.From.Local = "bomb"
				g.store.accept(bad)
				g.Enqueue(bad.ID, bad)
				g.send(2, "c@x")
				synctest.Wait()
				if name == "reporter of the delay" {
					pass(time.Hour + 10*time.Second)
				}
				if q := g.queue(t, KindPoison); q.State == Frozen {
					t.Errorf("set aside after the first crash: %+v", q)
				}
				g.stop()

				g2 := start(g.again())
				pass(30 * time.Minute)
				if q := g2.queue(t, KindPoison); q.Messages != 1 || q.State != Frozen {
					t.Fatalf("after the second crash: %+v", q)
				}
				list, err := g2.Messages(IDPoison, 0)
				if err != nil || len(list) != 1 || list[0].ID != bad.ID || list[0].Sender != "bomb@here" {
					t.Fatalf("%+v, %v", list, err)
				}
				pass(10 * time.Hour) // longer than mail lives
				if q := g2.queue(t, KindPoison); q.Messages != 1 {
					t.Fatalf("ten hours later: %+v", q)
				}
				b.off = true
				if n := g2.Retry([]string{IDPoison}, false).Messages; n != 1 {
					t.Errorf("%d released", n)
				}
				pass(time.Hour)
				if q := g2.queue(t, KindPoison); q.Messages != 0 || g.store.len() != 0 {
					t.Errorf("in the end: %+v, %d messages left", q, g.store.len())
				}
				if all := append(g.agent.got(), g2.agent.got()...); !slices.Contains(all, "x c@x") {
					t.Errorf("delivered %q", all)
				}
				g2.stop()
			})
		})
	}
}
