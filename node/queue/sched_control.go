package queue

import (
	"fmt"
	"maps"
	"slices"

	"github.com/postroad/postroad/node/mail"
)

// Note is why an administrator, or a rule, stopped something.
type Note struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"` // Unix ms
}

func (n Note) text() string {
	s := "frozen"
	if n.By != "" {
		s += " by " + n.By
	}
	if n.Reason != "" {
		s += ": " + n.Reason
	}
	return s
}

// control is what stands against delivery, whatever the map says.
type control struct {
	frozen   map[string]Note // queues by name; they stay though they are empty
	standing []Standing
	outbound *Note // everything that is not local delivery
	rules    map[string]int64
}

func newControl() control { return control{frozen: map[string]Note{}} }

// Restore says what stood when the process ended, before queues are added.
func (s *Scheduler) Restore(frozen map[string]Note, standing []Standing, outbound *Note) {
	maps.Copy(s.control.frozen, frozen)
	s.control.standing = standing
	s.control.outbound = outbound
}

// Freeze stops a queue: what comes in stays, and what is in flight is finished.
func (s *Scheduler) Freeze(key Key, hop mail.Hop, note Note, now int64) {
	name := key.Name()
	s.control.frozen[name] = note
	s.AddQueue(key, hop, false, now)
	s.RouteQueue(name, hop, now)
}

// Thaw lets a frozen queue go; it reports false if it was not frozen.
func (s *Scheduler) Thaw(name string, now int64) bool {
	if _, ok := s.control.frozen[name]; !ok {
		return false
	}
	delete(s.control.frozen, name)
	if q := s.queues[name]; q != nil {
		s.route(q, q.hop, now)
		s.poke(q, now) // an empty one vanishes
	}
	return true
}

// SetOutbound stops everything that is not local delivery; nil lets it go.
func (s *Scheduler) SetOutbound(stop *Note, now int64) {
	s.control.outbound = stop
	for _, q := range s.sorted() {
		s.route(q, q.hop, now)
	}
}

// SetRules says which rules hold messages, by hold, and until when (Unix ms, 0:
// until they are taken away). What others held is released.
func (s *Scheduler) SetRules(holds map[string]int64, now int64) {
	s.control.rules = maps.Clone(holds)
	for _, q := range s.sorted() {
		if RuleOf(q.key.Hold) != "" {
			s.poke(q, now)
		}
	}
}

// holds says until when a hold lasts (0: without an end) and whether it does.
func (s *Scheduler) holds(hold string) (until int64, ok bool) {
	if hold == HoldByHand {
		return 0, true
	}
	until, ok = s.control.rules[hold]
	return until, ok
}

// remote says whether mail for a hop leaves this server.
func remote(h mail.Hop) bool {
	switch h.Kind {
	case mail.HopNode, mail.HopSmartHost, mail.HopMX, mail.HopDrop:
		return true
	case mail.HopLMTP:
		return !local(h)
	}
	return false
}

// stoppedWhole says whether the queue itself is stopped, not its messages one by one.
func (s *Scheduler) stoppedWhole(q *queue) bool {
	_, frozen := s.control.frozen[q.name]
	return frozen || q.like != nil || s.control.outbound != nil && remote(q.hop)
}

// stop is why nothing leaves a queue, if an administrator wants that.
func (s *Scheduler) stop(q *queue) (Note, bool) {
	if n, ok := s.control.frozen[q.name]; ok {
		return n, true
	}
	if q.like != nil {
		return q.like.Note, true
	}
	if s.control.outbound != nil && remote(q.hop) {
		return *s.control.outbound, true
	}
	return Note{}, q.key.Hold != ""
}

func (s *Scheduler) frozen(q *queue) bool {
	_, is := s.stop(q)
	return is
}

// gate is the hop that a queue's messages are given out to: none if it is stopped.
func (s *Scheduler) gate(q *queue) mail.Hop {
	if s.frozen(q) {
		return mail.Hop{Kind: mail.HopFrozen, Name: "frozen"}
	}
	return q.hop
}

