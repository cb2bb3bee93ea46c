package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// brittle is a store on a disk that fails to read some messages.
type brittle struct {
	*fakeStore
	mu  sync.Mutex
	bad map[spool.ID]string // the call that fails
}

func (s *brittle) fault(call string, id spool.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad[id] == call {
		return fmt.Errorf("%w: %w", spool.ErrUnreadable, syscall.EIO)
	}
	return nil
}

func (s *brittle) repair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.bad)
}

func (s *brittle) Load(id spool.ID) (spool.Stored, error) {
	if err := s.fault("load", id); err != nil {
		return spool.Stored{}, err
	}
	return s.fakeStore.Load(id)
}

func (s *brittle) OpenBody(id spool.ID) (*spool.BodyReader, error) {
	return nil, s.fault("body", id)
}

func (s *brittle) Settle(list ...spool.Settlement) ([]bool, error) {
	for _, e := range list {
		if err := s.fault("settle", e.ID); err != nil {
			return nil, err
		}
	}
	return s.fakeStore.Settle(list...)
}

// openingFirst answers as one that opens the content first.
func openingFirst(_ mail.Hop, tr *mail.Transaction, _ mail.Target) mail.Outcome {
	if _, err := tr.Content.Open(); err != nil {
		return mail.Defer(mail.StatusDropped, err.Error())
	}
	return delivered
}

// A message that the disk fails to read, whatever of it, is tried a few times and then
// set aside, with the reason; others are delivered meanwhile, and it is itself when it
// is released and the disk is well. A fault that passes is not seen by anybody.
func TestUnreadMessagesAreSetAside(t *testing.T) {
	for _, call := range []string{"load", "body", "settle", "categorize"} {
		for _, passes := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s passes %v", call, passes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig()
					s := &brittle{fakeStore: g.store, bad: map[spool.ID]string{}}
					use := func(c *Config) { c.Store = s }
					if call != "categorize" { // leave it planned, and in no memory
						g.agent.dial = func(mail.Hop) error { return errAway }
						g.start(use)
						g.send(1, "b@x")
						synctest.Wait()
						g.stop()
						g.agent = &fakeAgent{}
					} else {
						g.store.accept(envelope(1, "b@x"))
					}
					g.agent.answer = openingFirst
					id := envelope(1, "b@x").ID
					s.bad[spool.ID(id)] = strings.Replace(call, "categorize", "load", 1)
					g.start(use)
					g.send(2, "c@x")
					pass(time.Second / 2)
					synctest.Wait()
					if !slices.Contains(g.agent.got(), "x c@x") {
						t.Errorf("the other message waits: %q", g.agent.got())
					}
					if passes {
						s.repair()
					}
					pass(time.Hour)
					synctest.Wait()
					if list := g.Quarantined(); passes != (len(list) == 0) || !passes && !strings.Contains(list[0].LastError, "input/output error") {
						t.Errorf("set aside: %+v", list)
					}
					s.repair()
					if !passes {
						if err := g.Release(id); err != nil {
							t.Fatal(err)
						}
						pass(time.Hour)
						synctest.Wait()
					}
					if n := g.store.len(); n != 0 || len(g.reporter.got()) != 0 || !slices.Contains(g.agent.got(), "x b@x") {
						t.Errorf("%d left, reports %q, delivered %q", n, g.reporter.got(), g.agent.got())
					}
					g.stop()
				})
			})
		}
	}
}

// silent is a store that does not give the orders of an administrator.
type silent struct{ *fakeStore }

func (s silent) Control() ([]byte, error) { return nil, fmt.Errorf("%w: a block", spool.ErrCorrupt) }

// Orders that cannot be read stop all that they may have stopped, and nothing else:
// the node starts, and what is thawed leaves.
func TestLostOrdersStopEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.agent.dial = func(mail.Hop) error { return errAway }
		g.start()
		g.send(1, "b@x")
		synctest.Wait()
		g.stop()
		g.agent = &fakeAgent{}
		g.start(func(c *Config) { c.Store = silent{g.store} })
		g.send(2, "c@y")
		pass(time.Second)
		synctest.Wait()
		if got := g.agent.got(); len(got) > 0 {
			t.Errorf("delivered %q", got)
		}
		if q := g.queue(t, KindRemote); q.State != Frozen || !strings.Contains(q.WaitingFor, "cannot be read") {
			t.Errorf("queue %+v", q)
		}
		if b, err := g.store.Control(); err != nil || !strings.Contains(string(b), "outbound") {
			t.Errorf("kept %q, %v", b, err)
		}
		g.stop()
	})
}
