package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// feed hands transactions to one connection; it implements mail.Feed.
type feed struct {
	runner *Runner
	id     ConnID
	hop    mail.Hop
	wake   chan bool // true: look again; false: close
	ctx    context.Context
	abort  context.CancelCauseFunc // breaks the connection

	counted bool        // counted in Runner.wg
	beat    atomic.Bool // content was read since the watchdog looked: no time, which a jump would falsify

	mu   sync.Mutex
	open map[*mail.Transaction]*delivery
	dead bool // concluded: what the agent says now counts for nothing
	// panicked is how the agent ended, if it did so.
	panicked error
}

func newFeed(r *Runner, dial Effect) *feed {
	f := &feed{runner: r, id: dial.Conn, hop: dial.Hop, wake: make(chan bool, 1), open: map[*mail.Transaction]*delivery{}}
	f.ctx, f.abort = context.WithCancelCause(r.serving)
	return f
}

// delivery is a transaction and what it is made of.
type delivery struct {
	mail.Transaction
	parts []part
}

// part is one entry of a transaction: its targets are those from..to of the
// transaction and have the indexes plan in the plan.
type part struct {
	queue    string
	ref      Ref
	from, to int
	plan     []int
}

// serve is the life of the connection.
func (f *feed) serve(verdict *mail.Outcome) {
	defer f.abort(nil)
	var end Ending
	if verdict != nil {
		f.sentence(*verdict)
	} else {
		end = f.ending(f.guarded())
	}
	f.conclude(end)
}

// conclude ends the connection for the scheduler, once: when the agent is done, or
// when nobody waits for it any longer.
func (f *feed) conclude(end Ending) {
	r := f.runner
	f.mu.Lock()
	late := f.dead
	f.dead = true
	f.mu.Unlock()
	if late {
		return
	}
	f.reclaim(end.Err)
	r.do(func(now int64) {
		delete(r.feeds, f.id)
		r.sched.Closed(f.id, end, now)
		r.quiet.Broadcast()
	})
	if f.counted {
		r.wg.Done()
	}
}

