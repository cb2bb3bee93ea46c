package queue

import (
	"cmp"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// reportWait is how long a report that could not be written waits.
const reportWait = time.Minute

// overdue performs EffectDelay and EffectExpire: it tells the sender of an entry
// that nothing could be done for, and settles or keeps it.
func (r *Runner) overdue(e Effect) {
	taken := []Taken{{e.Queue, e.Ref}}
	st, err := r.c.Store.Load(spool.ID(e.Ref.ID))
	if err != nil {
		r.setAside(taken, err)
		return
	}
	m, err := decodeMessage(st)
	if err != nil {
		r.setAside(taken, err)
		return
	}
	plan, err := targetsOf(e.Ref, len(m.targets))
	if err != nil {
		r.setAside(taken, err)
		return
	}
	now := r.c.Now()
	d := &delivery{parts: []part{{queue: e.Queue, ref: e.Ref, to: len(plan), plan: plan}}}
	d.Envelope, d.Content = m.env, &content{r.c.Store, spool.ID(e.Ref.ID), m.env.Size}
	outcomes := make([]mail.Outcome, 0, len(plan))
	for _, i := range plan {
		d.Targets = append(d.Targets, m.targets[i])
		outcomes = append(outcomes, lastOutcome(st.Outcomes, i, e.Reason, now))
	}
	s := &settled{ref: e.Ref, commit: spool.Settlement{ID: spool.ID(e.Ref.ID), Queue: e.Queue, Due: e.Ref.Due}}
	kind := ReportDelay
	if e.Kind == EffectExpire {
		kind = ReportFailure
		for i, o := range outcomes {
			outcomes[i] = expired(r.clock(), o, now)
		}
		s.events = events(d, d.parts[0], outcomes, e.Hop)
	} else {
		// The entry keeps its place and its count; only the notice is noted.
		s.requeue(tag{created: e.Ref.Created, attempts: e.Ref.Attempts, notified: true, multi: e.Ref.Multi, targets: plan}, e.Ref.Due)
	}
	s.commit.Reports, err = r.c.Reporter.Report(kind, d.Envelope, d.Targets, outcomes, d.Content)
	if err != nil {
		r.log.Error("report_not_written", zap.Stringer("id", e.Ref.ID), zap.Error(err))
		r.do(func(now int64) {
			r.sched.PutOff(e.Queue, e.Ref.ID, "", now+reportWait.Milliseconds(), now)
			r.quiet.Broadcast()
		})
		return
	}
	r.submit([]*settled{s})
}

// lastOutcome is what the spool remembers of a target, or else why the queue
// does not move.
func lastOutcome(records []spool.OutcomeRecord, target int, why string, now time.Time) mail.Outcome {
	o := mail.Defer(mail.StatusNoAnswer, why)
	o.At = now
	for _, rec := range records {
		if rec.Target != uint32(target) {
			continue
		}
		if a, err := codec.DecodeAttempt(rec.Payload); err == nil {
			o.Status, o.Text, o.Remote, o.At = a.Status, cmp.Or(a.Text, why), a.Remote, a.Last
		}
	}
	return o
}
