package queue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// shared is a network whose hosts take time, around a scheduler with few connections:
// the naive truth about who has some and who waits.
type shared struct {
	t   *rapid.T
	s   *Scheduler
	now int64
	n   int

	limits Senders
	hosts  []*sharedHost
	open   map[ConnID]*sharedHost
	idle   map[ConnID]bool
	dials  int
	events []sharedEvent
}

// sharedHost is the other end of a link.
type sharedHost struct {
	key     Key
	hop     mail.Hop
	endless bool // there is always more for it
	away    bool // it refuses connections
	waits   int  // messages that nobody has
	retry   int64
	since   int64 // it could send since then, and has no connection; 0: it has one, or cannot
}

type sharedEvent struct {
	at int64
	do func()
}

const (
	slowestConnect = 1000
	slowestMessage = 3000
)

func (w *shared) after(ms int64, do func()) {
	w.events = append(w.events, sharedEvent{w.now + ms, do})
}

func (w *shared) mail(h *sharedHost) {
	w.n++
	h.waits++
	id := mail.ID{byte(w.n >> 16), byte(w.n >> 8), byte(w.n)}
	w.s.AddQueue(h.key, h.hop, false, w.now)
	w.s.Reserve(h.key.Name(), id)
	w.s.Commit(h.key.Name(), Ref{ID: id, Due: w.now, Created: w.now}, w.now)
}

// counts are the connections as somebody sees them who only watches dials and ends.
func (w *shared) counts(h *sharedHost) (node, by, domain int) {
	for _, o := range w.open {
		if o.hop.Kind == mail.HopLocal {
			continue
		}
		node++
		if o.hop.VirtualServer == h.hop.VirtualServer {
			by++
			if o.hop.Kind == mail.HopMX && o.hop.Domain == h.hop.Domain {
				domain++
			}
		}
	}
	return node, by, domain
}

func (w *shared) perform() {
	for _, e := range w.s.Effects() {
		switch e.Kind {
		case EffectDial:
			w.dial(e)
		case EffectWake:
			delete(w.idle, e.Conn)
			w.after(0, func() { w.take(e.Conn) })
		case EffectHangUp:
			if !w.idle[e.Conn] {
				w.t.Fatalf("connection %d does not sleep and is told to hang up", e.Conn)
			}
			delete(w.idle, e.Conn)
			w.after(0, func() { w.close(e.Conn, Ending{}) })
		}
	}
}

func (w *shared) dial(e Effect) {
	h := w.hosts[slices.IndexFunc(w.hosts, func(h *sharedHost) bool { return h.hop.Key() == e.Hop.Key() })]
	w.open[e.Conn] = h
	w.dials++
	node, by, domain := w.counts(h)
	terms := w.limits.of(h.hop.VirtualServer).Limits
	if h.hop.Kind != mail.HopLocal && (node > w.limits.Connections && w.limits.Connections > 0 || by > terms.Connections || h.hop.Kind == mail.HopMX && domain > terms.PerDomain) {
		w.t.Fatalf("a dial to %s makes %d of %d, %d of %d of its virtual server, %d of %d to its domain",
			h.hop.Key(), node, w.limits.Connections, by, terms.Connections, domain, terms.PerDomain)
	}
	w.after(rapid.Int64Range(1, slowestConnect).Draw(w.t, "connect"), func() {
		if h.away {
			w.close(e.Conn, Ending{Err: "away"})
			return
		}
		w.take(e.Conn)
	})
}

func (w *shared) take(c ConnID) {
	h := w.open[c]
	taken := w.s.Take(c, w.now)
	if taken == nil {
		switch w.s.Idle(c, w.now) {
		case RestSleep:
			w.idle[c] = true
			w.after(5000, func() {
				if w.idle[c] {
					delete(w.idle, c)
					w.s.Unidle(c)
					w.close(c, Ending{})
				}
			})
		case RestClose:
			w.close(c, Ending{})
		case RestAgain:
			w.after(0, func() { w.take(c) })
		}
		return
	}
	h.waits -= len(taken)
	w.after(rapid.Int64Range(1, slowestMessage).Draw(w.t, "message"), func() {
		w.s.Worked(c, w.now)
		w.s.Gone(taken[0].Queue, taken[0].Ref.ID, w.now)
		for h.endless && h.waits < 3 {
			w.mail(h)
		}
		w.take(c)
	})
}

func (w *shared) close(c ConnID, end Ending) {
	h := w.open[c]
	delete(w.open, c)
	w.s.Closed(c, end, w.now)
	h.retry = 0
	if l := w.s.links[h.hop.Key()]; l != nil {
		h.retry = l.next
	}
}

