package queue

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// What an administrator does in the world of the property tests.

const worldRule = ruleHold + "r"

func keyNamed(t *rapid.T, name string) Key {
	k, err := ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// leave says that an entry left for good.
func (w *world) leave(queue string, id mail.ID) {
	if _, there := w.disk[queue][id]; !there {
		w.t.Fatalf("%s left twice", entryName(queue, id))
	}
	delete(w.disk[queue], id)
	w.gone[entryName(queue, id)] = true
	w.ended++
}

// mayGo fails if what was given to a connection is stopped.
func (w *world) mayGo(queue string) {
	switch k := keyNamed(w.t, queue); {
	case w.like && keyNamed(w.t, queue).Class.Priority == mail.PriorityHigh:
		w.t.Fatalf("given out of %s, which is like those that are frozen", queue)
	case w.frozen[queue]:
		w.t.Fatalf("given out of the frozen queue %s", queue)
	case k.Hold != "":
		w.t.Fatalf("given out of the hold %s", queue)
	case w.outbound:
		w.t.Fatalf("given out of %s, though outbound mail is disabled", queue)
	}
}

// pick draws a queue of those on disk, or one that may be empty.
func (w *world) pick() string {
	names := []string{keyFor(0).Name()}
	for name := range w.disk {
		names = append(names, name)
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(w.t, "queue")
}

func (w *world) freeze() {
	name := w.pick()
	k := keyNamed(w.t, name)
	w.frozen[name] = true
	w.s.Freeze(k, w.hopOf(k), Note{By: "test"}, w.now)
	w.effects()
}

func (w *world) thaw() {
	if len(w.frozen) == 0 {
		return
	}
	name := slices.Min(slices.Collect(maps.Keys(w.frozen)))
	delete(w.frozen, name)
	w.forgetClocks()
	if !w.s.Thaw(name, w.now) {
		w.t.Fatalf("queue %s was not frozen", name)
	}
	w.effects()
}

func (w *world) setOutbound() {
	w.outbound = !w.outbound
	w.forgetClocks()
	var stop *Note
	if w.outbound {
		stop = &Note{By: "test"}
	}
	w.s.SetOutbound(stop, w.now)
	w.effects()
}

// setLike stops the queues of high priority, those to come included.
func (w *world) setLike() {
	w.like = !w.like
	w.forgetClocks()
	var list []Standing
	if w.like {
		list = []Standing{{means: func(k Key, _ mail.Hop) bool { return k.Class.Priority == mail.PriorityHigh }}}
	}
	w.s.SetStanding(list, w.now)
	w.effects()
}

func (w *world) setRule() {
	w.rule = !w.rule
	holds := map[string]int64{}
	if w.rule {
		holds[worldRule] = w.now + rapid.SampledFrom([]int64{-w.now, 50_000, 5_000_000}).Draw(w.t, "until")
	}
	w.s.SetRules(holds, w.now)
	w.effects()
}

// order gives an order on an entry of the disk, or one that is there no more.
func (w *world) order() {
	name := w.pick()
	ids := slices.SortedFunc(maps.Keys(w.disk[name]), compareID)
	ids = append(ids, mail.ID{1})
	id := rapid.SampledFrom(ids).Draw(w.t, "message")
	o := &Order{
		Verb: rapid.SampledFrom([]Verb{VerbFreeze, VerbThaw, VerbDelete, VerbRedirect}).Draw(w.t, "verb"),
		Hold: rapid.SampledFrom([]string{HoldByHand, worldRule}).Draw(w.t, "hold"),
	}
	if rapid.Bool().Draw(w.t, "host") {
		o.To.Host = "other.example:25"
	}
	ref := w.disk[name][id]
	ref.ID = id
	w.given[o] = 0
	if w.s.Order(name, ref, o, w.now) == OrderVoid {
		w.given[o]++
	}
	w.effects()
}

// carryOut does what a runner does for EffectOrder and EffectRelease.
func (w *world) carryOut(i int) {
	e := w.orders[i]
	w.orders = slices.Delete(w.orders, i, i+1)
	from := keyNamed(w.t, e.Queue)
	to := from
	if e.Order == nil {
		delete(w.owner, entryName(e.Queue, e.Ref.ID))
		to.Hold = ""
	} else {
		w.given[e.Order]++
		if !w.ending || e.Order.Verb != VerbFreeze {
			to = e.Order.to(from)
		}
	}
	name := entryName(e.Queue, e.Ref.ID)
	if _, busy := w.owner[name]; busy {
		w.t.Fatalf("an order for %s, which is in flight", name)
	}
	ref, there := w.disk[e.Queue][e.Ref.ID]
	switch {
	case !there:
		w.s.Gone(e.Queue, e.Ref.ID, w.now)
	case e.Order != nil && e.Order.Verb == VerbDelete:
		w.leave(e.Queue, ref.ID)
		w.s.Gone(e.Queue, ref.ID, w.now)
	case rapid.IntRange(0, 5).Draw(w.t, "not now") == 0:
		w.s.PutOff(e.Queue, ref.ID, "", w.now+60_000, w.now)
	case to.Name() == from.Name():
		w.s.Learn(e.Queue, ref)
		w.s.Requeued(e.Queue, ref, "", w.now)
	default:
		w.s.Learn(e.Queue, ref)
		w.move(e.Queue, to, ref)
	}
	w.effects()
}

// move puts an entry into another queue, sometimes only a part of it.
func (w *world) move(from string, to Key, ref Ref) {
	for {
		w.s.AddQueue(to, w.hopOf(to), false, w.now)
		if w.s.Reserve(to.Name(), ref.ID) {
			if _, there := w.disk[to.Name()][ref.ID]; !there {
				break
			}
			w.s.Abandon(to.Name(), ref.ID, w.now)
		}
		to.Part++
	}
	next := ref
	if keyNamed(w.t, from).Hold != "" && to.Hold == "" {
		next.Created = w.now
	}
	var rest *Ref
	delete(w.disk[from], ref.ID)
	if rapid.Bool().Draw(w.t, "parts") {
		next.Multi = true
		left := ref
		left.Multi = true
		rest = &left
		w.disk[from][ref.ID] = left
		w.copies++
	}
	if w.disk[to.Name()] == nil {
		w.disk[to.Name()] = map[mail.ID]Ref{}
	}
	w.disk[to.Name()][ref.ID] = next
	delete(w.gone, entryName(to.Name(), ref.ID))
	w.s.Moved(from, to.Name(), next, rest, w.now)
}

// letGo takes away everything that stops mail.
func (w *world) letGo() {
	w.ending = true
	for len(w.frozen) > 0 {
		w.thaw()
	}
	if w.outbound {
		w.setOutbound()
	}
	if w.like {
		w.setLike()
	}
	for len(w.orders) > 0 {
		w.carryOut(0)
	}
	w.s.SetRules(nil, w.now)
	w.effects()
	// Those that were frozen one by one, wherever they are.
	for _, name := range slices.Sorted(maps.Keys(w.disk)) {
		if keyNamed(w.t, name).Hold != HoldByHand {
			continue
		}
		for _, id := range slices.SortedFunc(maps.Keys(w.disk[name]), compareID) {
			if w.s.Order(name, w.disk[name][id], &Order{Verb: VerbDelete}, w.now) == OrderVoid {
				w.t.Fatalf("%s is on disk, and an order does not find it", entryName(name, id))
			}
		}
	}
	w.effects()
}
