package queue

import (
	"bytes"
	"slices"

	"github.com/postroad/postroad/node/mail"
)

// entryState is where an entry in memory is.
type entryState uint8

const (
	reserved entryState = iota // its plan is being written
	waiting                    // in the window
	inFlight                   // with a connection, or being settled
)

// entry is a Ref in memory.
type entry struct {
	Ref
	queue *queue
	state entryState
	// at is when it may be given out (Unix ms): its due time, or later if it was
	// put off without a word to the disk.
	at    int64
	quiet int64 // its age is not looked at before (Unix ms)
	begun int64 // it was created in the future, and ages since then (Unix ms); 0: since Created
	drops int   // broken connections that it was in flight on
	conn  ConnID
	alone int64 // the watchdog saw it in flight without a connection since then
	read  *Ref  // what a fill found on disk while it was reserved
	// orders are to be carried out when the entry comes back from where it is.
	orders []*Order
}

// compareEntries is the order of service: by time, then by ID, which is by age.
func compareEntries(a, b *entry) int {
	switch {
	case a.at < b.at:
		return -1
	case a.at > b.at:
		return 1
	}
	return compareID(a.ID, b.ID)
}

func compareID(a, b mail.ID) int { return bytes.Compare(a[:], b[:]) }

// window is the waiting entries of a queue in order of service. Nearly all come
// in at the end and leave at the front.
type window struct {
	items []*entry
	head  int
}

func (w *window) len() int { return len(w.items) - w.head }

func (w *window) front() *entry { return w.items[w.head] }

func (w *window) all() []*entry { return w.items[w.head:] }

func (w *window) push(e *entry) {
	if n := len(w.items); w.len() == 0 || compareEntries(w.items[n-1], e) < 0 {
		w.items = append(w.items, e)
		return
	}
	i, _ := slices.BinarySearchFunc(w.all(), e, compareEntries)
	if i == 0 && w.head > 0 {
		w.head--
		w.items[w.head] = e
		return
	}
	w.items = slices.Insert(w.items, w.head+i, e)
}

func (w *window) pop() *entry {
	e := w.items[w.head]
	w.items[w.head] = nil
	w.head++
	switch {
	case w.head == len(w.items):
		w.items, w.head = w.items[:0], 0
	case w.head >= 64 && 2*w.head >= len(w.items):
		// What was taken is at least as much as what is moved: amortised constant.
		n := copy(w.items, w.items[w.head:])
		clear(w.items[n:])
		w.items, w.head = w.items[:n], 0
	}
	return e
}

func (w *window) remove(e *entry) {
	if i, ok := slices.BinarySearchFunc(w.all(), e, compareEntries); ok {
		w.items = slices.Delete(w.items, w.head+i, w.head+i+1)
	}
}
