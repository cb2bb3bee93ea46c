package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// What was handed to the committer before the node stops comes to disk: of a message
// that was delivered in the last moment there is no second delivery after the start.
func TestCommitsBeforeTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			g := newRig()
			r := New(Config{Store: g.store, Router: g.router, Agent: g.agent, Categorizer: g.dir, Reporter: g.reporter})
			r.submit([]*settled{{}})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r.commitLoop(ctx)
			r.abort()
			if g.store.settles != 1 {
				t.Fatal("it was left behind")
			}
		}
	})
}

// A connection that the other side opened is waited for at the stop as others are, until
// what it reports is on disk.
func TestStopWaitsForATurnedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pulledRig("x")
		g.send(1, "b@x")
		synctest.Wait()
		served := make(chan struct{})
		go func() {
			defer close(served)
			g.Hand(t.Context(), forDomain("x"), func(ctx context.Context, _ mail.Hop, feed mail.Feed) error {
				tr := feed.Next()
				<-ctx.Done()
				<-time.After(time.Second) // the last answer is read yet
				feed.Done(tr, []mail.Outcome{delivered})
				return ctx.Err()
			})
		}()
		synctest.Wait()
		g.stop()
		if n := g.store.len(); n != 0 {
			t.Errorf("%d messages are to be delivered again", n)
		}
		<-served
	})
}

// A message that is deleted before it was routed while the node stops does not meet the
// wait for the last of what is under way, which would end in a panic.
func TestDeletedDuringTheStop(t *testing.T) {
	for n := range 300 {
		g := newRig()
		r := New(Config{Store: g.store, Router: g.router, Agent: g.agent, Categorizer: g.dir, Reporter: g.reporter})
		env := envelope(n, "b@x")
		g.store.accept(env)
		r.do(func(int64) { r.sched.Close() })
		r.wg.Add(1) // the last one
		left := make(chan struct{})
		go func() { r.leave(); close(left) }()
		time.Sleep(100 * time.Microsecond)
		a := &action{r: r, ctx: t.Context(), order: Order{Verb: VerbDelete}, slots: make(chan struct{}, outstanding)}
		if !a.claim(env.ID) {
			t.Fatal("nobody has it")
		}
		r.wg.Done()
		if err := a.deleteEarly(unroutedMessage{id: env.ID, env: env}); err != nil {
			t.Fatal(err)
		}
		<-left
		a.wait()
		r.abort()
		if a.tally.Messages != 1 || g.store.len() != 0 {
			t.Fatalf("%+v", a.tally)
		}
	}
}
