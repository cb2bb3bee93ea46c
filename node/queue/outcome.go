package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// broken says that the outcome tells of the connection, not of the message: the
// peer was gone, out of step, or closed the channel with 421 (RFC 5321 section 3.8).
func broken(o mail.Outcome) bool {
	if o.Result != mail.Deferred {
		return false
	}
	if o.Reply != nil {
		return o.Reply.Code == 421
	}
	return o.Status == mail.StatusNoAnswer || o.Status == mail.StatusDropped || o.Status == mail.Status{Class: 4, Subject: 5}
}

// putOff says whether the peer answered 4yz for every recipient.
func putOff(outcomes []mail.Outcome) bool {
	for _, o := range outcomes {
		if o.Result != mail.Deferred || o.Reply == nil {
			return false
		}
	}
	return true
}

// finish turns the outcomes of a transaction into what is to be committed.
func (r *Runner) finish(d *delivery, outcomes []mail.Outcome, f *feed) {
	if r.spoiled(d, outcomes) {
		return
	}
	now := r.c.Now()
	lost := true
	for i := range outcomes {
		if outcomes[i].At.IsZero() {
			outcomes[i].At = now
		}
		outcomes[i].Connector = f.hop.ConnectorName
		lost = lost && broken(outcomes[i])
	}
	if !lost {
		r.do(func(now int64) {
			if putOff(outcomes) {
				r.sched.Slowed(f.id, now)
			} else {
				r.sched.Worked(f.id, now)
			}
			r.sched.Spoke(f.id, outcomes[0].Remote)
		})
	} else if r.giveBack(d, outcomes) {
		return
	}
	if slices.ContainsFunc(outcomes, func(o mail.Outcome) bool { return o.Result == mail.Deferred }) {
		r.giveUp(d, outcomes, r.clock(f.hop).Of(d.Envelope.Priority, local(f.hop)))
	}
	reports, err := r.report(d, outcomes, f.hop)
	if err != nil && r.spoiled(d, outcomes) {
		return
	}
	if err = r.blame(d.Envelope.ID, err); errors.Is(err, errCrashed) && !reached(outcomes) {
		r.setAside(d.taken(), d.Envelope, err)
		return
	}
	if err != nil {
		// A failure that cannot be reported now is not settled now.
		r.log.Error("report_not_written", zap.Stringer("id", d.Envelope.ID), zap.Error(err))
		d.postpone(outcomes, err)
	}
	var batch []*settled
	for _, p := range d.parts {
		batch = append(batch, r.settlement(d, p, outcomes, f.hop, now))
	}
	batch[0].commit.Reports = reports
	r.submit(batch)
}

// reached says whether a recipient has the message.
func reached(outcomes []mail.Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o mail.Outcome) bool { return o.Result == mail.Delivered })
}

// giveBack returns the entries of a broken connection to their places. It
// reports false if they have been through that too often and must be deferred
// by themselves.
func (r *Runner) giveBack(d *delivery, outcomes []mail.Outcome) bool {
	all := true
	r.do(func(now int64) {
		var kept []part
		for _, p := range d.parts {
			// No answer at all speaks for no fault of the message.
			if !r.sched.Return(p.queue, p.ref.ID, outcomes[p.from].Status != mail.StatusNoAnswer, now) {
				kept, all = append(kept, p), false
			}
		}
		d.parts = kept
		r.quiet.Broadcast()
	})
	return all
}

// giveUp turns deferrals of a message that is too old into failures.
func (r *Runner) giveUp(d *delivery, outcomes []mail.Outcome, c Clock) {
	begins, by := d.Envelope.Begins().UnixMilli(), d.Envelope.DeliverBy
	end, now := r.ends(begins, c)
	late := by.Return && !by.IsZero() && !when(r.aged(begins)).Before(by.Deadline)
	for i, o := range outcomes {
		switch {
		case o.Result != mail.Deferred:
		case late:
			outcomes[i] = missed(o)
		case now >= end:
			outcomes[i] = expired(c, o)
		}
	}
}

