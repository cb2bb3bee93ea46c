package queue

import (
	"slices"
	"strconv"

	"github.com/postroad/postroad/node/mail"
)

// check compares the bookkeeping with the truth on disk.
func (w *world) check() {
	for name, entries := range w.disk {
		q := w.s.queues[name]
		if q == nil {
			if len(entries) > 0 {
				w.t.Fatalf("queue %s vanished with %d entries on disk", name, len(entries))
			}
			continue
		}
		for id, ref := range entries {
			e := q.refs[id]
			if e == nil && (!q.more || ref.position().compare(q.cursor) <= 0) {
				w.t.Fatalf("entry %s of %s is on disk, not in memory, and will not be read", id, name)
			}
		}
	}
	held := 0
	for name, q := range w.s.queues {
		oldest := int64(0)
		for _, e := range q.refs {
			if held++; e.state != reserved && e.Created != 0 && (oldest == 0 || e.Created < oldest) {
				oldest = e.Created
			}
		}
		if got := q.since(); got != oldest {
			w.t.Fatalf("queue %s is said to be waiting since %d, not %d", name, got, oldest)
		}
		if q.win.len() > 2*w.s.limits.Window+len(w.flight)+8 {
			w.t.Fatalf("window of %s has %d entries", name, q.win.len())
		}
		if !slices.IsSortedFunc(q.win.all(), compareEntries) {
			w.t.Fatalf("window of %s is out of order", name)
		}
	}
	if held != w.s.held {
		w.t.Fatalf("%d entries in memory, counted %d", held, w.s.held)
	}
	for _, l := range w.s.links {
		n := 0
		for _, ring := range l.rings {
			for q := ring.first; q != nil; q = q.next {
				if n += q.win.len(); q.next == ring.first {
					break
				}
			}
		}
		if n != l.backlog {
			w.t.Fatalf("link %s has backlog %d, counted %d", l.key, l.backlog, n)
		}
	}
}

// finish lets everything through and sees that nothing stays behind.
func (w *world) finish() {
	for d := range destinations {
		w.hops[d] = mail.Hop{Kind: mail.HopMX, Domain: "end" + strconv.Itoa(d%2)}
	}
	w.forgetClocks()
	w.confirm()
	w.letGo()
	w.s.Reroute(w.hopOf, w.now)
	w.s.Doubt(func(mail.Hop) string { return "" }, w.now)
	w.effects()
	for range 10_000 {
		for _, t := range w.flight {
			name := entryName(t.Queue, t.Ref.ID)
			delete(w.owner, name)
			w.leave(t.Queue, t.Ref.ID)
			w.s.Gone(t.Queue, t.Ref.ID, w.now)
		}
		w.flight = nil
		w.settleOverdue()
		for len(w.orders) > 0 {
			w.carryOut(0)
		}
		for len(w.fills) > 0 {
			e := w.fills[0]
			w.fills = w.fills[1:]
			refs, end := w.read(e)
			if !w.s.Stale(e) {
				w.s.Filled(e.Queue, refs, end, w.now)
			}
			w.effects()
		}
		for _, c := range slices.Clone(w.conns) {
			if w.idle[c] {
				continue
			}
			taken := w.s.Take(c, w.now)
			for _, t := range taken {
				w.giveOut(t)
				w.mayGo(t.Queue)
				w.flight = append(w.flight, t)
			}
			if taken == nil && w.s.Idle(c, w.now) == RestSleep {
				w.idle[c] = true
			}
			w.effects()
		}
		for _, c := range slices.Concat(w.hung, w.broken) {
			if i := slices.Index(w.conns, c); i >= 0 {
				w.closeConn(i, false)
			}
		}
		w.hung = nil
		if len(w.flight) == 0 && len(w.fills) == 0 && len(w.orders) == 0 {
			if len(w.s.queues) == 0 {
				break
			}
			w.advance(max(0, w.s.Next()-w.now))
		}
	}
	left := 0
	for _, entries := range w.disk {
		left += len(entries)
	}
	if left > 0 || len(w.s.queues) > 0 {
		w.t.Fatalf("%d entries and %d queues stay for ever", left, len(w.s.queues))
	}
	if w.copies != w.ended {
		w.t.Fatalf("%d copies came in, %d were delivered, expired or deleted", w.copies, w.ended)
	}
	for o, n := range w.given {
		if n == 0 {
			w.t.Fatalf("the order %s was never carried out, and did not come to nothing", o.Verb)
		}
	}
	for len(w.conns) > 0 {
		w.closeConn(0, false)
	}
	for w.s.Next() != 0 {
		w.advance(max(0, w.s.Next()-w.now))
	}
	if len(w.s.links) > 0 || len(w.s.multi) > 0 || len(w.s.timers) > 0 {
		w.t.Fatalf("left over: %d links, %d messages, %d timers", len(w.s.links), len(w.s.multi), len(w.s.timers))
	}
}
