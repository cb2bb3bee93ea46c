package queue

import (
	"testing"
	"time"

	"github.com/postroad/postroad/store/spool"
)

// A message without a plan that is released at the moment in which it was set aside is
// tried again: who set it aside has let go of it before it can be released.
func TestReleaseMeetsSettingAside(t *testing.T) {
	g := newRig()
	r := New(Config{Store: g.store, Router: g.router, Agent: g.agent, Categorizer: g.dir, Reporter: g.reporter})
	defer r.abort()
	env := envelope(1, "b@x")
	g.store.accept(env)
	r.Enqueue(env.ID, nil)
	it, ok, _ := r.intake.next(r.now())
	if !ok {
		t.Fatal("it is not there")
	}
	var err error
	ended, back := make(chan struct{}), make(chan error, 1)
	r.inMu.Lock()
	go func() { r.unplanned(it, spool.ErrCorrupt); close(ended) }()
	for len(g.store.Aside()) == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() {
		_, err := r.putBack(env.ID)
		back <- err
	}()
	between := false
	select {
	case err = <-back:
		between = true
		r.intake.add(env.ID, nil) // Release does so next, and may be first to get the lock
	case <-time.After(50 * time.Millisecond):
	}
	r.inMu.Unlock()
	<-ended
	if !between {
		err = <-back
		r.Enqueue(env.ID, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if it, ok, _ = r.intake.next(r.now()); !ok || it.id != env.ID {
		t.Error("nobody tries it again")
	}
}