// explainFrozen says who stopped a queue.
func (s *Scheduler) explainFrozen(q *queue, i *Info) {
	i.State = Frozen
	note, _ := s.stop(q)
	i.Frozen = note
	const goesOn = "; messages still expire"
	_, one := s.control.frozen[q.name]
	i.Whole = one
	if q.like != nil {
		i.Like = q.like.Like.String()
	}
	switch rule := RuleOf(q.key.Hold); {
	case rule != "" && !s.stoppedWhole(q):
		i.WaitingFor = "the end of rule " + rule
		if until := s.control.rules[q.key.Hold]; until != 0 {
			i.NextAttempt = when(until)
			i.WaitingFor += " at " + clockTime(until)
		}
		i.WaitingFor += "; messages do not expire meanwhile"
	case !s.stoppedWhole(q):
		i.WaitingFor = "`message thaw`; messages do not expire meanwhile"
	case one:
		i.WaitingFor = "`queue thaw`: " + note.text() + goesOn
	case q.like != nil:
		i.WaitingFor = "`queue thaw " + q.like.Like.flags() + "`: " + note.text() + goesOn
	default:
		i.WaitingFor = "`node outbound enable`: " + note.text() + goesOn
	}
}

// Verb is what an order is about.
type Verb uint8

// Verbs.
const (
	VerbFreeze Verb = iota + 1
	VerbThaw
	VerbDelete
	VerbRedirect
	VerbRetry // force connections: of queues, no order for an entry

	verbClass // another size class; see sizes.go
)

// String is the word of the command.
func (v Verb) String() string {
	names := [...]string{"", "freeze", "thaw", "delete", "redirect", "retry"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprint(uint8(v))
}

// Order has an entry changed; ref is as it was read, and may be old. An entry that is in flight, or on its way to disk,
// gets the order afterwards.
func (s *Scheduler) Order(name string, ref Ref, o *Order, now int64) Receipt {
	q := s.queues[name]
	if q == nil || s.closed {
		return OrderVoid
	}
	e := q.refs[ref.ID]
	if e == nil && !q.more {
		return OrderVoid
	}
	if e == nil {
		// It is on disk only, or not at all: as long as it stands here, filling
		// leaves it alone, so that what is read now stays true.
		e = &entry{Ref: ref, queue: q, state: inFlight}
		s.keep(e)
		s.effect(Effect{Kind: EffectOrder, Queue: name, Ref: e.Ref, Hop: q.hop, Order: o})
		return OrderTaken
	}
	e.orders = append(e.orders, o)
	if e.state != waiting {
		return OrderLater
	}
	s.withdraw(e)
	s.ordered(e)
	s.poke(q, now)
	return OrderTaken
}

// Recall takes back the orders to freeze an entry by hand that are not carried out yet,
// and says how many there were; dry: how many there are.
func (s *Scheduler) Recall(name string, id mail.ID, dry bool) (n int) {
	q := s.queues[name]
	if q == nil || q.refs[id] == nil {
		return 0
	}
	e := q.refs[id]
	e.orders = slices.DeleteFunc(e.orders, func(o *Order) bool {
		back := o.Verb == VerbFreeze && o.Hold == HoldByHand
		if back {
			n++
		}
		if back = back && !dry; back {
			s.effect(Effect{Kind: EffectVoid, Order: o})
		}
		return back
	})
	return n
}

// Receipt says what became of an order that was given.
type Receipt uint8

// Receipts.
const (
	OrderVoid  Receipt = iota // the entry is not there
	OrderTaken                // an EffectOrder is out
	OrderLater                // it will be, when the entry comes back
)

// ordered has the next order carried out on an entry that came back; false if
// there is none. The entry is on disk under e.Ref then, and in flight.
func (s *Scheduler) ordered(e *entry) bool {
	if len(e.orders) == 0 || s.closed {
		return false
	}
	o := e.orders[0]
	e.orders = e.orders[1:]
	e.state, e.conn, e.alone = inFlight, 0, 0
	s.keep(e)
	s.effect(Effect{Kind: EffectOrder, Queue: e.queue.name, Ref: e.Ref, Hop: e.queue.hop, Order: o})
	return true
}

// Learn completes an entry that was ordered before it was read.
func (s *Scheduler) Learn(name string, ref Ref) {
	if e := s.inFlightEntry(name, ref.ID); e != nil {
		e.Ref, e.queue.oldest = ref, -1
	}
}

// Moved says that an entry is on disk in another queue, where its name was
// reserved; rest, if any, is what stayed of it. Orders go with both.
func (s *Scheduler) Moved(from, to string, next Ref, rest *Ref, now int64) {
	if e := s.inFlightEntry(from, next.ID); e != nil {
		if q := s.queues[to]; q != nil && q.refs[next.ID] != nil {
			q.refs[next.ID].orders = append(q.refs[next.ID].orders, e.orders...)
		}
		e.queue.leave(e.Ref)
		if rest == nil {
			e.orders = nil
			s.drop(e)
		} else {
			e.Ref = *rest
			s.admit(e, now)
		}
		s.poke(e.queue, now)
	}
	s.Commit(to, next, now)
}
