package queue

import (
	"cmp"
	"errors"
	"slices"
	"strings"
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
		r.setAside(taken, nil, err)
		return
	}
	m, err := decodeMessage(st)
	if err != nil {
		r.setAside(taken, nil, err)
		return
	}
	plan, err := targetsOf(e.Ref, len(m.targets))
	if err != nil {
		r.setAside(taken, nil, err)
		return
	}
	now := r.c.Now()
	d := &delivery{parts: []part{{queue: e.Queue, ref: e.Ref, to: len(plan), plan: plan}}}
	d.Envelope, d.Content = aged(m.env, e.Ref), &content{store: r.c.Store, id: spool.ID(e.Ref.ID), size: m.env.Size}
	aged := r.aged(e.Ref.Created)
	outcomes := make([]mail.Outcome, 0, len(plan))
	for _, i := range plan {
		d.Targets = append(d.Targets, m.targets[i])
		outcomes = append(outcomes, lastOutcome(st.Outcomes, i, e))
	}
	s := &settled{ref: e.Ref, commit: spool.Settlement{ID: spool.ID(e.Ref.ID), Queue: e.Queue, Due: e.Ref.Due}}
	kind := ReportDelay
	if e.Kind == EffectExpire {
		kind = ReportFailure
		for i, o := range outcomes {
			if e.Ref.Return && e.Ref.late(aged) {
				outcomes[i] = missed(o)
			} else {
				outcomes[i] = expired(r.clock(e.Hop).Of(m.env.Priority, local(e.Hop)), o)
			}
		}
		s.commit.Ends = ends(outcomes, e.Hop)
		s.events = events(d, d.parts[0], e.tracked(outcomes, now), e.Hop)
	} else {
		// The entry keeps its place and its count; only the notice is noted.
		t := e.Ref.again(e.Ref.Attempts, plan)
		if e.Ref.late(aged) {
			t.by = 0 // RFC 2852 section 4.1.4: one notice, and delivery goes on
			for i, o := range outcomes {
				outcomes[i].Status, outcomes[i].Text = mail.StatusExpired, late(o.Text)
			}
		}
		clock := r.clock(e.Hop).Of(m.env.Priority, local(e.Hop))
		// If neither is, the clock was put back just now.
		t.notified = t.notified || t.by == e.Ref.By || clock.noticeDue(e.Begun, now.UnixMilli())
		for i := range outcomes {
			outcomes[i].Until = when(e.End)
		}
		s.requeue(t, e.Ref.Due)
	}
	s.commit.Reports, err = r.write(kind, d.Envelope, d.Targets, outcomes, d.Content)
	if err != nil {
		if r.spoiled(d, nil) {
			return
		}
		if err = r.blame(e.Ref.ID, err); errors.Is(err, errCrashed) {
			r.setAside(taken, m.env, err)
			return
		}
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
func lastOutcome(records []spool.OutcomeRecord, target int, e Effect) mail.Outcome {
	why := e.Trouble.text
	o := mail.Defer(e.Trouble.status, why)
	o.At, o.Connector = when(e.Trouble.tried), e.Hop.ConnectorName
	for _, rec := range records {
		if rec.Target != uint32(target) {
			continue
		}
		if a, err := codec.DecodeAttempt(rec.Payload); err == nil {
			o.Remote, o.At = a.Remote, a.Last
			if e.Trouble.note == nil {
				o.Status, o.Text = a.Status, cmp.Or(a.Text, why)
			}
			// RFC 3461 section 6.3 (i): what the host said is its word, not ours.
			if r, ok := mail.ParseReply(a.Text); ok && a.Remote != "" {
				o.Reply = &r
			}
		}
	}
	return o
}

// tracked are outcomes as the tracking log has them: given now, and with the note of the
// administrator, which is not for senders.
func (e Effect) tracked(outcomes []mail.Outcome, now time.Time) []mail.Outcome {
	out := slices.Clone(outcomes)
	for i := range out {
		out[i].At = now
		if note := e.Trouble.note; note != nil {
			out[i].Text = strings.Replace(out[i].Text, stoppedText, note.text(), 1)
		}
	}
	return out
}
