package queue

import "github.com/postroad/postroad/node/mail"

// Taken is one entry given to a connection.
type Taken struct {
	Queue string
	Ref   Ref
}

// turns is the order in which priorities have their turn on a link: of sixteen,
// high has ten, normal five and low one. A turn that its own priority does not need
// goes to the highest that has mail, so low waits but does not starve.
var turns = [16]int{0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1}

// Take gives a connection its next message: one entry, and with it the entries
// of the same message in other queues that go over the same link. Nil: nothing
// now.
func (s *Scheduler) Take(id ConnID, now int64) []Taken {
	c := s.conns[id]
	if c == nil {
		return nil
	}
	c.life = now
	s.opened(c, now)
	l := c.link
	if s.closed || c.doubt != "" || c.broken || !l.serving(now) || s.surplus(c) {
		return nil
	}
	for {
		q := l.pick()
		if q == nil {
			return nil
		}
		if q.win.len() == 0 || q.win.front().at > now {
			s.poke(q, now) // leaves the ring
			continue
		}
		e := q.choose(now)
		l.backlog--
		e.state, e.conn = inFlight, id
		taken := []Taken{{q.name, e.Ref}}
		for _, o := range s.multi[e.ID] {
			if o.state == waiting && o.queue.link == l && o.at <= now {
				s.withdraw(o)
				o.conn = id
				taken = append(taken, Taken{o.queue.name, o.Ref})
			}
		}
		for _, t := range taken {
			s.poke(s.queues[t.Queue], now)
		}
		return taken
	}
}

// Of the entries of a queue that failed before, one of problemShare may go before
// fresh ones, so that they do not starve; fresh ones are looked for among the first
// problemSearch.
const (
	problemShare  = 4
	problemSearch = 64
)

// choose takes the next entry out of the window: the first, but one that failed
// before stands behind those that did not, three times of four. The window must
// not be empty and its front must be due.
func (q *queue) choose(now int64) *entry {
	if !q.win.front().tried() {
		return q.win.pop()
	}
	if q.behind++; q.behind%problemShare != 0 {
		for _, e := range q.win.all()[:min(problemSearch, q.win.len())] {
			if e.at > now {
				break
			}
			if !e.tried() {
				q.win.remove(e)
				return e
			}
		}
	}
	return q.win.pop()
}

// tried says whether the entry failed before, or broke a connection.
func (e *entry) tried() bool { return e.Attempts > 0 || e.drops > 0 }

// pick chooses the queue whose turn it is and sends it to the end of its ring.
func (l *link) pick() *queue {
	first := turns[l.turn%len(turns)]
	l.turn++
	for i := -1; i < len(l.rings); i++ {
		r := max(i, 0)
		if i < 0 {
			r = first
		}
		if q := l.rings[r].first; q != nil {
			l.rings[r].first = q.next
			return q
		}
	}
	return nil
}

// inFlightEntry finds what Take or an effect gave out.
func (s *Scheduler) inFlightEntry(name string, id mail.ID) *entry {
	if q := s.queues[name]; q != nil {
		if e := q.refs[id]; e != nil && e.state == inFlight {
			return e
		}
	}
	return nil
}

// Gone says that the entry is off the disk.
func (s *Scheduler) Gone(name string, id mail.ID, now int64) {
	if e := s.inFlightEntry(name, id); e != nil {
		e.queue.leave(e.Ref)
		s.drop(e)
		s.poke(e.queue, now)
	}
}

// Requeued says that the entry is on disk in another place: ref. why is shown as
// the queue's last error; empty keeps the present one.
func (s *Scheduler) Requeued(name string, ref Ref, why string, now int64) {
	e := s.inFlightEntry(name, ref.ID)
	if e == nil {
		return
	}
	if why != "" {
		e.queue.lastErr = why
	}
	e.queue.leave(e.Ref)
	drops := e.drops
	if ref.Attempts > e.Attempts {
		drops = 0
	}
	e.Ref, e.drops = ref, drops
	s.admit(e, ref.Due)
	s.poke(e.queue, now)
}

// Return puts an entry back to its old place, untouched on disk, because its
// connection broke. It reports false, and leaves the entry in flight, if that
// happened too often: then the message is to be deferred by itself.
func (s *Scheduler) Return(name string, id mail.ID, broke bool, now int64) bool {
	e := s.inFlightEntry(name, id)
	if e == nil {
		return true
	}
	if broke {
		if e.drops++; e.drops >= s.limits.ProblemAfter {
			return false
		}
	}
	if !s.ordered(e) {
		s.place(e, e.Due)
	}
	s.poke(e.queue, now)
	return true
}

// PutOff puts an entry back, untouched on disk, not to be looked at before until
// (Unix ms): what was to be done with it cannot be done now.
func (s *Scheduler) PutOff(name string, id mail.ID, why string, until, now int64) {
	e := s.inFlightEntry(name, id)
	if e == nil {
		return
	}
	if why != "" {
		e.queue.lastErr = why
	}
	e.quiet = until
	if !s.ordered(e) {
		s.place(e, max(until, e.Due))
	}
	s.poke(e.queue, now)
}
