package queue

import (
	"context"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Adopt gives a connection that somebody else opened to the link of a queue that
// matches and has mail to give out now, one for each such link. Call Closed for each
// as for those of EffectDial.
func (s *Scheduler) Adopt(match func(Key, mail.Hop) bool, now int64) []Effect {
	if s.closed {
		return nil
	}
	over := map[string]ConnID{} // by hop
	var out []Effect
	for _, q := range s.sorted() {
		if q.key.Held || s.frozen(q) || len(q.refs) == 0 || !match(q.key, q.hop) {
			continue
		}
		id, open := over[q.hop.Key()]
		if !open {
			s.nextID++
			id = s.nextID
			over[q.hop.Key()] = id
		}
		q.asked = askedOver(id)
		s.route(q, q.hop, now)
		l := q.link
		if !open {
			c := &conn{id: id, link: l, heard: now, life: now, handed: true}
			c.timer = timer{index: -1, conn: c}
			s.open(c)
			l.handed++
			l.forced, l.next, l.lastTry = now+forcedFor, 0, now
			s.timers.set(&l.timer, 0)
			out = append(out, Effect{Kind: EffectDial, Conn: c.id, Hop: l.hop})
		}
		s.hurry(q, now)
		s.poke(q, now)
	}
	return out
}

// Offers says whether a queue that matches has mail in memory to give out.
func (s *Scheduler) Offers(match func(Key, mail.Hop) bool) bool {
	for _, q := range s.queues {
		if !s.closed && !q.key.Held && !s.frozen(q) && len(q.refs) > 0 && match(q.key, q.hop) {
			return true
		}
	}
	return false
}

// Withheld says whether an administrator stopped queues with mail that match.
func (s *Scheduler) Withheld(match func(Key, mail.Hop) bool) bool {
	for _, q := range s.queues {
		if (len(q.refs) > 0 || q.more || q.filling) && s.stoppedWhole(q) && match(q.key, q.hop) {
			return true
		}
	}
	return false
}

// Withheld says whether mail waits in queues that match and that an administrator
// stopped, so that it is not given out though it is asked for.
func (r *Runner) Withheld(match func(Key, mail.Hop) bool) (is bool) {
	r.do(func(int64) { is = r.sched.Withheld(match) })
	return is
}

// Offers says whether mail waits in the queues that match.
func (r *Runner) Offers(match func(Key, mail.Hop) bool) (ok bool) {
	r.do(func(int64) { ok = r.sched.Offers(match) })
	return ok
}

// Hand has serve give out, over one connection that is open already, what waits in
// the queues that match. It returns when serve has; serve is not called if nothing
// waits.
func (r *Runner) Hand(ctx context.Context, match func(Key, mail.Hop) bool, serve func(context.Context, mail.Hop, mail.Feed) error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &handed{of: map[*mail.Transaction]*feed{}}
	r.do(func(now int64) {
		for _, e := range r.sched.Adopt(match, now) {
			f := newFeed(r, e)
			r.feeds[e.Conn] = f
			f.counted = true
			r.wg.Add(1) // none is adopted once the scheduler is closed, and so none after Wait
			h.feeds = append(h.feeds, f)
		}
	})
	if len(h.feeds) == 0 {
		return
	}
	for _, f := range h.feeds {
		// To break any of the links ends the connection that all of them share.
		defer context.AfterFunc(f.ctx, cancel)()
	}
	end := Ending{}
	if err := serve(ctx, h.feeds[0].hop, h); err != nil {
		end.Err = err.Error()
	}
	for _, f := range h.feeds {
		f.conclude(end)
		f.abort(nil)
	}
}

// handed is several feeds over one connection, one after the other. It does not
// wait for more: who asked wants to hang up.
type handed struct {
	feeds []*feed

	mu sync.Mutex
	of map[*mail.Transaction]*feed
}

// Next implements mail.Feed.
func (h *handed) Next() *mail.Transaction {
	for _, f := range h.feeds {
		if t := f.Next(); t != nil {
			h.mu.Lock()
			h.of[t] = f
			h.mu.Unlock()
			return t
		}
	}
	return nil
}

// Wait implements mail.Feed.
func (h *handed) Wait(time.Duration) bool { return false }

// Done implements mail.Feed.
func (h *handed) Done(t *mail.Transaction, outcomes []mail.Outcome) {
	h.mu.Lock()
	f := h.of[t]
	delete(h.of, t)
	h.mu.Unlock()
	f.Done(t, outcomes)
}
