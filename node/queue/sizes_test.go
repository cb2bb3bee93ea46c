package queue

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// A limit that is added tells apart what waits already: with a class of its own, a message
// that is too large stays, and the small ones go. That holds over a restart, for what
// is on disk only, and for what is frozen.
func TestSizeLimitMeetsWhatWaits(t *testing.T) {
	for name, before := range map[string][]int64{"no limit before": nil, "a greater one": {1 << 20}, "a smaller one": {10}} {
		for _, restart := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var limits atomic.Pointer[[]int64]
					limits.Store(&before)
					config := func(c *Config) {
						c.SizeLimits = func() []int64 { return *limits.Load() }
						c.Limits = Limits{Window: 2}
					}
					g := newRig()
					away(g)
					g.start(noNotice, config)
					for i, size := range []int64{100, 5000, 200, 6000, 300, 7000} {
						env := envelope(i+1, "b@x", "c@x")
						env.Size = size
						g.store.accept(env)
						g.Enqueue(env.ID, env)
					}
					synctest.Wait()
					id := mail.ID{}
					if list, err := g.Messages("", 0); err != nil {
						t.Fatal(err)
					} else {
						id = list[1].ID
					}
					g.act(t, Selection{IDs: []mail.ID{id}}, byHand)
					after := append([]int64{1000}, before...)
					if len(before) > 0 && before[0] < 1000 {
						after = []int64{before[0], 1000}
					}
					limits.Store(&after)
					if restart {
						g.stop()
						g = g.again()
						away(g)
						g.start(noNotice, config)
					} else {
						g.router.set("SMTP:nobody", mail.Hop{}) // the map changes
					}
					pass(time.Second)
					small := int64(0)
					for _, q := range g.List() {
						if q.Messages == 0 {
							continue
						}
						k, err := ParseName(q.name)
						if err != nil {
							t.Fatal(err)
						}
						if k.Class.Size <= 1000 {
							small += q.Messages
						}
						list, err := g.Messages(q.ID, 0)
						if err != nil {
							t.Fatal(err)
						}
						for _, m := range list {
							if (m.Size <= 1000) != (k.Class.Size <= 1000) || m.ID == id && m.Hold != HoldByHand {
								t.Errorf("%d octets in class %d: %+v", m.Size, k.Class.Size, m)
							}
						}
					}
					if small != 3 {
						t.Errorf("%d are small", small)
					}
					if n := g.seen("REDIRECT"); n != 0 {
						t.Errorf("%d events", n)
					}
					g.stop()
				})
			})
		}
	}
}