// missed is the outcome of a message that was to be delivered by a time or not at
// all (RFC 2852 section 4.1.4).
func missed(last mail.Outcome) mail.Outcome {
	o := mail.Fail(mail.StatusDeliverBy, late(last.Text))
	o.Reply, o.Remote, o.Connector, o.At = last.Reply, last.Remote, last.Connector, last.At
	return o
}

// late says in words that the deliver-by-time is over, and what happened last.
func late(last string) string {
	const text = "not delivered by the time that its sender set"
	if last == "" {
		return text
	}
	return text + "; last: " + last
}

// expired is the outcome of a message that was deferred until its time was over.
func expired(c Clock, last mail.Outcome) mail.Outcome {
	o := mail.Fail(mail.StatusExpired, "not delivered within "+span(c.Expiration))
	if telling(last.Status) {
		o.Status = last.Status
	}
	if last.Text != "" {
		o.Text += "; last: " + last.Text
	}
	o.Reply, o.Remote, o.Connector, o.At = last.Reply, last.Remote, last.Connector, last.At
	return o
}

// span is a duration without the zeros at its end.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// telling says whether a status names the trouble, so that it is given in place of
// "expired" (RFC 3463 section 3.5, X.4.7: "if possible, the code for the actual
// problem ... should be returned rather than this code"): a mailbox or a system
// that is full, frozen or away, a directory that is silent, no path, a loop. A
// host that does not answer has no code of its own in the book's table 2, and what
// hosts mean by security (X.7) may be greylisting.
func telling(s mail.Status) bool {
	switch s.Subject {
	case 1, 2, 3:
		return true
	case 4:
		return s.Detail == 3 || s.Detail == 4 || s.Detail == 6
	}
	return false
}

// postpone makes deferrals of the failures.
func (d *delivery) postpone(outcomes []mail.Outcome, err error) {
	for i, o := range outcomes {
		if o.Result == mail.Failed {
			outcomes[i].Result, outcomes[i].Status = mail.Deferred, mail.StatusSystemFull
			outcomes[i].Text = fmt.Sprintf("failed (%s), but the report cannot be written: %v", o.Text, err)
		}
	}
}

// report has the reports written that the outcomes ask for.
func (r *Runner) report(d *delivery, outcomes []mail.Outcome, hop mail.Hop) ([]spool.Incoming, error) {
	var failed, done selection
	for _, p := range d.parts {
		for i := p.from; i < p.to; i++ {
			o := outcomes[i]
			switch {
			case o.Result == mail.Failed:
				failed.add(d.Targets[i], o)
			case o.Result == mail.Delivered && d.Targets[i].Notify.WantsSuccess() && (o.Relayed || final(hop)),
				o.Result == mail.Delivered && o.Traced && d.Targets[i].Notify&mail.NotifyNever == 0:
				done.add(d.Targets[i], o)
			}
		}
	}
	var reports []spool.Incoming
	if len(failed.targets) > 0 {
		list, err := r.write(ReportFailure, d.Envelope, failed.targets, failed.outcomes, d.Content)
		if err != nil {
			return nil, err
		}
		reports = list
	}
	if len(done.targets) > 0 {
		list, err := r.write(ReportSuccess, d.Envelope, done.targets, done.outcomes, d.Content)
		if err != nil {
			// What is delivered must not be delivered again for want of a receipt.
			r.log.Error("success_report_dropped", zap.Stringer("id", d.Envelope.ID), zap.Error(err))
		}
		reports = append(reports, list...)
	}
	return reports, nil
}

// final says whether a delivery over the hop is the last one, so that success is
// reported here (RFC 3461 section 5.2.1).
func final(h mail.Hop) bool {
	return h.Kind == mail.HopLocal || h.Kind == mail.HopLMTP || h.Kind == mail.HopDrop
}

type selection struct {
	targets  []mail.Target
	outcomes []mail.Outcome
}

