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

// Reserve announces an entry that is about to be written: until Commit or
// Abandon, filling from disk leaves it alone and the queue stays. It reports
// false if the queue is not there or has the message already.
func (s *Scheduler) Reserve(name string, id mail.ID) bool {
	q := s.queues[name]
	if q == nil || q.refs[id] != nil {
		return false
	}
	q.refs[id] = &entry{Ref: Ref{ID: id}, queue: q, state: reserved}
	s.held++
	return true
}

// Commit says that a reserved entry is written.
func (s *Scheduler) Commit(name string, ref Ref, now int64) {
	q := s.queues[name]
	if q == nil || q.refs[ref.ID] == nil {
		return
	}
	e := q.refs[ref.ID]
	e.Ref = ref
	s.admit(e)
	s.poke(q, now)
}

// Abandon says that a reserved entry was not written. One that was committed
// meanwhile stays.
func (s *Scheduler) Abandon(name string, id mail.ID, now int64) {
	if q := s.queues[name]; q != nil && q.refs[id] != nil && q.refs[id].state == reserved {
		s.drop(q.refs[id])
		s.poke(q, now)
	}
}

// admit puts an entry that is on disk under e.Ref.Due into the window, or leaves
// it to the disk if it lies beyond the cursor.
func (s *Scheduler) admit(e *entry) {
	q := e.queue
	if s.ordered(e) {
		return
	}
	if !q.more && q.win.len() >= s.room() {
		// The window is full: from here on the rest stays on disk.
		q.more, q.cursor = true, s.lastPosition(q)
	}
	if q.more && e.position().compare(q.cursor) > 0 {
		if q.filling {
			q.late = append(q.late, e.Ref)
			if q.left[e.ID] == e.Due {
				delete(q.left, e.ID) // it came back to its old place
			}
		}
		s.drop(e)
		return
	}
	s.place(e, s.ready(q, e.Ref))
}

// ready is when an entry may be given out, Unix ms.
func (s *Scheduler) ready(q *queue, r Ref) int64 { return s.clock.retries(q.rush).ready(r) }

// place puts an entry into the window, to be served at that time.
func (s *Scheduler) place(e *entry, at int64) {
	q := e.queue
	e.state, e.at = waiting, at
	s.keep(e)
	q.win.push(e)
	if q.ringed {
		q.link.backlog++
	}
	s.watch(e)
	s.join(e)
}

// keep has an entry in memory, if it is not there yet; it is not reserved only.
func (s *Scheduler) keep(e *entry) {
	q := e.queue
	if q.refs[e.ID] == nil {
		s.held++
	}
	q.refs[e.ID] = e
	if e.Created != 0 && (q.oldest == 0 || q.oldest > e.Created) {
		q.oldest = e.Created
	}
}

// lastPosition is the greatest position on disk of what is in memory. (The order
// of service may differ from that on disk.)
func (s *Scheduler) lastPosition(q *queue) Position {
	var last Position
	for _, e := range q.refs {
		if p := e.position(); e.state != reserved && p.compare(last) > 0 {
			last = p
		}
	}
	return last
}

// join makes an entry known as part of a message in several queues.
func (s *Scheduler) join(e *entry) {
	if !e.Multi {
		return
	}
	for _, o := range s.multi[e.ID] {
		if o == e {
			return
		}
	}
	s.multi[e.ID] = append(s.multi[e.ID], e)
}