// step lets the next thing happen.
func (w *shared) step() bool {
	next := w.s.Next()
	i := -1
	for j, e := range w.events {
		if i < 0 || cmp.Or(cmp.Compare(e.at, w.events[i].at), cmp.Compare(j, i)) < 0 {
			i = j
		}
	}
	switch {
	case next != 0 && (i < 0 || next <= w.events[i].at):
		w.now = max(w.now, next)
		w.s.Tick(w.now)
	case i >= 0:
		e := w.events[i]
		w.events = slices.Delete(w.events, i, i+1)
		w.now = max(w.now, e.at)
		e.do()
	default:
		return false
	}
	w.perform()
	w.check()
	return true
}

func (w *shared) check() {
	has := map[*sharedHost]bool{}
	for _, h := range w.open {
		has[h] = true
	}
	longest := int64(len(w.hosts)+1) * (turn + slowestConnect + slowestMessage)
	for _, h := range w.hosts {
		if has[h] || h.waits == 0 || h.retry > w.now {
			h.since = 0
			continue
		}
		node, by, domain := w.counts(h)
		terms := w.limits.of(h.hop.VirtualServer).Limits
		if (w.limits.Connections == 0 || node < w.limits.Connections) && by < terms.Connections && (h.hop.Kind != mail.HopMX || domain < terms.PerDomain) {
			w.t.Fatalf("at %d %s waits, and there is room for it", w.now, h.hop.Key())
		}
		switch {
		case h.since == 0:
			h.since = w.now
		case w.now-h.since > longest:
			w.t.Fatalf("%s has waited for a connection for %d s", h.hop.Key(), (w.now-h.since)/1000)
		}
		if why := w.s.info(w.s.queues[h.key.Name()], w.now).WaitingFor; why == "" {
			w.t.Fatalf("%s waits, and does not say why", h.hop.Key())
		}
	}
}

func drawShared(t *rapid.T) *shared {
	w := &shared{t: t, now: 1_000_000, open: map[ConnID]*sharedHost{}, idle: map[ConnID]bool{}}
	w.limits = drawBounds(t)
	w.s = NewScheduler(w.limits)
	for i := range rapid.IntRange(1, 9).Draw(t, "links") {
		k := KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: fmt.Sprint(i)}, mail.Class{}, nil)
		h := &sharedHost{key: k, endless: rapid.IntRange(0, 2).Draw(t, "endless") > 0, away: rapid.IntRange(0, 5).Draw(t, "away") == 0}
		h.hop = mail.Hop{Kind: mail.HopMX, Domain: fmt.Sprint("d", rapid.IntRange(0, 3).Draw(t, "domain")), Connector: mail.GUID{byte(i)}}
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			h.hop = mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"relay"}, Connector: mail.GUID{byte(i)}}
		case 1:
			h.hop = mail.Hop{Kind: mail.HopNode, Server: mail.GUID{byte(i)}}
		case 2:
			if i == 0 {
				h.hop = mail.Hop{Kind: mail.HopLocal}
			}
		}
		if rapid.Bool().Draw(t, "other virtual server") {
			h.hop.VirtualServer = hasty
		}
		w.hosts = append(w.hosts, h)
	}
	return w
}

func drawBounds(t *rapid.T) Senders {
	terms := func() Terms {
		return Terms{Clock: testClock, Limits: Limits{
			Connections: rapid.IntRange(1, 5).Draw(t, "of a virtual server"), PerDomain: rapid.IntRange(1, 4).Draw(t, "to a domain"),
			PerLink: rapid.IntRange(1, 4).Draw(t, "to a link"), PerConnection: 1,
		}}
	}
	return Senders{Default: terms(), Own: map[mail.GUID]Terms{hasty: terms()}, Connections: rapid.IntRange(0, 6).Draw(t, "in all")}.fill()
}

// Never are more connections open than any of the bounds allows; no link waits while
// there is room for it; and none waits for ever, whatever the others have to send.
func TestConnectionBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawShared(t)
		for _, h := range w.hosts {
			w.after(rapid.Int64Range(0, 60_000).Draw(t, "begins"), func() {
				for range rapid.IntRange(1, 20).Draw(t, "messages") {
					w.mail(h)
				}
			})
		}
		if rapid.Bool().Draw(t, "limits change") {
			w.after(rapid.Int64Range(0, 200_000).Draw(t, "when"), func() {
				w.limits = drawBounds(t)
				w.s.SetSenders(w.limits, w.now)
			})
		}
		for end := w.now + 400_000; w.now < end && w.step(); {
		}
		w.drain()
	})
}

