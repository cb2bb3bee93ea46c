package queue

import (
	"math"
	"slices"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// A message that is not to go yet is planned like any other, so that its
// recipients are checked at once, but into a queue of its destination that is
// held: until the time that its sender asked for (RFC 4865), or until an
// administrator or a rule lets it go. Then it moves into the queue without the
// hold, in one commit.

// hop asks the router for the hop of a queue, if it leads anywhere yet.
func (r *Runner) hop(k Key) mail.Hop {
	switch {
	case k.Held:
		return mail.Hop{Kind: mail.HopHeld, Name: "deferred delivery", Reason: "its sender asked for a later time"}
	case k.Via != "":
		return r.c.Router.Via(k.Via, k.Class)
	}
	return r.c.Router.Hop(k.Destination, k.Class, k.Visited)
}

// release has the entries moved on that need not wait any more, and gives the
// time at which a hold ends by itself, 0 if none does.
func (s *Scheduler) release(q *queue, now int64) (ends int64) {
	due := int64(math.MaxInt64)
	switch {
	case s.stoppedWhole(q):
		return 0
	case q.key.Hold != "":
		until, held := s.holds(q.key.Hold)
		if held && (until == 0 || now < until) {
			return until
		}
	case q.key.Held:
		due = now
	default:
		return 0
	}
	for !s.closed && q.win.len() > 0 && q.win.front().at <= due {
		e := q.win.front()
		s.withdraw(e)
		s.effect(Effect{Kind: EffectRelease, Queue: q.name, Ref: e.Ref, Hop: q.hop})
	}
	return 0
}

// unhold performs EffectRelease.
func (r *Runner) unhold(e Effect) {
	key, err := ParseName(e.Queue)
	t, tagErr := decodeTag(e.Ref.Tag, true)
	if err != nil || tagErr != nil {
		r.setAside([]Taken{{e.Queue, e.Ref}}, nil, errTag)
		return
	}
	if key.Hold != "" {
		r.ruleEnded(e, key, t)
		return
	}
	key.Held = false
	s := r.move(e.Queue, e.Ref, key, t, r.now())
	if s == nil {
		return
	}
	r.log.Info("message_released", zap.Stringer("id", e.Ref.ID), zap.String("next_hop", r.hop(key).Name))
	r.submit([]*settled{s})
}

// move prepares that an entry goes on in another queue. Nil: that queue cannot be
// named, and the entry was set aside.
func (r *Runner) move(from string, ref Ref, key Key, t tag, due int64) *settled {
	s := &settled{ref: ref, commit: spool.Settlement{ID: spool.ID(ref.ID), Queue: from, Due: ref.Due}}
	next := refOf(ref.ID, due, t, t.encode())
	for ok := true; ok && s.to == ""; key.Part++ {
		name := key.Name()
		if len(name) > maxName || name == from || key.Part == math.MaxUint8 {
			break
		}
		r.do(func(now int64) {
			if !r.sched.Has(name) { // asked here: no change of the table comes between
				r.sched.AddQueue(key, r.hop(key), false, now)
			}
			if r.sched.Reserve(name, ref.ID) {
				s.to = name
			}
		})
		// Another part of the message may be there, on disk only; this one does not
		// wait for it. Nobody adds one once the name is reserved.
		if s.to != "" && ref.Multi {
			if there, err := r.stands(ref.ID, name); there || err != nil {
				r.do(func(now int64) { r.sched.Abandon(name, ref.ID, now) })
				s.to, ok = "", err == nil
			}
		}
	}
	if s.to == "" {
		r.setAside([]Taken{{from, ref}}, nil, errName)
		return nil
	}
	s.next = &next
	s.commit.Requeue = &spool.Entry{Queue: s.to, Due: due, Tag: next.Tag}
	return s
}

// stands says whether a message is in a queue.
func (r *Runner) stands(id mail.ID, queue string) (bool, error) {
	st, err := r.c.Store.Load(spool.ID(id))
	return slices.ContainsFunc(st.Entries, func(e spool.Entry) bool { return e.Queue == queue }), err
}
