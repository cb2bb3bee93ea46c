package queue

import "container/heap"

// timer is one alarm of a queue, a link or a connection; at is Unix ms, 0 for none.
type timer struct {
	at    int64
	index int // in the heap, -1 when not set
	queue *queue
	link  *link
	conn  *conn
}

// timers is a heap of alarms, the earliest first.
type timers []*timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push implements heap.Interface; use set.
func (t *timers) Push(x any) {
	tm := x.(*timer)
	tm.index = len(*t)
	*t = append(*t, tm)
}

// Pop implements heap.Interface; use set.
func (t *timers) Pop() any {
	old := *t
	tm := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	tm.index = -1
	return tm
}

// set changes an alarm; 0 takes it away.
func (t *timers) set(tm *timer, at int64) {
	if tm.at == at {
		return
	}
	tm.at = at
	switch {
	case at == 0:
		heap.Remove(t, tm.index)
	case tm.index < 0:
		heap.Push(t, tm)
	default:
		heap.Fix(t, tm.index)
	}
}

// pop takes away the first alarm that is due, nil if none is.
func (t *timers) pop(now int64) *timer {
	if len(*t) == 0 || (*t)[0].at > now {
		return nil
	}
	tm := (*t)[0]
	t.set(tm, 0)
	return tm
}