// drain lets the mail end, and looks whether the scheduler counted right.
func (w *shared) drain() {
	for _, h := range w.hosts {
		h.endless, h.away = false, false
	}
	for range 100_000 {
		if !w.step() {
			break
		}
	}
	for _, h := range w.hosts {
		if h.waits > 0 {
			w.t.Fatalf("%d messages stay on %s", h.waits, h.hop.Key())
		}
	}
	for _, b := range w.s.allBounds() {
		if b.open != 0 || b.idle != 0 || b.giving != 0 || b.links != 0 || b.bare != 0 || len(b.line) != 0 {
			w.t.Fatalf("nothing is left to do, and a bound has %+v", *b)
		}
	}
	for g := range maps.Keys(w.s.by) {
		if n := len(w.s.by[g].domains); n != 0 {
			w.t.Fatalf("the bounds of %d domains are remembered", n)
		}
	}
	if w.s.inLine != 0 {
		w.t.Fatalf("%d links are said to wait", w.s.inLine)
	}
}

// Of two links with endless mail and three places the one that comes late has its share,
// and a third that has one message need not wait for the end of either.
func TestSmallLinkIsNotHeldUp(t *testing.T) {
	for name, c := range map[string]struct {
		limits Senders
		same   bool // all to one domain
		why    string
	}{
		"of the node":              {Senders{Connections: 3}, false, "a free connection: all 3 of this server are in use"},
		"of the virtual server":    {alone(Limits{Connections: 3}, testClock), false, "a free connection: all 3 of virtual server main are in use"},
		"to the hosts of a domain": {alone(Limits{PerDomain: 3}, testClock), true, "a free connection: all 3 to d0 of virtual server main are in use"},
	} {
		t.Run(name, func(t *testing.T) {
			c.limits.Default.Limits.PerConnection = 1
			s := NewScheduler(c.limits)
			link := func(i int) (Key, mail.Hop) {
				h := mail.Hop{Kind: mail.HopMX, Domain: "d0", Connector: mail.GUID{byte(i)}, VirtualServerName: "main"}
				if !c.same {
					h.Domain = fmt.Sprint("d", i)
				}
				return keyFor(i), h
			}
			now := int64(epoch)
			open := map[ConnID]int{}
			dialled := func() {
				for _, e := range s.Effects() {
					if e.Kind == EffectDial {
						open[e.Conn] = int(e.Hop.Connector[0])
					}
				}
			}
			n := 0
			send := func(i, messages int) {
				k, h := link(i)
				for range messages {
					n++
					put(s, k, h, byte(n), now)
				}
				dialled()
			}
			// each has all connections ask for a message that takes a second.
			each := func() {
				for _, id := range slices.Sorted(maps.Keys(open)) {
					taken := s.Take(id, now)
					if taken == nil {
						if s.Idle(id, now) == RestClose {
							delete(open, id)
							s.Closed(id, Ending{}, now)
						}
						dialled()
						continue
					}
					s.Worked(id, now)
					s.Gone(taken[0].Queue, taken[0].Ref.ID, now)
					dialled()
				}
				now += 1000
			}
			count := func() (of [3]int) {
				for _, i := range open {
					of[i]++
				}
				return of
			}
			send(0, 100)
			each()
			each()
			if got := count(); got != [3]int{3, 0, 0} {
				t.Fatalf("connections %v", got)
			}
			send(1, 60)
			k, _ := link(1)
			if got := s.info(s.queues[k.Name()], now).WaitingFor; got != c.why {
				t.Errorf("it waits for %q", got)
			}
			p, _ := s.prospect(k.Name(), Ref{ID: mail.ID{byte(n)}, Due: now, Created: now}, nil, now)
			if len(p.blocks) != 1 || p.blocks[0].Kind != BlockConnection || "a free connection: "+p.blocks[0].Text != c.why {
				t.Errorf("its message waits for %+v", p.blocks)
			}
			each()
			each()
			if got := count(); got != [3]int{2, 1, 0} {
				t.Errorf("with a second link: connections %v", got)
			}
			send(2, 1)
			each()
			each()
			if k, _ := link(2); s.Has(k.Name()) {
				t.Error("the single message waits for the end of the others")
			}
		})
	}
}

// With fewer places than links each has its turn: the only connection of one ends when
// others wait and it has lasted.
func TestLinksTakeTurns(t *testing.T) {
	s := NewScheduler(Senders{Connections: 1})
	now := int64(epoch)
	for i := range 3 {
		for n := range 80 {
			put(s, keyFor(i), mail.Hop{Kind: mail.HopMX, Domain: fmt.Sprint(i)}, byte(i*80+n+1), now)
		}
	}
	var who []string
	for range 60 {
		for _, e := range s.Effects() {
			if e.Kind == EffectDial {
				who = append(who, e.Hop.Domain)
			}
		}
		id := s.nextID
		if taken := s.Take(id, now); taken != nil {
			s.Gone(taken[0].Queue, taken[0].Ref.ID, now)
			now += 1000
		} else if s.Idle(id, now) == RestClose {
			s.Closed(id, Ending{}, now)
		}
	}
	if got := fmt.Sprint(who); got != "[0 1 2 0 1 2]" {
		t.Errorf("turns %s", got)
	}
}
