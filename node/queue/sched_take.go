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
	if s.closed || c.doubt != "" || c.broken || !l.serving(now) || s.surplus(c, now) {
		return nil
	}
	e := s.choose(l, now)
	if e == nil {
		return nil
	}
	l.backlog--
	e.state, e.conn = inFlight, id
	taken := []Taken{{e.queue.name, e.Ref}}
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

// Entries that failed before are problems: of the times that one stands first, it
// goes before fresh ones of its priority once in problemShare, so that they do not
// starve. Fresh ones are looked for among the first problemSearch of each queue, and
// problemLooks in all.
const (
	problemShare  = 4
	problemSearch = 64
	problemLooks  = 256
)

// choose takes the entry whose turn it is on a link out of its queue, and sends that
// to the end of its ring. Nil: nothing is due.
func (s *Scheduler) choose(l *link, now int64) *entry {
	first := turns[l.turn%len(turns)]
	l.turn++
	for i := -1; i < len(l.rings); i++ {
		r := &l.rings[max(i, 0)]
		if i < 0 {
			r = &l.rings[first]
		}
		q := r.first
		for ; q != nil && (q.win.len() == 0 || q.win.front().at > now); q = r.first {
			s.poke(q, now) // leaves the ring
		}
		if q == nil {
			continue
		}
		e := q.win.front()
		if e.tried() {
			if l.behind++; l.behind%problemShare != 0 {
				if fresh := r.fresh(now); fresh != nil {
					e = fresh
				}
			}
		}
		if q := e.queue; e == q.win.front() {
			q.win.pop()
		} else {
			q.win.remove(e)
		}
		r.remove(e.queue)
		r.add(e.queue)
		return e
	}
	return nil
}

// fresh finds an entry that is due and has not failed yet: in the first queue, or
// else in those behind it.
func (r *ring) fresh(now int64) *entry {
	looks := problemLooks
	for q := r.first; ; q = q.next {
		for _, e := range q.win.all()[:min(problemSearch, q.win.len())] {
			if looks--; looks < 0 || e.at > now {
				break
			}
			if !e.tried() {
				return e
			}
		}
		if q.next == r.first || looks < 0 {
			return nil
		}
	}
}

// tried says whether the entry failed before, or broke a connection.
func (e *entry) tried() bool { return e.Attempts > 0 || e.drops > 0 }

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
	s.admit(e, now)
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
		s.place(e, s.ready(e.queue, e.Ref, now), now)
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
		s.place(e, max(until, s.ready(e.queue, e.Ref, now)), now)
	}
	s.poke(e.queue, now)
}
