package queue

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// do gives the scheduler an input and performs the effects.
func (r *Runner) do(input func(now int64)) {
	r.mu.Lock()
	now, by := r.observe()
	input(now)
	r.release()
	if by != 0 {
		r.inMu.Lock()
		r.intake.jump(by, now)
		r.inMu.Unlock()
		signal(r.work)
	}
}

// release unlocks and performs the effects. Link reports are told by one
// goroutine, so that a later one cannot overtake an earlier.
func (r *Runner) release() {
	effects := r.sched.Effects()
	kept := effects[:0]
	for _, e := range effects {
		switch e.Kind {
		case EffectLink:
			r.links = append(r.links, e)
			signal(r.told)
		case EffectDial:
			f := newFeed(r, e)
			f.counted = true
			r.feeds[e.Conn] = f
			r.wg.Add(1)
			go f.serve(e.Verdict) // counted until it is concluded: it may never return
		case EffectAbandon:
			if f := r.feeds[e.Conn]; f != nil {
				r.wg.Go(func() { f.conclude(Ending{Err: e.Reason}) })
			}
		case EffectWake, EffectHangUp:
			if f := r.feeds[e.Conn]; f != nil {
				f.wake <- e.Kind == EffectWake // has room: one effect for each Idle
			}
		case EffectBreak:
			if f := r.feeds[e.Conn]; f != nil {
				r.log.Warn("connection_given_up", zap.String("next_hop", e.Hop.Name), zap.String("reason", e.Reason))
				f.abort(errors.New(e.Reason))
			}
		case EffectVoid:
			e.Order.settled(Result{Void: true})
		default:
			kept = append(kept, e)
		}
	}
	if next := r.sched.Next(); next != 0 && (r.armed == 0 || next < r.armed) {
		r.armed = next
		signal(r.ring)
	}
	for _, e := range kept {
		r.wg.Go(func() { r.fetch(e) }) // before the lock is given up: see background
	}
	r.mu.Unlock()
}

// background runs f, unless the scheduler is closed: who stops may be done waiting for
// what is under way.
func (r *Runner) background(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sched.closed {
		return false
	}
	r.wg.Go(f)
	return true
}

// fetch performs the effects that read the spool.
func (r *Runner) fetch(e Effect) {
	r.disk <- struct{}{}
	defer func() { <-r.disk }()
	switch e.Kind {
	case EffectFill:
		r.fill(e)
	case EffectDelay, EffectExpire:
		r.overdue(e)
	case EffectRelease:
		r.unhold(e)
	case EffectOrder:
		r.perform(e)
	}
}

func (r *Runner) fill(e Effect) {
	after := spool.Position{Due: e.After.Due, ID: spool.ID(e.After.ID)}
	list, err := r.c.Store.Entries(e.Queue, after, e.Limit)
	if err != nil {
		r.log.Error("queue_unreadable", zap.String("queue", e.Queue), zap.Error(err))
		r.do(func(now int64) {
			if !r.sched.Stale(e) {
				r.sched.FillFailed(e.Queue, now, fillRetry.Milliseconds())
			}
		})
		return
	}
	refs := make([]Ref, 0, len(list))
	for _, q := range list {
		ref := Ref{ID: mail.ID(q.ID), Due: q.Due, Tag: q.Tag, Created: mail.ID(q.ID).Time().UnixMilli()}
		// An entry whose tag cannot be read takes its turn and is set aside then.
		if t, err := decodeTag(q.Tag, false); err == nil {
			ref = refOf(ref.ID, ref.Due, t, ref.Tag)
		}
		refs = append(refs, ref)
	}
	r.do(func(now int64) {
		if !r.sched.Stale(e) {
			r.sched.Filled(e.Queue, refs, len(list) < e.Limit, now)
		}
	})
}

const fillRetry = 10 * time.Second
