package queue

import (
	"container/heap"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// maxIntake bounds the messages that wait in memory to be categorized; the rest
// is read again from the spool.
const maxIntake = 20_000

// item is a message that has no plan yet. env is nil when it must be loaded.
type item struct {
	id      mail.ID
	env     *mail.Envelope
	at      int64 // Unix ms; for items put off
	wait    int64 // for so long, ms
	attempt int
	poison  bool   // the message itself is at fault, not the directory
	crashed bool   // it crashed what processed it
	unread  int    // how often the disk failed to read it
	seq     uint64 // see intake.known
}

// claimed is the seq of no item: an administrator has the message in hand.
const claimed = 0

// intake is the first part of a message's way in memory: pre-submission, and
// awaiting directory lookup. It is pure.
type intake struct {
	limit int
	ready []item
	head  int
	later later
	// known are the items above and those at work, so that reading the spool
	// again brings in none of them twice. An item with another seq counts no more.
	known map[mail.ID]uint64
	seq   uint64
	stale int // items above that count no more
	// spilled: the spool holds submitted messages that are not known here.
	spilled bool
	working map[mail.ID]struct{}
	ended   chan struct{} // closed when one of working, or a claim, ended; nil: nobody waits
	held    waitingRoom
	reason  string // why the directory could not tell, last time
	failing int    // failed lookups in a row
}

func newIntake(limit int) *intake {
	return &intake{limit: limit, known: map[mail.ID]uint64{}, working: map[mail.ID]struct{}{}, held: newWaitingRoom()}
}

// later orders items by their time.
type later []item

func (l later) Len() int           { return len(l) }
func (l later) Less(i, j int) bool { return l[i].at < l[j].at }
func (l later) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface.
func (l *later) Push(x any) { *l = append(*l, x.(item)) }

// Pop implements heap.Interface.
func (l *later) Pop() any {
	old := *l
	x := old[len(old)-1]
	old[len(old)-1] = item{}
	*l = old[:len(old)-1]
	return x
}

// add takes in a submitted message.
func (in *intake) add(id mail.ID, env *mail.Envelope) {
	if _, ok := in.known[id]; ok || in.held.has(id) {
		return
	}
	if env != nil && in.held.stops(id, stageOf(env)) {
		in.held.put(id, stageOf(env))
		return
	}
	if len(in.known) >= in.limit {
		in.spilled = true
		return
	}
	in.stand(item{id: id, env: env})
}

// stand puts an item at the end of the line, in place of any other of its message.
func (in *intake) stand(it item) {
	in.seq++
	it.seq = in.seq
	in.known[it.id] = in.seq
	in.ready = append(in.ready, it)
}

// current says whether an item is the one of its message that counts.
func (in *intake) current(it item) bool { return in.known[it.id] == it.seq && it.seq != claimed }

// next gives the next item to work on. wait is when to ask again if there is
// none (Unix ms; 0: after the next add).
func (in *intake) next(now int64) (it item, ok bool, wait int64) {
	for len(in.later) > 0 && (in.later[0].at <= now || !in.current(in.later[0])) {
		if it = heap.Pop(&in.later).(item); in.current(it) {
			in.working[it.id] = struct{}{}
			return it, true, 0
		}
		in.stale--
	}
	for in.head < len(in.ready) {
		it, in.ready[in.head] = in.ready[in.head], item{}
		if in.head++; in.head == len(in.ready) {
			in.ready, in.head = in.ready[:0], 0
		}
		if in.current(it) {
			in.working[it.id] = struct{}{}
			return it, true, 0
		}
		in.stale--
	}
	if len(in.later) > 0 {
		wait = in.later[0].at
	}
	return item{}, false, wait
}

// more says whether next would give another item.
func (in *intake) more(now int64) bool {
	return in.head < len(in.ready) || len(in.later) > 0 && in.later[0].at <= now
}

// wantsSpool says whether to read the spool for what was left to it: there is
// room for a good number, and not before, so that it is seldom read.
func (in *intake) wantsSpool() bool { return in.spilled && len(in.known) <= in.limit/2 }

// done ends the work on an item; it is planned or gone.
func (in *intake) done(id mail.ID) {
	in.atRest(id)
	delete(in.known, id)
}

// atRest says that nobody works on a message any more.
func (in *intake) atRest(id mail.ID) {
	delete(in.working, id)
	if in.ended != nil {
		close(in.ended)
		in.ended = nil
	}
}

// resolved notes that the directory answered: what waited for it need not wait
// longer.
func (in *intake) resolved(now int64) {
	if in.failing == 0 {
		return
	}
	in.failing, in.reason = 0, ""
	for i := range in.later {
		if !in.later[i].poison {
			in.later[i].at = now
		}
	}
	heap.Init(&in.later)
}

// jump has what waits go on waiting for as long, as the clock was put forward by so much.
// What was put off since, before the jump was seen, waits for its time and not for both.
func (in *intake) jump(by, now int64) {
	for i := range in.later {
		it := &in.later[i]
		it.at = min(it.at+by, now+it.wait)
	}
	heap.Init(&in.later)
}

// hurry has the directory asked now for what waits for it; dry: it only counts that.
func (in *intake) hurry(dry bool, now int64) (n int) {
	for i := range in.later {
		if in.later[i].poison || !in.current(in.later[i]) {
			continue
		}
		if n++; !dry {
			in.later[i].at = now
		}
	}
	heap.Init(&in.later)
	return n
}

// putOff ends the work on an item for now. first is the wait after the first
// failure in a row.
func (in *intake) putOff(it item, reason string, first time.Duration, now int64) {
	in.atRest(it.id)
	it.attempt++
	wait := first
	if it.poison {
		wait = time.Hour
		switch {
		case it.crashed:
			wait = crashWait
		case it.unread > 0:
			wait = readWait(it.unread)
		}
	} else {
		in.failing++
		in.reason = reason
		for range min(it.attempt-1, 6) {
			wait *= 2
		}
		wait = min(wait, time.Minute)
	}
	it.wait = wait.Milliseconds()
	it.at = now + it.wait
	heap.Push(&in.later, it)
}

// census is how many wait for what. Messages left to the spool are not counted.
type census struct {
	fresh     int // to be looked at
	reports   int // reports of this node, to be looked at
	directory int
	poison    int // cannot be read
	// Times of the oldest; zero if there is none.
	oldestFresh, oldestReport, oldestDirectory time.Time
}

func (in *intake) counts() census {
	n := census{}
	for _, it := range in.ready[in.head:] {
		if !in.current(it) {
			continue
		}
		if it.env != nil && it.env.System {
			n.reports++
			n.oldestReport = older(n.oldestReport, it)
		} else {
			n.fresh++
			n.oldestFresh = older(n.oldestFresh, it)
		}
	}
	for _, it := range in.later {
		if !in.current(it) {
			continue
		}
		if it.poison {
			n.poison++
		} else {
			n.directory++
			n.oldestDirectory = older(n.oldestDirectory, it)
		}
	}
	return n
}

func older(t time.Time, it item) time.Time {
	if at := it.id.Time(); t.IsZero() || at.Before(t) {
		return at
	}
	return t
}

// putAside gives the messages that were put off, and whether that is because they
// cannot be read.
func (in *intake) putAside() map[mail.ID]bool {
	out := make(map[mail.ID]bool, len(in.later))
	for _, it := range in.later {
		if in.current(it) {
			out[it.id] = it.poison
		}
	}
	return out
}
