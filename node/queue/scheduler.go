package queue

import (
	"maps"
	"slices"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Scheduler decides which message goes over which connection and when. It is
// pure: all times come in as Unix milliseconds, and what is to be done comes out
// of [Scheduler.Effects]. It is not safe for use by several goroutines.
type Scheduler struct {
	senders Senders
	limits  Limits // of the whole node: those of memory, and what is like them
	by      map[mail.GUID]*sender
	node    bound  // of all connections; see bound.go
	tickets uint64 // that were given to links in line
	inLine  int    // links
	jumps   jumps
	began   int64 // of what was there before nothing is given up for its age until startGrace is over (Unix ms)

	queues map[string]*queue
	links  map[string]*link
	conns  map[ConnID]*conn
	// multi has the entries in memory of messages that are in several queues, so
	// that one transaction takes along all recipients behind one link.
	multi   map[mail.ID][]*entry
	timers  timers
	control control
	held    int // entries in memory, of all queues
	least   int // leastWindow
	nextID  ConnID
	closed  bool
	out     []Effect
}

// NewScheduler builds a scheduler without queues.
func NewScheduler(all Senders) *Scheduler {
	all = all.fill()
	return &Scheduler{
		senders: all, limits: all.Default.Limits, by: map[mail.GUID]*sender{}, node: bound{limit: all.Connections}, least: leastWindow,
		queues: map[string]*queue{}, links: map[string]*link{}, conns: map[ConnID]*conn{},
		multi: map[mail.ID][]*entry{}, control: newControl(),
	}
}

// Effects gives what is to be done since the last call. The slice is the caller's.
func (s *Scheduler) Effects() []Effect {
	out := s.out
	s.out = nil
	return out
}

func (s *Scheduler) effect(e Effect) { s.out = append(s.out, e) }

// Next is when Tick must be called, Unix ms; 0: there is nothing to wait for.
func (s *Scheduler) Next() int64 {
	if len(s.timers) == 0 {
		return 0
	}
	return s.timers[0].at
}

// Tick does what the time has come for.
func (s *Scheduler) Tick(now int64) {
	for tm := s.timers.pop(now); tm != nil; tm = s.timers.pop(now) {
		switch {
		case tm.queue != nil:
			s.sweep(tm.queue, now)
			s.poke(tm.queue, now)
		case tm.conn != nil:
			s.judge(tm.conn, now)
		default:
			s.kick(tm.link, now)
			s.forget(tm.link, now)
		}
	}
}

// Reroute asks again for the hop of every queue. Queues whose hop is another one
// move with all they hold, in their order; what is in flight stays where it is
// and comes back to its queue. No message is touched. It returns how many moved.
func (s *Scheduler) Reroute(hop func(Key) mail.Hop, now int64) int {
	moved := 0
	for _, q := range s.sorted() {
		if s.route(q, hop(q.key), now) {
			moved++
		}
	}
	return moved
}

// RouteQueue does for one queue what Reroute does for all.
func (s *Scheduler) RouteQueue(name string, hop mail.Hop, now int64) {
	if q := s.queues[name]; q != nil {
		s.route(q, hop, now)
	}
}

func (s *Scheduler) route(q *queue, hop mail.Hop, now int64) bool {
	before := s.sender(q.hop)
	q.hop = hop
	if by := s.sender(hop); by.Clock != before.Clock {
		s.reclock(q, before.Clock, now)
	}
	s.liken(q)
	hop = s.gate(q)
	if q.link.key == q.linkKey(hop) {
		was := q.link.shut(now)
		q.link.hop = hop
		if was || q.link.shut(now) {
			s.poke(q, now)
		}
		return false
	}
	old := q.link
	s.leaveRing(q)
	delete(old.queues, q)
	q.link = s.link(q)
	q.link.queues[q] = struct{}{}
	// The map leads here now; what the link failed for before is old news.
	q.link.next = 0
	s.timers.set(&q.link.timer, 0)
	s.poke(q, now)
	s.forget(old, now)
	return true
}

// Retry makes the links of queues (nil: of all) try now, whatever their clocks say, and
// gives out what was deferred. Links of queues that are named need not wait for their
// schedule, or to be asked. It returns how many links waited, and the queues that did;
// dry: it only says that.
func (s *Scheduler) Retry(names []string, dry bool, now int64) (links int, waited []string) {
	seen, named := map[*link]bool{}, map[string]bool{}
	for _, name := range names {
		named[name] = true
	}
	var list []*queue
	for _, q := range s.sorted() {
		// What senders or administrators asked for is no obstacle to be overcome.
		if names != nil && !named[q.name] || names == nil && q.key.Held || s.frozen(q) {
			continue
		}
		list = append(list, q)
		l := q.link
		waits := l.next > now || names != nil && l.shut(now)
		if waits && !seen[l] {
			seen[l] = true
			links++
		}
		if waits || q.win.len() > 0 && slices.ContainsFunc(q.win.all(), func(e *entry) bool { return e.at > now }) {
			waited = append(waited, q.name)
		}
	}
	if dry {
		return links, waited
	}
	for _, q := range list {
		if names != nil {
			q.link.forced = now + forcedFor
		}
		if q.link.next > now {
			q.link.next = 0
			s.timers.set(&q.link.timer, 0)
		}
		s.hurry(q, now)
	}
	for _, q := range list {
		s.poke(q, now)
	}
	return links, waited
}

// sorted gives the queues by name: equal inputs have equal effects.
func (s *Scheduler) sorted() []*queue {
	out := slices.Collect(maps.Values(s.queues))
	slices.SortFunc(out, func(a, b *queue) int { return strings.Compare(a.name, b.name) })
	return out
}

// Close stops giving out messages; idle connections are told to hang up.
func (s *Scheduler) Close() {
	s.closed = true
	for _, k := range slices.Sorted(maps.Keys(s.links)) {
		l := s.links[k]
		for len(l.idle) > 0 {
			s.effect(Effect{Kind: EffectHangUp, Conn: l.popIdle().id})
		}
	}
}

// InFlight is the number of entries that are with connections or being settled.
func (s *Scheduler) InFlight() int {
	n := 0
	for _, q := range s.queues {
		for _, e := range q.refs {
			if e.state == inFlight {
				n++
			}
		}
	}
	return n
}
