package queue

// ring is the queues of a link that have something to give out, in the order of
// their turns. All operations take constant time: a link may have thousands.
type ring struct{ first *queue }

// add puts a queue at the end.
func (r *ring) add(q *queue) {
	if r.first == nil {
		q.prev, q.next, r.first = q, q, q
		return
	}
	q.prev, q.next = r.first.prev, r.first
	q.prev.next, q.next.prev = q, q
}

func (r *ring) remove(q *queue) {
	if q.next == q {
		r.first = nil
	} else {
		q.prev.next, q.next.prev = q.next, q.prev
		if r.first == q {
			r.first = q.next
		}
	}
	q.prev, q.next = nil, nil
}