// drop forgets an entry that is not in the window.
func (s *Scheduler) drop(e *entry) {
	delete(e.queue.refs, e.ID)
	s.held--
	if e.Created == e.queue.oldest {
		e.queue.oldest = -1
	}
	for _, o := range e.orders {
		s.effect(Effect{Kind: EffectVoid, Order: o})
	}
	e.orders = nil
	if !e.Multi {
		return
	}
	list := s.multi[e.ID]
	for i, o := range list {
		if o == e {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(s.multi, e.ID)
		return
	}
	s.multi[e.ID] = list
}

// Filled answers EffectFill. end says that the disk has nothing after refs.
func (s *Scheduler) Filled(name string, refs []Ref, end bool, now int64) {
	q := s.queues[name]
	if q == nil || !q.filling {
		return
	}
	late, left := q.late, q.left
	q.filling, q.late, q.left = false, nil, nil
	if len(refs) > 0 {
		q.cursor = refs[len(refs)-1].position()
	}
	q.more = !end
	q.early = q.early && q.more
	// While reading, entries may have been queued behind the reader's back. Those
	// up to the cursor belong into memory, the others make more true.
	for _, r := range late {
		if r.position().compare(q.cursor) > 0 {
			q.more = true
		} else {
			refs = append(refs, r)
		}
	}
	for _, r := range refs {
		if due, gone := left[r.ID]; gone && due == r.Due {
			continue
		}
		if q.refs[r.ID] == nil {
			// Filling may pass the window's bound by one fill; admit must not
			// move the cursor for that.
			at := s.ready(q, r)
			q.early = q.early || q.more && at < r.Due
			s.place(&entry{Ref: r, queue: q}, at)
		}
	}
	s.poke(q, now)
}

// leave notes that an entry goes from its place on disk. One that is read at this
// moment must not come back.
func (q *queue) leave(r Ref) {
	if !q.filling || r.position().compare(q.cursor) <= 0 {
		return
	}
	if q.left == nil {
		q.left = map[mail.ID]int64{}
	}
	q.left[r.ID] = r.Due
}

// FillFailed answers EffectFill when the disk could not be read; it is tried
// again after wait milliseconds.
func (s *Scheduler) FillFailed(name string, now, wait int64) {
	q := s.queues[name]
	if q == nil || !q.filling {
		return
	}
	// What was late is beyond the cursor and on disk: the next fill reads it.
	q.filling, q.late, q.left = false, nil, nil
	s.timers.set(&q.timer, now+wait)
}

func (s *Scheduler) clockOf(q *queue) Clock { return s.clock.Of(q.key.Class.Priority, local(q.hop)) }

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

// withdraw takes an entry out of the window, into flight.
func (s *Scheduler) withdraw(e *entry) {
	e.queue.win.remove(e)
	if e.queue.ringed {
		e.queue.link.backlog--
	}
	e.state, e.conn = inFlight, 0
}

// hurry makes the deferred entries due: those of the window now, others when they are
// read.
func (s *Scheduler) hurry(q *queue, now int64) {
	q.rush = now
	items := append([]*entry(nil), q.win.all()...)
	for _, e := range items {
		if e.at > now {
			s.reset(e, now)
		}
	}
}

// reset gives an entry of the window another time.
func (s *Scheduler) reset(e *entry, at int64) {
	e.queue.win.remove(e)
	e.at = at
	e.queue.win.push(e)
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

// hungry says whether a queue should be filled from disk. One that is not being
// served needs only its oldest entries, for their age. Two windows is the most that is
// looked at for what is ready early.
func (s *Scheduler) hungry(q *queue, now int64) bool {
	if !q.more || q.filling || s.closed || len(q.refs) >= 2*s.limits.Window {
		return false
	}
	return q.win.len() == 0 || q.link.serving(now) && (q.win.len() < s.stride(q)/2 || q.early && q.win.front().at > now)
}

// leastWindow is how many entries a queue may have in memory however many queues
// there are, and how many are read of it at first.
const leastWindow = 32

// room is how many entries one queue may have in its window: less where all queues
// together have many.
func (s *Scheduler) room() int {
	return min(s.limits.Window, max((s.limits.Held-s.held)/8, s.least))
}

// stride is how many entries to read of a queue: more each time while they are used
// up, so that a start does not read what nobody asks for.
func (s *Scheduler) stride(q *queue) int {
	return min(max(q.stride, s.least), max(s.room()/2, 1))
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
