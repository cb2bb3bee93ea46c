package queue

import (
	"github.com/postroad/postroad/node/mail"
)

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
	e.Ref, e.read = ref, nil
	s.admit(e, now)
	s.poke(q, now)
}

// Abandon says that a reserved entry was not written. One that was committed
// meanwhile stays; so does one that a fill has found on disk, as no other will look there: it
// was reserved a second time.
func (s *Scheduler) Abandon(name string, id mail.ID, now int64) {
	q := s.queues[name]
	if q == nil || q.refs[id] == nil || q.refs[id].state != reserved {
		return
	}
	e := q.refs[id]
	switch {
	case e.read != nil:
		if e.Ref, e.read = *e.read, nil; !s.ordered(e) {
			s.place(e, s.ready(q, e.Ref, now), now)
		}
	case !q.more || !s.ordered(e): // an order is for what may be on disk, see Order
		s.drop(e)
	}
	s.poke(q, now)
}

// admit puts an entry that is on disk under e.Ref.Due into the window, or leaves
// it to the disk if it lies beyond the cursor.
func (s *Scheduler) admit(e *entry, now int64) {
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
	s.place(e, s.ready(q, e.Ref, now), now)
}

// ready is when an entry may be given out, Unix ms.
func (s *Scheduler) ready(q *queue, r Ref, now int64) int64 {
	if q.key.Held {
		return r.Due // a time of day, whatever was done to the clock
	}
	return s.sender(q.hop).Clock.retries(q.rush).ready(r, now)
}

// place puts an entry into the window, to be served at that time.
func (s *Scheduler) place(e *entry, at, now int64) {
	q := e.queue
	e.state, e.at = waiting, at
	e.begin(now)
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
