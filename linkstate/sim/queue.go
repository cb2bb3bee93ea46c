package sim

import "time"

// event is something that happens at a time, counted from the epoch; serial keeps
// the order of events of the same time.
type event struct {
	at     time.Duration
	serial int
	do     func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.serial < o.serial }

// queue is a binary heap with the next event first. It is most of what the
// simulation does, and so has no interfaces in it.
type queue []event

func (q *queue) push(e event) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{} // for the garbage collector
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}

func (w *World) after(d time.Duration, do func()) {
	w.serial++
	w.events.push(event{w.now.Sub(epoch) + d, w.serial, do})
}
