package queue

import (
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// world is a disk and a network around a scheduler, for property tests: the
// naive truth that the scheduler's bookkeeping is compared with.
type world struct {
	t   *rapid.T
	s   *Scheduler
	now int64
	n   int

	hops map[int]mail.Hop // by destination
	disk map[string]map[mail.ID]Ref

	reserved map[string][]Ref
	fills    []Effect
	conns    []ConnID
	hung     []ConnID // told to hang up
	broken   []ConnID // told to break
	idle     map[ConnID]bool
	flight   []Taken // with connections
	owner    map[string]ConnID
	overdue  []Effect
	gone     map[string]bool // "queue id" that left for good
	next     map[string]int64
	hurried  map[string]bool // deferred messages that an administrator wants tried now

	asked    map[string]bool // queues whose mail somebody asked for, until the asking is over
	orders   []Effect        // EffectOrder and EffectRelease that wait to be carried out
	frozen   map[string]bool
	outbound bool
	like     bool
	ending   bool // nobody freezes any more
	rule     bool // the rule that holds is in force
	// copies counts the entries that were made, but for those that came of
	// another's move, and ended those that left for good: delivered, expired or
	// deleted.
	copies, ended int
	// given has the orders, and how often each was carried out or came to nothing:
	// twice if its entry parted meanwhile.
	given map[*Order]int
}

const destinations = 4

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: 1_000_000, hops: map[int]mail.Hop{}, disk: map[string]map[mail.ID]Ref{}, reserved: map[string][]Ref{},
		idle: map[ConnID]bool{}, owner: map[string]ConnID{}, gone: map[string]bool{}, next: map[string]int64{}, hurried: map[string]bool{},
		asked: map[string]bool{}, frozen: map[string]bool{}, given: map[*Order]int{},
	}
	w.s = NewScheduler(alone(Limits{Window: 4, Connections: 5, PerLink: 3, PerConnection: 1, Held: rapid.SampledFrom([]int{8, 16, 1000}).Draw(t, "held")}, testClock))
	w.s.least = rapid.IntRange(1, 4).Draw(t, "least")
	for d := range destinations {
		w.hops[d] = mail.Hop{Kind: mail.HopMX, Domain: "link" + strconv.Itoa(d%2)}
	}
	return w
}

func keyFor(d int) Key {
	return KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "d" + strconv.Itoa(d)}, mail.Class{Priority: mail.Priority(d%3 - 1)}, nil)
}

func (w *world) hopOf(k Key) mail.Hop {
	d, _ := strconv.Atoi(k.Destination.Domain[1:])
	return w.hops[d]
}

func entryName(queue string, id mail.ID) string { return queue + " " + id.String() }

// effects performs what the scheduler asked for, or leaves it for later steps.
func (w *world) effects() {
	for _, e := range w.s.Effects() {
		switch e.Kind {
		case EffectDial:
			if e.Hop.Kind == mail.HopUnreachable || e.Hop.Kind == mail.HopFrozen {
				w.t.Fatalf("dialled an unreachable or frozen hop")
			}
			if next := w.next[e.Hop.Key()]; w.now < next {
				w.t.Fatalf("dialled %s at %d, before its retry at %d", e.Hop.Key(), w.now, next)
			}
			w.conns = append(w.conns, e.Conn)
			if len(w.conns) > 5 {
				w.t.Fatalf("%d connections, limit 5", len(w.conns))
			}
		case EffectWake, EffectHangUp:
			if !w.idle[e.Conn] {
				w.t.Fatalf("woke connection %d, which is not idle", e.Conn)
			}
			delete(w.idle, e.Conn)
			if e.Kind == EffectHangUp {
				w.hung = append(w.hung, e.Conn)
			}
		case EffectBreak:
			if !slices.Contains(w.conns, e.Conn) || slices.Contains(w.broken, e.Conn) || w.idle[e.Conn] {
				w.t.Fatalf("connection %d is broken, but is not there, was broken before, or sleeps", e.Conn)
			}
			w.broken = append(w.broken, e.Conn)
		case EffectFill:
			w.fills = append(w.fills, e)
		case EffectDelay, EffectExpire:
			w.giveOut(Taken{e.Queue, e.Ref})
			w.overdue = append(w.overdue, e)
			if keyNamed(w.t, e.Queue).Hold != "" {
				w.t.Fatalf("%s is overdue, though its time stands still", e.Ref.ID)
			}
		case EffectRelease:
			w.giveOut(Taken{e.Queue, e.Ref})
			w.orders = append(w.orders, e)
		case EffectOrder:
			w.orders = append(w.orders, e)
		case EffectVoid:
			w.given[e.Order]++
		}
	}
}