func (s *selection) add(t mail.Target, o mail.Outcome) {
	s.targets, s.outcomes = append(s.targets, t), append(s.outcomes, o)
}

// settlement is what becomes of one entry.
func (r *Runner) settlement(d *delivery, p part, outcomes []mail.Outcome, hop mail.Hop, now time.Time) *settled {
	s := &settled{ref: p.ref, commit: spool.Settlement{ID: spool.ID(p.ref.ID), Queue: p.queue, Due: p.ref.Due}}
	attempts := p.ref.Attempts + 1
	left := p.ref.again(attempts, []int{})
	for i := p.from; i < p.to; i++ {
		o := outcomes[i]
		if o.Result != mail.Deferred {
			continue
		}
		index := p.plan[i-p.from]
		left.targets = append(left.targets, index)
		s.why = o.Text
		s.commit.Outcomes = append(s.commit.Outcomes, spool.OutcomeRecord{
			Target: uint32(index),
			Payload: codec.EncodeAttempt(codec.Attempt{
				Attempts: attempts, Last: o.At, Status: o.Status, Text: o.Text, Remote: o.Remote, DelayReported: p.ref.Notified,
			}),
		})
	}
	if len(left.targets) > 0 {
		left.failed = now.UnixMilli()
		s.requeue(left, now.Add(r.clock(hop).interval(attempts)).UnixMilli())
	}
	s.commit.Ends = ends(outcomes[p.from:p.to], hop)
	s.events = events(d, p, outcomes, hop)
	return s
}

// events tells of the outcomes of an entry: one event for each kind of outcome.
func events(d *delivery, p part, outcomes []mail.Outcome, hop mail.Hop) []mail.Event {
	var list []mail.Event
	var sent *mail.Sent
	for i := p.from; i < p.to; i++ {
		o := outcomes[i]
		kind := mail.EventDefer
		switch {
		case o.Result == mail.Failed:
			kind = mail.EventFail
		case o.Result == mail.Delivered && (hop.Kind == mail.HopLocal || hop.Kind == mail.HopLMTP):
			kind = mail.EventDeliver
		case o.Result == mail.Delivered:
			kind = mail.EventSend
		}
		peer := o.Remote
		switch {
		case peer == "":
			peer = hop.Name
		case hop.Kind == mail.HopNode:
			peer = hop.Name + " " + peer // a node is known by its name, not by its address
		}
		status := o.Status.String()
		// Recipients that fared alike share an event.
		if n := len(list); n > 0 && list[n-1].Kind == kind && list[n-1].Status == status && list[n-1].Peer == peer && list[n-1].Detail == o.Text {
			list[n-1].Recipients = append(list[n-1].Recipients, addressOf(d.Targets[i]))
			continue
		}
		e := eventOf(d.Envelope, kind, "QUEUE", o.At)
		e.Recipients = []string{addressOf(d.Targets[i])}
		e.Peer, e.Connector, e.Status, e.Detail, e.Table = peer, hop.ConnectorName, status, o.Text, hop.TableVersion
		if sent == nil && o.Result == mail.Delivered && leaves(hop) {
			sent = &mail.Sent{Destination: d.Targets[i].Destination, Entered: len(d.Envelope.Visited) <= 1}
			e.Sent = sent
		}
		list = append(list, e)
	}
	return list
}

// leaves says whether a hop leads out of the group: over a connector, or outside
// without one.
func leaves(h mail.Hop) bool {
	return !h.Connector.IsZero() || h.Kind == mail.HopSmartHost || h.Kind == mail.HopMX
}

func eventOf(env *mail.Envelope, kind mail.EventKind, source string, at time.Time) mail.Event {
	return mail.Event{
		At: at, Kind: kind, Source: source, ID: env.ID, Origin: env.Origin, MessageID: env.MessageID,
		Sender: env.From.String(), Size: env.Size,
	}
}

func addressOf(t mail.Target) string {
	if t.Foreign != "" {
		return t.Foreign
	}
	return t.Address.String()
}
