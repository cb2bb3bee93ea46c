package queue

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
)

// unstarted orders come before the runner has read from the disk what stands.
var unstarted = map[string]func(*Runner) error{
	"stages":   func(r *Runner) error { _, err := r.FreezeStages([]string{IDPreSubmission}, Note{}); return err },
	"queues":   func(r *Runner) error { _, err := r.FreezeQueues([]string{keyFor(2).Name()}, Note{}); return err },
	"like":     func(r *Runner) error { _, err := r.FreezeLike(Likeness{NextHop: "y"}, Note{}); return err },
	"outbound": func(r *Runner) error { return r.SetOutbound(&Note{}) },
	"thaw":     func(r *Runner) error { _, err := r.ThawQueues([]string{keyFor(1).Name()}); return err },
	"one like": func(r *Runner) error { _, err := r.ThawLike(Likeness{NextHop: "y"}); return err },
	"routed":   func(r *Runner) error { _, err := r.ThawStages([]string{IDPreSubmission}); return err },
	"act": func(r *Runner) error {
		_, err := r.Act(context.Background(), Selection{}, Order{Verb: VerbThaw}, false)
		return err
	},
}

// Such an order adds to what stands, and does not replace it.
func TestOrdersBeforeTheStart(t *testing.T) {
	for name, order := range unstarted {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.store.control, _ = json.Marshal(stopOrders{Frozen: map[string]Note{keyFor(1).Name(): {}, keyFor(3).Name(): {}}})
				r := New(g.config())
				ordered, ended := make(chan error, 1), make(chan error, 1)
				go func() { ordered <- order(r) }()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				go func() { ended <- r.Run(ctx) }()
				if err := <-ordered; err != nil {
					t.Error(err)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				var left stopOrders
				if err := json.Unmarshal(g.store.control, &left); err != nil {
					t.Fatal(err)
				}
				if _, ok := left.Frozen[keyFor(3).Name()]; !ok {
					t.Errorf("kept: %s", g.store.control)
				}
			})
		})
	}
}

// Where what stands cannot be read, nothing is written over it.
func TestOrdersOverUnreadOnes(t *testing.T) {
	for name, order := range unstarted {
		t.Run(name, func(t *testing.T) {
			g := newRig()
			g.store.control = []byte("{")
			r := New(g.config())
			failed := r.Run(t.Context())
			if failed == nil {
				t.Fatal("it starts")
			}
			err := order(r)
			if err != nil && !errors.Is(err, failed) {
				t.Error(err)
			}
			if got := string(g.store.control); got != "{" {
				t.Errorf("kept: %s", got)
			}
		})
	}
}