// giveOut checks that an entry may leave the scheduler: it is on disk, as the
// scheduler believes, and nobody else has it.
func (w *world) giveOut(t Taken) {
	name := entryName(t.Queue, t.Ref.ID)
	if w.gone[name] {
		w.t.Fatalf("%s was given out after it had gone", name)
	}
	if _, twice := w.owner[name]; twice {
		w.t.Fatalf("%s is in flight twice", name)
	}
	ref, ok := w.disk[t.Queue][t.Ref.ID]
	if !ok || ref.Due != t.Ref.Due {
		w.t.Fatalf("%s was given out with due %d, on disk is %+v", name, t.Ref.Due, ref)
	}
	w.owner[name] = 0
}

func (w *world) reserve() {
	w.n++
	id := mail.NewID(time.UnixMilli(w.now), [10]byte{0, 0, 0, 0, 0, 0, byte(w.n >> 16), byte(w.n >> 8), byte(w.n)})
	first := rapid.IntRange(0, destinations-1).Draw(w.t, "destination")
	dests := []int{first}
	if rapid.Bool().Draw(w.t, "two queues") {
		dests = append(dests, (first+1+rapid.IntRange(0, destinations-2).Draw(w.t, "second"))%destinations)
	}
	for _, d := range dests {
		k := keyFor(d)
		if !w.s.Has(k.Name()) {
			w.s.AddQueue(k, w.hopOf(k), false, w.now)
		}
		if !w.s.Reserve(k.Name(), id) {
			w.t.Fatalf("the reservation of a new message was refused")
		}
		ref := Ref{ID: id, Due: w.now, Created: w.now, Multi: len(dests) > 1}
		w.reserved[k.Name()] = append(w.reserved[k.Name()], ref)
		w.copies++
	}
	if rapid.Bool().Draw(w.t, "written at once") {
		w.write(id)
	}
	if rapid.IntRange(0, 9).Draw(w.t, "confirmed") > 1 {
		w.confirm()
	}
}

// write puts the reserved entries on disk (all: "") before the scheduler hears of it.
func (w *world) write(id mail.ID) {
	for name, refs := range w.reserved {
		for _, r := range refs {
			if w.disk[name] == nil {
				w.disk[name] = map[mail.ID]Ref{}
			}
			if r.ID == id || id.IsZero() {
				w.disk[name][r.ID] = r
			}
		}
	}
}

func (w *world) confirm() {
	w.write(mail.ID{})
	for d := range destinations {
		name := keyFor(d).Name()
		for _, r := range w.reserved[name] {
			w.s.Commit(name, r, w.now)
		}
		delete(w.reserved, name)
	}
	w.effects()
}

// read answers a fill with what is on disk now; the answer may be told later.
func (w *world) read(e Effect) (refs []Ref, end bool) {
	for _, r := range w.disk[e.Queue] {
		if r.position().compare(e.After) > 0 {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return a.position().compare(b.position()) })
	if len(refs) > e.Limit {
		return refs[:e.Limit], false
	}
	return refs, len(refs) < e.Limit
}

func (w *world) fill() {
	if len(w.fills) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.fills)-1).Draw(w.t, "fill")
	e := w.fills[i]
	w.fills = slices.Delete(w.fills, i, i+1)
	if rapid.IntRange(0, 9).Draw(w.t, "unreadable") == 0 && !w.s.Stale(e) {
		w.s.FillFailed(e.Queue, w.now, 1000)
		w.effects()
		return
	}
	refs, end := w.read(e)
	// Other things happen between reading and telling.
	for range rapid.IntRange(0, 2).Draw(w.t, "meanwhile") {
		w.reserve()
		w.settle()
	}
	if !w.s.Stale(e) {
		w.s.Filled(e.Queue, refs, end, w.now)
	}
	w.effects()
}

