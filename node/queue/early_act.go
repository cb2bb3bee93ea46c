package queue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// unrouted carries out the order on messages that have no plan: those of the stages
// that are meant.
func (a *action) unrouted() error {
	const page = 1000
	for after := (spool.ID{}); ; {
		ids, err := a.r.c.Store.Submitted(after, page)
		if err != nil {
			return err
		}
		batch := make([]mail.ID, len(ids))
		for i, id := range ids {
			batch[i] = mail.ID(id)
		}
		if err := a.beforeRouting(batch, false); err != nil || len(ids) < page {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// unroutedMessage is a message without a plan that an order means.
type unroutedMessage struct {
	id  mail.ID
	env *mail.Envelope
	at  stage
}

// beforeRouting carries out the order on those of some messages that have no plan;
// named: they were asked for by ID.
func (a *action) beforeRouting(ids []mail.ID, named bool) error {
	var mine []unroutedMessage
	a.r.inMu.Lock()
	putOff := a.r.intake.putAside()
	a.r.inMu.Unlock()
	for _, id := range ids {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		m, ok, err := a.meansEarly(id, putOff)
		switch {
		case errors.Is(err, spool.ErrNotFound) || err == nil && !ok:
			continue
		case err != nil:
			a.refuse(err)
			continue
		case a.dry:
			a.countEarly(m)
			continue
		}
		if !a.claim(id) {
			a.refuse(errBusyEarly)
			continue
		}
		// It may have been routed before it was ours.
		if st, err := a.r.c.Store.Load(spool.ID(id)); err != nil || st.Plan != nil {
			a.r.unclaim(m, true)
			if err == nil && named {
				a.info()
				err = a.planned(id, st)
			}
			if err != nil && !errors.Is(err, spool.ErrNotFound) {
				a.refuse(err)
			}
			continue
		}
		if a.order.Verb == VerbDelete {
			if err := a.deleteEarly(m); err != nil {
				return err
			}
			continue
		}
		mine = append(mine, m)
	}
	if len(mine) == 0 {
		return nil
	}
	return a.markEarly(mine)
}

func (a *action) countEarly(m unroutedMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tally.count(m.id, len(m.env.Recipients), m.env.Size)
}

// meansEarly reads a message without a plan and says whether the order changes anything
// for it.
func (a *action) meansEarly(id mail.ID, putOff map[mail.ID]bool) (m unroutedMessage, ok bool, err error) {
	r := a.r
	if a.aside[id] {
		return m, false, nil
	}
	st, err := r.c.Store.Load(spool.ID(id))
	if err != nil || st.Plan != nil {
		return m, false, err
	}
	m.id = id
	if m.env, err = codec.DecodeEnvelope(st.Envelope); err != nil {
		return m, false, err
	}
	m.at = r.stageNow(m.env, putOff)
	if a.sel.Queues != nil && !slices.Contains(a.sel.Queues, m.at.id()) {
		return m, false, nil
	}
	r.ctlMu.Lock()
	kept := r.ctl.Early[id.String()]
	r.ctlMu.Unlock()
	frozen := kept.frozen()
	if kept.idle(&a.order) {
		return m, false, nil
	}
	if a.sel.Match == nil {
		return m, true, nil
	}
	it := Item{Envelope: m.env, Created: r.begins(m.env), Queue: a.stages[m.at]}
	if frozen {
		it.Queue.State = Frozen
	}
	for _, rcpt := range m.env.Recipients {
		it.Recipients = append(it.Recipients, rcpt.Address.String())
		it.Errors = append(it.Errors, it.Queue.LastError)
	}
	it.LastErr = it.Queue.LastError
	n := 0
	for _, rcpt := range m.env.Recipients {
		it.Target = mail.Target{Address: rcpt.Address}
		if a.sel.Match(it) {
			n++
		}
	}
	if n > 0 && n < len(m.env.Recipients) {
		return m, false, errPartEarly
	}
	return m, n > 0, nil
}

// idle says whether an order changes nothing for a message of which that is kept.
func (e early) idle(o *Order) bool {
	switch o.Verb {
	case VerbFreeze:
		return e.frozen()
	case VerbThaw:
		return !e.frozen()
	case VerbRedirect:
		if e.Sent == nil {
			return o.To.auto()
		}
		return e.Sent.To == o.To
	}
	return false
}

// with is what is kept after an order.
func (e early) with(o *Order) early {
	switch o.Verb {
	case VerbFreeze:
		e.Note = o.Note
	case VerbThaw:
		e.Paused += max(o.Note.At-e.Note.At, 0)
		e.Note = Note{}
	case VerbRedirect:
		if e.Sent = nil; !o.To.auto() {
			e.Sent = &redirection{o.To, o.Note}
		}
	}
	return e
}

// stageNow is where a message without a plan stands at the moment; putOff are those that
// were put off, and whether they cannot be read.
func (r *Runner) stageNow(env *mail.Envelope, putOff map[mail.ID]bool) stage {
	r.inMu.Lock()
	held, stopped := r.intake.held.of[env.ID]
	r.inMu.Unlock()
	poison, waits := putOff[env.ID]
	switch {
	case stopped:
		return held
	case poison:
		return stagePoison
	case waits:
		return stageDirectory
	}
	return stageOf(env)
}

// claim takes a message out of the hands of those who route it; false if they do not
// let go of it.
func (a *action) claim(id mail.ID) bool {
	late := time.NewTimer(orderWait)
	defer late.Stop()
	for {
		a.r.inMu.Lock()
		ok, again := a.r.intake.claim(id)
		a.r.inMu.Unlock()
		if ok {
			return true
		}
		select {
		case <-again:
		case <-late.C:
			return false
		case <-a.ctx.Done():
			return false
		}
	}
}

func (r *Runner) unclaim(m unroutedMessage, gone bool) {
	r.inMu.Lock()
	r.intake.unclaim(m.id, m.at, gone)
	r.inMu.Unlock()
	signal(r.work)
}

// deleteEarly ends a message that was claimed, in the background: many share a sync.
func (a *action) deleteEarly(m unroutedMessage) error {
	select {
	case a.slots <- struct{}{}:
	case <-a.ctx.Done():
		a.r.unclaim(m, false)
		return a.ctx.Err()
	}
	end := func() {
		defer func() { <-a.slots }()
		gone, silent, err := a.r.endEarly(m, &a.order)
		a.r.unclaim(m, gone)
		if silent {
			a.mu.Lock()
			a.tally.Untold++
			a.mu.Unlock()
		}
		switch {
		case err != nil:
			a.refuse(err)
		case gone:
			a.countEarly(m)
		}
	}
	if !a.r.background(end) {
		end()
	}
	return nil
}

// endEarly ends a message; silent says that its sender was due a report and gets none.
func (r *Runner) endEarly(m unroutedMessage, o *Order) (gone, silent bool, err error) {
	line := spool.Deleted
	e := eventOf(m.env, mail.EventFail, "ADMIN", r.c.Now())
	e.Status, e.Detail = o.Status.String(), "deleted before it was routed"
	targets := make([]mail.Target, len(m.env.Recipients))
	outcomes := make([]mail.Outcome, len(targets))
	for i, rcpt := range m.env.Recipients {
		targets[i] = mail.Target{Address: rcpt.Address, Original: rcpt.Original, Recipient: i, Notify: rcpt.Notify}
		outcomes[i] = mail.Fail(o.Status, deletedText(o))
		e.Recipients = append(e.Recipients, rcpt.Address.String())
	}
	var reports []spool.Incoming
	if o.Report {
		line = spool.Returned
		content := &content{store: r.c.Store, id: spool.ID(m.id), size: m.env.Size}
		if reports, err = r.write(ReportFailure, m.env, targets, outcomes, content); err != nil {
			return false, false, fmt.Errorf("the report to the sender cannot be written: %w", err)
		}
	} else {
		e.Detail += ", no report"
	}
	switch err = r.c.Store.End(spool.ID(m.id), line, nil, reports...); {
	case errors.Is(err, spool.ErrNotFound):
		return true, false, nil
	case err != nil:
		return false, false, err
	}
	e.Detail = o.words(e.Detail)
	r.c.Events(e)
	r.routed(m.id)
	r.accepted(reports, m.id)
	return true, o.Report && untold(m.env, targets, reports), nil
}

// markEarly freezes, thaws or redirects messages that were claimed; all of them are on disk
// when it returns, or none is.
func (a *action) markEarly(list []unroutedMessage) error {
	r, o := a.r, &a.order
	r.ctlMu.Lock()
	next := r.ctl
	next.Early = maps.Clone(r.ctl.Early)
	if next.Early == nil {
		next.Early = map[string]early{}
	}
	for _, m := range list {
		next.Early[m.id.String()] = next.Early[m.id.String()].with(o)
	}
	var err error
	if len(next.Early) > maxEarly && o.Verb != VerbThaw {
		err = errManyEarly
	} else if err = r.keep(next); err == nil {
		r.early.Store(int32(len(next.Early)))
		r.inMu.Lock()
		for _, m := range list {
			if next.Early[m.id.String()].frozen() {
				r.intake.held.one[m.id] = struct{}{}
			} else {
				delete(r.intake.held.one, m.id)
			}
		}
		r.inMu.Unlock()
	}
	r.ctlMu.Unlock()
	kind, detail := mail.EventFreeze, "before it was routed"
	switch o.Verb {
	case VerbThaw:
		kind = mail.EventThaw
	case VerbRedirect:
		kind, detail = mail.EventRedirect, "to "+o.To.Name+", when it is routed"
	}
	for _, m := range list {
		r.unclaim(m, false)
		if err != nil {
			continue
		}
		e := eventOf(m.env, kind, "ADMIN", r.c.Now())
		for _, rcpt := range m.env.Recipients {
			e.Recipients = append(e.Recipients, rcpt.Address.String())
		}
		e.Detail = o.words(detail)
		r.c.Events(e)
		a.countEarly(m)
	}
	if err != nil {
		r.log.Error("order_not_kept", zap.Stringer("action", o.Verb), zap.Int("messages", len(list)), zap.Error(err))
	}
	return err
}
