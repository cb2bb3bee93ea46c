package queue

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// A size class is made of the limits that there are when a message comes. A limit that goes
// leaves the others true; one that is added is not told by the classes of what waits, so that
// is looked at again, message by message where the class leaves it open.

// sizesLoop does so after each change of the map that brings a limit.
func (r *Runner) sizesLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.sized:
		}
		if err := r.resize(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("sizes_not_applied", zap.Error(err), zap.String("cure", "what waits keeps the size class that it came with until the next change"))
		}
	}
}

func (r *Runner) resize(ctx context.Context) error {
	limits := r.c.SizeLimits()
	r.ctlMu.Lock()
	known := r.ctl.Sizes
	r.ctlMu.Unlock()
	if slices.Equal(limits, known) {
		return nil
	}
	var added []int64
	for _, l := range limits {
		if !slices.Contains(known, l) {
			added = append(added, l)
		}
	}
	if len(added) > 0 {
		if err := r.reclass(ctx, limits, added[0]); err != nil {
			return err
		}
	}
	r.ctlMu.Lock()
	defer r.ctlMu.Unlock()
	next := r.ctl
	next.Sizes = slices.Clone(limits)
	return r.keep(next)
}

// reclass looks at what an added limit, the least of several, may tell apart: a class up to it
// is small enough for all of them.
func (r *Runner) reclass(ctx context.Context, limits []int64, least int64) error {
	var ids []string
	for _, q := range r.List() {
		if q.name == "" || q.Messages == 0 {
			continue
		}
		k, err := ParseName(q.name)
		if err == nil && k.Destination.Place != mail.PlaceLocal && (k.Class.Size == 0 || k.Class.Size > least) {
			ids = append(ids, q.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	class := func(size int64) int64 { return mail.SizeBound(size, limits) }
	o := Order{Verb: verbClass, class: class}
	tally, err := r.Act(ctx, Selection{Queues: ids, ByRule: true, Match: func(it Item) bool { return class(it.Envelope.Size) != it.Key.Class.Size }}, o, false)
	if tally.Messages > 0 {
		r.log.Info("size_classes_changed", zap.Int("messages", tally.Messages), zap.Int64s("limits", limits))
	}
	return err
}