// rebuild is what the watchdog does with a queue that it does not trust.
func (w *world) rebuild() {
	if qs := w.s.sorted(); len(qs) > 0 {
		w.s.rebuild(rapid.SampledFrom(qs).Draw(w.t, "rebuilt"), w.now)
		w.effects()
	}
}

func (w *world) take() {
	if len(w.conns) == 0 {
		return
	}
	c := rapid.SampledFrom(w.conns).Draw(w.t, "connection")
	if w.idle[c] {
		return
	}
	taken := w.s.Take(c, w.now)
	if len(taken) > 0 && w.s.conns[c].doubt != "" {
		w.t.Fatalf("mail for connection %d, whose host is gone", c)
	}
	for _, t := range taken {
		w.giveOut(t)
		w.mayGo(t.Queue)
		if w.hopOf(keyNamed(w.t, t.Queue)).Options.Remote && !w.asked[t.Queue] {
			w.t.Fatalf("%s was given out, and nobody asked for it", t.Queue)
		}
		w.owner[entryName(t.Queue, t.Ref.ID)] = c
		w.flight = append(w.flight, t)
		if t.Ref.ID != taken[0].Ref.ID {
			w.t.Fatalf("one transaction has two messages")
		}
		if t.Ref.Due > w.now && !w.hurried[entryName(t.Queue, t.Ref.ID)] {
			w.t.Fatalf("given out %d ms before it is due", t.Ref.Due-w.now)
		}
	}
	if taken == nil && w.s.Idle(c, w.now) == RestSleep {
		w.idle[c] = true
	}
	w.effects()
}

// settle ends one entry in flight in any of the ways there are.
func (w *world) settle() {
	if len(w.flight) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flight)-1).Draw(w.t, "in flight")
	t := w.flight[i]
	w.flight = slices.Delete(w.flight, i, i+1)
	w.end(t)
}

func (w *world) end(t Taken) {
	name := entryName(t.Queue, t.Ref.ID)
	c := w.owner[name]
	delete(w.owner, name)
	switch rapid.IntRange(0, 3).Draw(w.t, "ending") {
	case 0:
		if w.s.Return(t.Queue, t.Ref.ID, true, w.now) {
			break
		}
		w.requeue(t)
	case 1:
		w.requeue(t)
	default:
		w.s.Worked(c, w.now)
		w.leave(t.Queue, t.Ref.ID)
		// Sometimes others run between the commit and the news of it.
		w.s.Gone(t.Queue, t.Ref.ID, w.now)
	}
	w.effects()
}

func (w *world) requeue(t Taken) {
	ref := t.Ref
	ref.Attempts++
	delete(w.hurried, entryName(t.Queue, ref.ID))
	ref.Due = w.now + rapid.Int64Range(0, 100_000).Draw(w.t, "deferred")
	w.disk[t.Queue][ref.ID] = ref
	w.s.Requeued(t.Queue, ref, "deferred", w.now)
}

func (w *world) settleOverdue() {
	for _, e := range w.overdue {
		name := entryName(e.Queue, e.Ref.ID)
		delete(w.owner, name)
		switch {
		case rapid.IntRange(0, 4).Draw(w.t, "no report") == 0:
			w.s.PutOff(e.Queue, e.Ref.ID, "", w.now+60_000, w.now)
		case e.Kind == EffectDelay:
			if e.Ref.Notified {
				w.t.Fatalf("%s: a second delay notice", name)
			}
			ref := e.Ref
			ref.Notified = true
			w.disk[e.Queue][ref.ID] = ref
			w.s.Requeued(e.Queue, ref, "", w.now)
		default:
			if w.now < e.Ref.Created+testClock.Expiration.Milliseconds() {
				w.t.Fatalf("%s expired early", name)
			}
			w.leave(e.Queue, e.Ref.ID)
			w.s.Gone(e.Queue, e.Ref.ID, w.now)
		}
	}
	w.overdue = nil
	w.effects()
}

