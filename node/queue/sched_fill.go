package queue

import (
	"slices"

	"github.com/postroad/postroad/node/mail"
)

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
	// up to the cursor belong into memory, the others make more true. What came back
	// to its old place was perhaps read as it was before: the newest counts.
	news := make([]Ref, 0, len(late)+len(refs))
	for _, r := range slices.Backward(late) {
		if r.position().compare(q.cursor) > 0 {
			q.more = true
		} else {
			news = append(news, r)
		}
	}
	for _, r := range append(news, refs...) {
		if due, gone := left[r.ID]; gone && due == r.Due {
			continue
		}
		if e := q.refs[r.ID]; e != nil && e.state == reserved {
			e.read = &r // see Abandon
		} else if e == nil {
			// Filling may pass the window's bound by one fill; admit must not
			// move the cursor for that.
			at := s.ready(q, r, now)
			q.early = q.early || q.more && at < r.Due
			s.place(&entry{Ref: r, queue: q}, at, now)
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
