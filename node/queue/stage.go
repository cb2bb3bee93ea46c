package queue

import (
	"container/heap"

	"github.com/postroad/postroad/node/mail"
)

// stage is where a message stands that has no plan yet.
type stage uint8

// Stages, each with its queue; nothing is frozen in the last.
const (
	stageSubmitted stage = iota
	stageReport
	stageDirectory
	stageRouting
	stagePoison
	stages
)

// id is that of the stage's queue.
func (s stage) id() string {
	return [stages]string{IDPreSubmission, IDReports, IDDirectory, IDRouting, IDPoison}[s]
}

// stageNamed finds a stage by the ID of its queue.
func stageNamed(id string) (stage, bool) {
	for s := range stages {
		if s.id() == id {
			return s, true
		}
	}
	return 0, false
}

// IsStage says whether a queue by its ID is one before routing.
func IsStage(id string) bool { _, ok := stageNamed(id); return ok }

// stageOf is where a message begins.
func stageOf(env *mail.Envelope) stage {
	if env.System {
		return stageReport
	}
	return stageSubmitted
}

// waitingRoom has the messages without a plan that an administrator stopped, their
// stage as a whole or by themselves. It keeps their IDs only: a frozen stage may fill
// up.
type waitingRoom struct {
	of     map[mail.ID]stage
	n      [stages]int
	oldest [stages]mail.ID // the least; zero: to be looked for, unless n is 0

	frozen [stages]bool
	one    map[mail.ID]struct{} // frozen by themselves, here or not
}

func newWaitingRoom() waitingRoom {
	return waitingRoom{of: map[mail.ID]stage{}, one: map[mail.ID]struct{}{}}
}

func (w *waitingRoom) has(id mail.ID) bool { _, ok := w.of[id]; return ok }

// stops says whether a message may not go through a stage.
func (w *waitingRoom) stops(id mail.ID, s stage) bool {
	if w.frozen[s] {
		return true
	}
	_, one := w.one[id]
	return one
}

func (w *waitingRoom) put(id mail.ID, s stage) {
	w.drop(id)
	w.of[id] = s
	if w.n[s]++; w.n[s] == 1 || !w.oldest[s].IsZero() && compareID(id, w.oldest[s]) < 0 {
		w.oldest[s] = id
	}
}

func (w *waitingRoom) drop(id mail.ID) {
	s, ok := w.of[id]
	if !ok {
		return
	}
	delete(w.of, id)
	w.n[s]--
	if w.oldest[s] == id {
		w.oldest[s] = mail.ID{}
	}
}

// first is the oldest message of a stage, zero if there is none.
func (w *waitingRoom) first(s stage) mail.ID {
	if w.n[s] > 0 && w.oldest[s].IsZero() {
		for id, at := range w.of {
			if at == s && (w.oldest[s].IsZero() || compareID(id, w.oldest[s]) < 0) {
				w.oldest[s] = id
			}
		}
	}
	return w.oldest[s]
}

// claim gives a message to an administrator, so that nobody works on it; false, and
// when to ask again, if somebody does at this moment, or another one has it.
func (in *intake) claim(id mail.ID) (ok bool, again <-chan struct{}) {
	seq, known := in.known[id]
	if _, working := in.working[id]; working || known && seq == claimed {
		if in.ended == nil {
			in.ended = make(chan struct{})
		}
		return false, in.ended
	}
	if known {
		in.stale++
	}
	in.known[id] = claimed
	in.sweep()
	return true, nil
}

// unclaim ends a claim: the message is gone, or goes on from where it stood, or,
// where it is stopped, waits.
func (in *intake) unclaim(id mail.ID, s stage, gone bool) {
	in.atRest(id)
	switch {
	case gone:
		delete(in.known, id)
		in.held.drop(id)
	case in.held.stops(id, s):
		delete(in.known, id)
		in.held.put(id, s)
	default:
		in.held.drop(id)
		in.stand(item{id: id})
	}
}

// gate stops a message before a stage, and says whether it did.
func (in *intake) gate(id mail.ID, s stage) bool {
	if !in.held.stops(id, s) {
		return false
	}
	in.done(id)
	in.held.put(id, s)
	return true
}

// open lets those of a stage go that are not stopped by themselves.
func (in *intake) open(s stage) {
	in.held.frozen[s] = false
	for id, at := range in.held.of {
		if _, inHand := in.known[id]; at != s || inHand || in.held.stops(id, s) {
			continue
		}
		in.held.drop(id)
		if len(in.known) >= in.limit {
			in.spilled = true // the spool has it
			continue
		}
		in.stand(item{id: id})
	}
}

// sweep throws away the items that count no more, when they are many.
func (in *intake) sweep() {
	if in.stale < 1000 || 2*in.stale < len(in.ready)-in.head+len(in.later) {
		return
	}
	kept := in.ready[:0]
	for _, it := range in.ready[in.head:] {
		if in.current(it) {
			kept = append(kept, it)
		}
	}
	clear(in.ready[len(kept):])
	in.ready, in.head, in.stale = kept, 0, 0
	put := in.later[:0]
	for _, it := range in.later {
		if in.current(it) {
			put = append(put, it)
		}
	}
	clear(in.later[len(put):])
	in.later = put
	// What is left out of a heap leaves no heap.
	heap.Init(&in.later)
}
