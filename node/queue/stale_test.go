package queue

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// turnRouter changes its table, once, just when it has told a way by the old one.
type turnRouter struct {
	*fakeRouter
	turn   atomic.Bool
	locked func() bool // whether the runner holds still meanwhile
}

func (r *turnRouter) Hop(d mail.Destination, c mail.Class, visited []mail.GUID) mail.Hop {
	h := r.fakeRouter.Hop(d, c, visited)
	if d.Domain == "x" && r.turn.Swap(false) {
		r.set("SMTP:x", mail.Hop{Kind: mail.HopMX, Name: "x", Domain: "x"})
		if !r.locked() {
			<-time.After(time.Second) // all queues are asked for
		}
	}
	return h
}

// A queue that is made while the table changes leads where the new table says, however
// its first message came there.
func TestNewQueueWhileTheTableChanges(t *testing.T) {
	for name, back := range map[string]func(*testing.T, *rig, mail.ID){
		"thawed": func(t *testing.T, g *rig, id mail.ID) {
			g.act(t, Selection{IDs: []mail.ID{id}}, letGo)
		},
		"released": func(t *testing.T, g *rig, id mail.ID) {
			if err := g.Release(id); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				turn := &turnRouter{fakeRouter: g.router}
				g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable, Name: "nowhere"})
				if name == "released" {
					g.store.fail = func(call string) error {
						if call == "settle" {
							return spool.ErrCorrupt
						}
						return nil
					}
				}
				g.start(noNotice, func(c *Config) { c.Router = turn })
				turn.locked = func() bool {
					if g.Runner.mu.TryLock() {
						g.Runner.mu.Unlock()
						return false
					}
					return true
				}
				env := g.send(1, "b@x")
				synctest.Wait()
				if _, err := g.Act(t.Context(), Selection{IDs: []mail.ID{env.ID}}, byHand, false); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				g.store.mu.Lock()
				g.store.fail = nil
				g.store.mu.Unlock()
				turn.turn.Store(true)
				back(t, g, env.ID)
				pass(time.Hour)
				equal(t, "delivered", g.agent.got(), []string{"x b@x"})
				g.stop()
			})
		})
	}
}