// guarded runs the agent; a panic in it costs this connection, not the process.
func (f *feed) guarded() (err error) {
	defer func() {
		if p := recover(); p != nil {
			f.runner.log.Error("agent_panic", zap.String("next_hop", f.hop.Name), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			f.mu.Lock()
			f.panicked = &panicError{"delivery", p}
			f.mu.Unlock()
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return f.runner.c.Agent.Serve(f.ctx, f.hop, f)
}

func (f *feed) ending(err error) Ending {
	if err == nil {
		return Ending{}
	}
	var reject *RejectError
	if errors.As(err, &reject) && !f.hop.ByHand {
		o := reject.Outcome
		o.Result = mail.Failed
		return Ending{Verdict: &o}
	}
	return Ending{Err: err.Error()}
}

// sentence gives all that waits behind the hop the same outcome.
func (f *feed) sentence(o mail.Outcome) {
	for t := f.Next(); t != nil; t = f.Next() {
		out := make([]mail.Outcome, len(t.Targets))
		for i := range out {
			out[i] = o
		}
		f.Done(t, out)
	}
}

// reclaim takes back what the agent took and never reported.
func (f *feed) reclaim(why string) {
	f.mu.Lock()
	var left []*mail.Transaction
	for t := range f.open {
		left = append(left, t)
	}
	panicked := f.panicked
	f.mu.Unlock()
	for _, t := range left {
		if panicked != nil {
			f.abandon(t, f.runner.blame(t.Envelope.ID, panicked))
			continue
		}
		f.runner.log.Error("transaction_unreported", zap.Stringer("id", t.Envelope.ID), zap.String("next_hop", f.hop.Name))
		out := make([]mail.Outcome, len(t.Targets))
		for i := range out {
			out[i] = mail.Defer(mail.StatusDropped, "the connection ended without an outcome: "+why)
		}
		f.Done(t, out)
	}
}

// abandon takes back a transaction that the agent crashed on: for crashWait, so that
// no other connection of the link meets it at once, or, the last time, for good.
func (f *feed) abandon(t *mail.Transaction, err error) {
	f.mu.Lock()
	d := f.open[t]
	delete(f.open, t)
	f.mu.Unlock()
	switch r := f.runner; {
	case d == nil:
	case errors.Is(err, errCrashed):
		r.setAside(d.taken(), d.Envelope, err)
	default:
		r.do(func(now int64) {
			for _, p := range d.parts {
				r.sched.PutOff(p.queue, d.Envelope.ID, err.Error(), now+crashWait.Milliseconds(), now)
			}
			r.quiet.Broadcast()
		})
	}
}

// Next implements mail.Feed.
func (f *feed) Next() *mail.Transaction {
	for {
		var taken []Taken
		f.runner.do(func(now int64) { taken = f.runner.sched.Take(f.id, now) })
		if taken == nil {
			return nil
		}
		d, err := f.runner.assemble(taken)
		if err != nil {
			f.runner.setAside(taken, nil, err)
			continue
		}
		if !f.begin(d) {
			return nil
		}
		return &d.Transaction
	}
}

// begin notes what the agent gets. If the connection was concluded while it was
// put together, nobody gets it.
func (f *feed) begin(d *delivery) bool {
	if c, ok := d.Content.(*content); ok {
		c.beat = func() { f.beat.Store(true) }
	}
	f.mu.Lock()
	dead := f.dead
	if !dead {
		f.open[&d.Transaction] = d
	}
	f.mu.Unlock()
	if !dead {
		return true
	}
	f.runner.do(func(now int64) {
		for _, p := range d.parts {
			f.runner.sched.Return(p.queue, p.ref.ID, false, now)
		}
		f.runner.quiet.Broadcast()
	})
	return false
}

// Wait implements mail.Feed.
func (f *feed) Wait(d time.Duration) bool {
	rest := RestClose
	f.runner.do(func(now int64) { rest = f.runner.sched.Idle(f.id, now) })
	if rest != RestSleep {
		return rest == RestAgain
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case more := <-f.wake:
		return more
	case <-timer.C:
	}
	promised := false
	f.runner.do(func(int64) { promised = f.runner.sched.Unidle(f.id) })
	if promised {
		return <-f.wake
	}
	return false
}

// Done implements mail.Feed.
func (f *feed) Done(t *mail.Transaction, outcomes []mail.Outcome) {
	f.mu.Lock()
	d := f.open[t]
	delete(f.open, t)
	dead := f.dead
	f.mu.Unlock()
	if d == nil && dead {
		f.runner.log.Warn("transaction_reported_late", zap.Stringer("id", t.Envelope.ID), zap.String("next_hop", f.hop.Name))
		return
	}
	if d == nil {
		f.runner.log.Error("transaction_reported_twice", zap.Stringer("id", t.Envelope.ID), zap.String("next_hop", f.hop.Name))
		return
	}
	if len(outcomes) != len(t.Targets) {
		f.runner.log.Error("outcomes_miscounted", zap.Stringer("id", t.Envelope.ID), zap.String("next_hop", f.hop.Name),
			zap.Int("targets", len(t.Targets)), zap.Int("outcomes", len(outcomes)))
		// Nobody knows which outcome is whose: trying again is the only safe reading.
		outcomes = make([]mail.Outcome, len(t.Targets))
		for i := range outcomes {
			outcomes[i] = mail.Defer(mail.Status{Class: 4, Subject: 3}, "internal error: the outcomes of the delivery were miscounted")
		}
	}
	f.runner.finish(d, outcomes, f)
}

// assemble makes a transaction of entries of one message.
func (r *Runner) assemble(taken []Taken) (*delivery, error) {
	id := taken[0].Ref.ID
	m, err := r.load(id)
	if err != nil {
		return nil, err
	}
	d := &delivery{parts: make([]part, 0, len(taken))}
	d.Envelope = aged(m.env, taken[0].Ref)
	if told(taken) != m.env.Notified {
		later := *d.Envelope
		later.Notified = !later.Notified
		d.Envelope = &later
	}
	d.Content = &content{store: r.c.Store, id: spool.ID(id), size: m.env.Size}
	for _, t := range taken {
		p := part{queue: t.Queue, ref: t.Ref, from: len(d.Targets)}
		if p.plan, err = targetsOf(t.Ref, len(m.targets)); err != nil {
			return nil, err
		}
		if len(taken) == 1 && len(p.plan) == len(m.targets) {
			d.Targets = m.targets
		} else {
			for _, i := range p.plan {
				d.Targets = append(d.Targets, m.targets[i])
			}
		}
		p.to = len(d.Targets)
		d.Attempt = max(d.Attempt, t.Ref.Attempts+1)
		d.parts = append(d.parts, p)
	}
	return d, nil
}

// aged is the envelope as of a message whose time stood still while it was held:
// the next server shall not count that time either.
func aged(env *mail.Envelope, ref Ref) *mail.Envelope {
	began := time.UnixMilli(ref.Created)
	if ref.Created <= env.Begins().UnixMilli() {
		return env
	}
	later := *env
	later.Created = began
	return &later
}

// told says whether the senders of all entries have their delay notices, so that the
// next server shall not send another.
func told(taken []Taken) bool {
	return !slices.ContainsFunc(taken, func(t Taken) bool { return !t.Ref.Notified })
}

// targetsOf gives the indexes of an entry's targets in a plan of n.
func targetsOf(ref Ref, n int) ([]int, error) {
	t, err := decodeTag(ref.Tag, true)
	if err != nil {
		return nil, err
	}
	if t.targets == nil {
		t.targets = make([]int, n)
		for i := range t.targets {
			t.targets[i] = i
		}
	}
	if k := len(t.targets); k == 0 || t.targets[k-1] >= n {
		return nil, errTag
	}
	return t.targets, nil
}

const (
	poisonWait = time.Hour        // a message that cannot be dealt with, nor set aside
	diskWait   = 10 * time.Second // a spool that cannot be read or written
)