func (w *world) close(fails bool) {
	if len(w.conns) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.conns)-1).Draw(w.t, "closing")
	w.closeConn(i, fails)
}

func (w *world) closeConn(i int, fails bool) {
	c := w.conns[i]
	w.conns = slices.Delete(w.conns, i, i+1)
	if w.idle[c] {
		w.s.Unidle(c)
		delete(w.idle, c)
	}
	var end Ending
	if fails {
		end.Err = "lost"
	}
	l := w.s.conns[c].link
	before := l.next
	w.s.Closed(c, end, w.now)
	if l.next != before && l.next <= w.now {
		w.t.Fatalf("a failed link retries at %d, now is %d", l.next, w.now)
	}
	if l.next < before && before > w.now {
		w.t.Fatalf("the retry time of %s went back from %d to %d", l.key, before, l.next)
	}
	if l.asked && len(l.conns) == 0 {
		if len(l.queues) > 0 {
			w.t.Fatalf("the asking is over, and %d queues stay on %s", len(l.queues), l.key)
		}
		for name := range w.asked {
			if q := w.s.queues[name]; q == nil || q.asked == "" {
				delete(w.asked, name)
			}
		}
	}
	if l.next > w.now && w.s.links[l.key] == l {
		w.next[l.key] = l.next
	} else {
		delete(w.next, l.key)
	}
	w.effects()
}

func (w *world) reroute() {
	d := rapid.IntRange(0, destinations-1).Draw(w.t, "rerouted")
	switch rapid.IntRange(0, 4).Draw(w.t, "way") {
	case 0:
		w.hops[d] = mail.Hop{Kind: mail.HopUnreachable}
	case 1:
		w.hops[d] = mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"branch"}, Options: mail.HopOptions{Remote: true}}
	default:
		w.hops[d] = mail.Hop{Kind: mail.HopMX, Domain: "link" + strconv.Itoa(rapid.IntRange(0, 2).Draw(w.t, "link"))}
	}
	before := map[string][]mail.ID{}
	for name, q := range w.s.queues {
		before[name] = order(q)
	}
	w.forgetClocks()
	w.s.Reroute(w.hopOf, w.now)
	for name, ids := range before {
		if q := w.s.queues[name]; q == nil && len(ids) > 0 || q != nil && !slices.Equal(order(q), ids) {
			w.t.Fatalf("queue %s lost its order when it moved", name)
		}
	}
	w.effects()
}

// ask has the other side ask for the mail of one destination.
func (w *world) ask() {
	d := rapid.IntRange(0, destinations-1).Draw(w.t, "asked for")
	w.forgetClocks()
	for _, name := range w.s.Trigger(func(k Key, h mail.Hop) bool { return h.Options.Remote && k.Destination == keyFor(d).Destination }, w.now) {
		w.asked[name] = true
		for id := range w.disk[name] {
			w.hurried[entryName(name, id)] = true
		}
	}
	w.effects()
}

// doubt has the map say that the host of one link, or of none, is gone.
func (w *world) doubt() {
	gone := mail.Hop{Kind: mail.HopMX, Domain: "link" + strconv.Itoa(rapid.IntRange(0, 3).Draw(w.t, "gone"))}.Key()
	w.s.Doubt(func(h mail.Hop) string {
		if h.Key() == gone {
			return "gone"
		}
		return ""
	}, w.now)
	w.effects()
}

// forgetClocks: the map, or an administrator, ended the waits.
func (w *world) forgetClocks() { clear(w.next) }

func order(q *queue) []mail.ID {
	var ids []mail.ID
	for _, e := range q.win.all() {
		ids = append(ids, e.ID)
	}
	return ids
}

func (w *world) advance(ms int64) {
	w.now += ms
	w.s.Tick(w.now)
	w.effects()
	if next := w.s.Next(); next != 0 && next <= w.now {
		w.t.Fatalf("Tick at %d left an alarm at %d", w.now, next)
	}
}
