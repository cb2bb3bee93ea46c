package queue

import (
	"github.com/postroad/postroad/node/mail"
)

// queue is one final destination and class; doc.go has the invariants of its window.
type queue struct {
	name string
	key  Key
	hop  mail.Hop
	link *link
	like *Standing // the standing freeze that stops it; nil: none does

	refs   map[mail.ID]*entry // all entries in memory, whatever their state
	win    window             // those that wait
	cursor Position
	more   bool // there are entries on disk beyond the cursor
	// filling: an EffectFill is out; late are the positions that were queued
	// beyond the cursor since.
	filling bool
	// fillNo tells an EffectFill from earlier ones; fillSeen and fillSince are the
	// watchdog's.
	fillNo, fillSeen uint64
	fillSince        int64
	late             []Ref
	// left are entries beyond the cursor that went from their place on disk while
	// it was being read; there are none unless the queue was rebuilt.
	left map[mail.ID]int64

	asked      string // by whom, until it has been sent: see asked.go; "": by nobody
	ringed     bool   // stands in its link's ring, between these
	prev, next *queue
	stride     int   // how many entries the last fill asked for, while they are being used up; else 0
	oldest     int64 // the least Created in refs, Unix ms; 0: there is none, -1: to be looked for
	deadline   int64 // the earliest delay notice or expiration in the window; 0: none
	timer      timer
	lastErr    string // of a message that was deferred by itself
	rush       int64  // what was deferred before, on disk too, need not wait (Unix ms)
	// early: intervals are shorter than they were, so what lies beyond the cursor may be
	// ready before what is in the window.
	early bool
}

// AddQueue makes a queue. onDisk says that the spool may hold entries of it that
// the scheduler has not been told of; without it the caller must go on with
// Reserve. Adding a queue again does nothing.
func (s *Scheduler) AddQueue(key Key, hop mail.Hop, onDisk bool, now int64) {
	name := key.Name()
	if s.queues[name] != nil {
		return
	}
	q := &queue{name: name, key: key, refs: map[mail.ID]*entry{}, more: onDisk}
	q.timer = timer{index: -1, queue: q}
	s.queues[name] = q
	q.hop = hop
	s.liken(q)
	q.link = s.link(q)
	q.link.queues[q] = struct{}{}
	if onDisk {
		s.poke(q, now)
	}
}

// Has says whether the queue exists. One that runs empty vanishes.
func (s *Scheduler) Has(name string) bool { return s.queues[name] != nil }

// Hop is the next hop of a queue, and whether it can be expected to take mail now.
func (s *Scheduler) Hop(name string, now int64) (mail.Hop, bool) {
	q := s.queues[name]
	if q == nil {
		return mail.Hop{}, false
	}
	return q.hop, q.link.serving(now)
}

// clockOf is that of the virtual server that the queue's mail leaves by, whatever stops it now.
func (s *Scheduler) clockOf(q *queue) Clock {
	return s.sender(q.hop).Clock.Of(q.key.Class.Priority, local(q.hop))
}

// overdue is when an entry needs attention even if no connection takes it.
func (s *Scheduler) overdue(e *entry) int64 {
	at := s.clockOf(e.queue).deadline(e.Created, e.Notified)
	if e.By != 0 {
		at = min(at, e.By)
	}
	return max(at, e.quiet)
}

// watch brings the queue's deadline forward for an entry.
func (s *Scheduler) watch(e *entry) {
	if e.queue.key.Hold != "" {
		return // its time stands still
	}
	d := s.overdue(e)
	if e.queue.deadline == 0 || d < e.queue.deadline {
		e.queue.deadline = d
	}
}

// sweep reports overdue entries and finds the next deadline.
func (s *Scheduler) sweep(q *queue, now int64) {
	if q.deadline == 0 || q.deadline > now {
		return
	}
	q.deadline = 0
	var due []*entry
	for _, e := range q.win.all() {
		if s.overdue(e) <= now {
			due = append(due, e)
		} else {
			s.watch(e)
		}
	}
	for _, e := range due {
		s.withdraw(e)
		kind := EffectDelay
		if s.clockOf(q).expired(e.Created, now) || e.Return && e.late(now) {
			kind = EffectExpire
		}
		_, frozen := s.stop(q)
		s.effect(Effect{Kind: kind, Queue: q.name, Ref: e.Ref, Hop: q.hop, Reason: s.trouble(q), Frozen: frozen})
	}
}

// trouble is why the queue does not move, in the words of the last error.
func (s *Scheduler) trouble(q *queue) string {
	note, frozen := s.stop(q)
	switch {
	case frozen:
		return note.text()
	case q.link.lastErr != "":
		return q.link.lastErr
	case q.lastErr != "":
		return q.lastErr
	}
	return q.hop.Reason
}

// poke looks at a queue after a change: it may vanish, want filling, stand in
// its link's ring or wait for a time.
func (s *Scheduler) poke(q *queue, now int64) {
	if s.queues[q.name] != q {
		return
	}
	if _, kept := s.control.frozen[q.name]; len(q.refs) == 0 && !q.more && !q.filling && !kept {
		s.remove(q, now)
		return
	}
	if s.hungry(q, now) {
		q.filling = true
		q.fillNo++
		limit := s.stride(q)
		s.effect(Effect{Kind: EffectFill, Queue: q.name, After: q.cursor, Limit: limit, Fill: q.fillNo})
		if q.stride = 0; q.link.serving(now) {
			q.stride = 2 * limit
		}
	}
	ends := s.release(q, now)
	alarm := q.deadline
	if ends != 0 && (alarm == 0 || ends < alarm) {
		alarm = ends
	}
	if q.win.len() > 0 {
		if head := q.win.front(); head.at <= now {
			s.enterRing(q)
		} else {
			s.leaveRing(q)
			if alarm == 0 || head.at < alarm {
				alarm = head.at
			}
		}
	} else {
		s.leaveRing(q)
	}
	s.timers.set(&q.timer, alarm)
	s.kick(q.link, now)
}

// since is when the oldest entry in memory was created, Unix ms; 0: there is none.
func (q *queue) since() int64 {
	if q.oldest < 0 {
		q.oldest = 0
		for _, e := range q.refs {
			if e.state != reserved && e.Created != 0 && (q.oldest == 0 || e.Created < q.oldest) {
				q.oldest = e.Created
			}
		}
	}
	return q.oldest
}

func (s *Scheduler) remove(q *queue, now int64) {
	s.leaveRing(q)
	s.timers.set(&q.timer, 0)
	delete(s.queues, q.name)
	delete(q.link.queues, q)
	s.forget(q.link, now)
}
