package queue

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// Enqueue takes over a message that was accepted durably. It does not block on
// delivery; env must not be changed after. Before Run it only notes the message.
func (r *Runner) Enqueue(id mail.ID, env *mail.Envelope) {
	r.inMu.Lock()
	r.intake.add(id, env)
	r.inMu.Unlock()
	signal(r.work)
}

// worker categorizes messages until ctx ends.
func (r *Runner) worker(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		r.inMu.Lock()
		it, ok, wait := r.intake.next(r.now())
		spilled := !ok && r.intake.wantsSpool()
		more := ok && r.intake.more(r.now())
		r.inMu.Unlock()
		if more {
			signal(r.work) // another worker may help
		}
		switch {
		case ok:
			r.process(it)
			continue
		case spilled:
			if n, err := r.rescan(); err != nil {
				r.log.Error("spool_unreadable", zap.Error(err))
			} else if n > 0 {
				continue
			}
		}
		d := time.Hour
		if wait != 0 {
			d = time.Duration(wait-r.now()) * time.Millisecond
		}
		if spilled {
			d = min(d, time.Second)
		}
		timer.Reset(d)
		select {
		case <-ctx.Done():
		case <-r.work:
		case <-timer.C:
		}
	}
}

// rescan reads submitted messages that are not known yet from the spool and
// returns how many it found.
func (r *Runner) rescan() (int, error) {
	const page = 1000
	r.inMu.Lock()
	r.intake.spilled = false
	r.inMu.Unlock()
	found := 0
	for after := (spool.ID{}); ; {
		ids, err := r.c.Store.Submitted(after, page)
		if err != nil {
			r.inMu.Lock()
			r.intake.spilled = true
			r.inMu.Unlock()
			return found, err
		}
		r.inMu.Lock()
		for _, id := range ids {
			before := len(r.intake.known)
			r.intake.add(mail.ID(id), nil)
			found += len(r.intake.known) - before
		}
		full := r.intake.spilled
		r.inMu.Unlock()
		if len(ids) < page || full {
			signal(r.work)
			return found, nil
		}
		after = ids[len(ids)-1]
	}
}

// process takes one message from submitted to queued.
func (r *Runner) process(it item) {
	it.poison, it.crashed, it.unread = false, false, 0
	if it.env == nil {
		st, err := r.c.Store.Load(spool.ID(it.id))
		if errors.Is(err, spool.ErrNotFound) || err == nil && st.Plan != nil {
			r.processed(it.id) // it went on, or was removed, since the spool was listed
			return
		}
		if err == nil {
			it.env, err = codec.DecodeEnvelope(st.Envelope)
		}
		if err != nil {
			it.poison = true
			if !r.gated(it.id, stagePoison) {
				r.unplanned(it, err)
			}
			return
		}
	}
	if r.gated(it.id, stageOf(it.env)) || r.gated(it.id, stageDirectory) {
		return
	}
	plan, err := r.resolve(it.env)
	if err = r.blame(it.id, err); crashed(err) {
		r.unplanned(it, err)
		return
	}
	if err != nil {
		if end, now := r.ends(r.begins(it.env), r.clock(mail.Hop{}).Of(it.env.Priority, false)); now < end {
			r.putOff(it, err)
			return
		}
		plan = r.unresolved(it.env, err)
	}
	if r.gated(it.id, stageRouting) {
		return
	}
	if err := r.plan(it, plan); err != nil {
		r.unplanned(it, r.blame(it.id, err))
		return
	}
	r.routed(it.id)
	r.processed(it.id)
}

// unplanned deals with a message that could not be planned.
func (r *Runner) unplanned(it item, err error) {
	it.unread, err = r.unread.doubt(it.id, err)
	if damaged(err) {
		r.asideMu.Lock()
		e := r.quarantine(it.id, it.env, err)
		if e == nil {
			r.processed(it.id) // or a release finds it in hand, and nobody tries it again
		}
		r.asideMu.Unlock()
		if e == nil {
			return
		}
	}
	it.crashed = crashed(err)
	it.poison = it.poison || it.crashed || it.unread > 0
	r.putOff(it, err)
}

// resolve asks the categorizer; a panic there is an error.
func (r *Runner) resolve(env *mail.Envelope) (p Plan, err error) {
	defer r.caught("categorizer", env.ID, &err)
	return r.c.Categorizer.Resolve(env)
}

// unresolved gives up a message for which the directory had no answer in all its time.
func (r *Runner) unresolved(env *mail.Envelope, err error) Plan {
	var p Plan
	status := mail.StatusDirectory
	if s := (interface{ Status() mail.Status })(nil); errors.As(err, &s) {
		status = s.Status()
	}
	o := expired(r.clock(mail.Hop{}).Of(env.Priority, false), mail.Defer(status, err.Error()))
	for i, rcpt := range env.Recipients {
		t := mail.Target{Address: rcpt.Address, Original: rcpt.Original, Recipient: i, Notify: rcpt.Notify}
		p.Failed = append(p.Failed, Failure{t, o})
	}
	return p
}

func (r *Runner) processed(id mail.ID) {
	r.inMu.Lock()
	defer r.inMu.Unlock()
	r.intake.done(id)
}

func (r *Runner) putOff(it item, err error) {
	r.inMu.Lock()
	r.intake.putOff(it, err.Error(), r.c.DirectoryRetry, r.now())
	r.inMu.Unlock()
	r.log.Warn("message_not_categorized", zap.Stringer("id", it.id), zap.Error(err), zap.Bool("poison", it.poison))
	signal(r.work)
}
