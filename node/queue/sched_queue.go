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
	created := s.created(e)
	at := s.clockOf(e.queue).deadline(created, e.Notified)
	at = max(at, s.spared(created))
	if e.By != 0 {
		at = min(at, s.deliverBy(e))
	}
	return max(at, e.quiet)
}

// deliverBy is the deliver-by-time of an entry that has one, by the clock of this moment.
func (s *Scheduler) deliverBy(e *entry) int64 { return e.By + s.jumps.since(e.Created) }

// end is when an entry is given up.
func (s *Scheduler) end(e *entry) int64 {
	end := s.ends(s.created(e), s.clockOf(e.queue))
	if e.Return && e.By != 0 {
		end = min(end, s.deliverBy(e))
	}
	return end
}

// notice is when the sender of an entry is told that it is late; 0: never.
func (s *Scheduler) notice(e *entry) int64 {
	wait := s.clockOf(e.queue).DelayNotice
	if wait <= 0 || e.Notified {
		return 0
	}
	created := s.created(e)
	if at := max(created+wait.Milliseconds(), s.spared(created)); at < s.end(e) {
		return at
	}
	return 0
}

// spared is until when nothing happens to an entry for its age that began to age then, by
// the clock of this moment; see startGrace.
func (s *Scheduler) spared(created int64) int64 {
	if created < s.began {
		return s.began + startGrace
	}
	return 0
}

// ends is when what began to age then, by the clock of this moment, is given up for its age.
func (s *Scheduler) ends(created int64, c Clock) int64 {
	return max(created+c.Expiration.Milliseconds(), s.spared(created))
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
		end := s.end(e)
		if now >= end {
			kind = EffectExpire
		}
		s.effect(Effect{Kind: kind, Queue: q.name, Ref: e.Ref, Hop: q.hop, Trouble: s.trouble(q, now), Begun: s.created(e), End: end})
	}
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
