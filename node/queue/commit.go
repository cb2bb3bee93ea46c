package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// settled is the result of an attempt on its way to disk.
type settled struct {
	ref    Ref // the entry as it was
	commit spool.Settlement
	next   *Ref   // the entry that takes its place; nil: none
	to     string // the queue of next, where it is reserved, if that is another
	rest   *Ref   // what stays of the entry when next is in another queue
	why    string // it was deferred, in words
	done   func(error)
	events []mail.Event
}

// requeue makes an entry with that tag take the old one's place.
func (s *settled) requeue(t tag, due int64) {
	ref := refOf(s.ref.ID, due, t, t.encode())
	s.next = &ref
	s.commit.Requeue = &spool.Entry{Queue: s.commit.Queue, Due: due, Tag: ref.Tag}
}

// maxCommit bounds the settlements of one commit.
const maxCommit = 1024

// commitWait is how long a commit that failed waits to be tried again.
const commitWait = time.Second

// submit hands results to the committer; it does not wait.
func (r *Runner) submit(batch []*settled) {
	r.settleMu.Lock()
	r.settling = append(r.settling, batch...)
	r.settleMu.Unlock()
	signal(r.commit)
}

// commitLoop commits whatever came in during the last commit. While one waits
// for its sync the connections fill the next.
func (r *Runner) commitLoop(ctx context.Context) {
	for ends := false; !ends; {
		select {
		case <-ctx.Done():
			ends = true // after what came in before
		case <-r.commit:
		}
		for batch := r.nextBatch(); len(batch) > 0; batch = r.nextBatch() {
			if !r.commitBatch(ctx, batch) {
				return
			}
		}
	}
}

func (r *Runner) nextBatch() []*settled {
	r.settleMu.Lock()
	defer r.settleMu.Unlock()
	if len(r.settling) <= maxCommit {
		batch := r.settling
		r.settling = nil
		return batch
	}
	batch := r.settling[:maxCommit:maxCommit]
	r.settling = r.settling[maxCommit:]
	return batch
}

// commitBatch tries until the batch is on disk; false means that ctx ended first.
func (r *Runner) commitBatch(ctx context.Context, batch []*settled) bool {
	list := make([]spool.Settlement, len(batch))
	for i, s := range batch {
		list[i] = s.commit
	}
	r.watch.commit.CompareAndSwap(0, r.now())
	defer r.watch.commit.Store(0)
	for tries := 1; ; tries++ {
		finished, err := r.c.Store.Settle(list...)
		switch {
		case err == nil:
			r.committed(batch, finished)
			return true
		case (errors.Is(err, spool.ErrInvalid) || errors.Is(err, spool.ErrUnreadable) || damaged(err)) && len(batch) > 1:
			// One of them is at fault; the others must not suffer.
			for i := range batch {
				if !r.commitBatch(ctx, batch[i:i+1]) {
					return false
				}
			}
			return true
		case errors.Is(err, spool.ErrUnreadable) && tries >= readTries:
			err = fmt.Errorf("%w: %w", errUnread, err)
			fallthrough
		case damaged(err):
			// What happened is forgotten with it: after a release it happens again.
			r.lost(batch[0], err)
			return true
		case errors.Is(err, spool.ErrInvalid):
			r.refused(batch[0], err)
			return true
		}
		r.log.Error("outcomes_not_committed", zap.Int("outcomes", len(batch)), zap.Error(err), zap.Duration("retry_in", commitWait))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(commitWait):
		}
		// During the wait an administrator may have asked for anything, but what
		// happened stays: the same outcomes are tried again.
	}
}

// lost sets aside an entry whose message the spool cannot read.
func (r *Runner) lost(s *settled, err error) {
	if s.to != "" {
		r.do(func(now int64) { r.sched.Abandon(s.to, s.ref.ID, now) })
	}
	r.setAside([]Taken{{s.commit.Queue, s.ref}}, nil, err)
	if s.done != nil { // who gave an order waits for it
		s.done(err)
	}
}

// refused puts off an entry whose outcome the spool calls invalid.
func (r *Runner) refused(s *settled, err error) {
	r.log.Error("outcome_refused", zap.Stringer("id", s.ref.ID), zap.String("queue", s.commit.Queue), zap.Error(err))
	r.do(func(now int64) {
		if s.to != "" {
			r.sched.Abandon(s.to, s.ref.ID, now)
		}
		r.sched.PutOff(s.commit.Queue, s.ref.ID, err.Error(), now+poisonWait.Milliseconds(), now)
		r.quiet.Broadcast()
	})
	if s.done != nil {
		s.done(err)
	}
}

// committed tells everybody what is now a fact.
func (r *Runner) committed(batch []*settled, finished []bool) {
	for i, s := range batch {
		if i < len(finished) && finished[i] {
			r.cache.remove(s.ref.ID)
			r.unread.forget(s.ref.ID)
		}
	}
	r.do(func(now int64) {
		for _, s := range batch {
			if s.to != "" {
				r.sched.Moved(s.commit.Queue, s.to, *s.next, s.rest, now)
			} else if s.next != nil {
				r.sched.Requeued(s.commit.Queue, *s.next, s.why, now)
			} else {
				r.sched.Gone(s.commit.Queue, s.ref.ID, now)
			}
		}
		r.quiet.Broadcast()
	})
	for _, s := range batch {
		for _, e := range s.events {
			r.c.Events(e)
		}
		r.accepted(s.commit.Reports, s.ref.ID)
		if s.done != nil {
			s.done(nil)
		}
	}
}

// accepted lets reports that are on disk now enter by the front door.
func (r *Runner) accepted(reports []spool.Incoming, about mail.ID) {
	for _, in := range reports {
		id := mail.ID(in.ID)
		env, err := codec.DecodeEnvelope(in.Envelope)
		if err != nil {
			r.log.Error("report_unreadable", zap.Stringer("id", id), zap.Error(err))
			continue
		}
		e := eventOf(env, mail.EventDSN, "DSN", env.Received)
		e.Linked = about
		for _, rcpt := range env.Recipients {
			e.Recipients = append(e.Recipients, rcpt.Address.String())
		}
		r.c.Events(e)
		r.Enqueue(id, env)
	}
}
