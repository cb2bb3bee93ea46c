package queue

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
)

// Block is one thing that keeps a message.
type Block struct {
	Kind  string // one of the Block constants
	Text  string // who, why, what lets it go
	Until int64  // when it ends by itself, Unix ms; 0: it does not
}

// Kinds of Block, the strongest first.
const (
	BlockAside       = "set aside"
	BlockMessage     = "frozen message"
	BlockRule        = "rule"
	BlockQueue       = "frozen queue"
	BlockOutbound    = "outbound"
	BlockDirectory   = "directory"
	BlockDeferred    = "deferred"
	BlockUnreachable = "unreachable"
	BlockSchedule    = "schedule"
	BlockRemote      = "remote"
	BlockLink        = "link"
	BlockRetry       = "retry"
	BlockExpiration  = "expiration"
	BlockConnection  = "connection"
)

// prospect is what the scheduler knows of when an entry will leave.
type prospect struct {
	blocks      []Block
	leaves      int64 // Unix ms; 0: nothing says when
	inFlight    bool
	inMemory    bool
	ahead       int // in memory, of its queue
	beside      int // in memory, of other queues of its link
	connections int
	clock       Clock // for its hop
	drops       int
	// end is when it is given up, and notice when its sender is told that it is late; if its
	// time stands still, those as if it were let go now (Unix ms; 0: never).
	end, notice int64
}

// prospect tells of an entry; ref is what is on disk.
func (s *Scheduler) prospect(name string, ref Ref, note *Note, now int64) (p prospect, ok bool) {
	q := s.queues[name]
	if q == nil {
		return p, false
	}
	at := s.ready(q, ref, now)
	if e := q.refs[ref.ID]; e != nil {
		p.inMemory, p.inFlight, p.drops = true, e.state == inFlight, e.drops
		if e.state == waiting {
			at = e.at
			for _, o := range q.win.all() {
				if o == e {
					break
				}
				p.ahead++
			}
		}
	}
	l := q.link
	p.connections, p.clock = len(l.conns), s.clockOf(q)
	s.foretell(q, ref, note, now, &p)
	for o := range l.queues {
		// What has no way, or is held, wants no next hop in common.
		if o != q && !s.frozen(q) && q.hop.Kind != mail.HopUnreachable && q.hop.Kind != mail.HopHeld {
			p.beside += len(o.refs)
		}
	}
	s.stops(q, note, &p)
	s.waits(q, ref, at, now, &p)
	return p, true
}

// foretell says when it is given up, and its sender told before.
func (s *Scheduler) foretell(q *queue, ref Ref, note *Note, now int64, p *prospect) {
	e := entry{Ref: ref, queue: q}
	if note != nil {
		e.Created += max(now-note.At, 0) // as thawed does
	} else if known := q.refs[ref.ID]; known != nil {
		e.begun = known.begun
	}
	e.begin(now)
	p.end, p.notice = s.end(&e), s.notice(&e)
}

// stops names what an administrator or a rule has against it.
func (s *Scheduler) stops(q *queue, note *Note, p *prospect) {
	const stands = "; it does not expire meanwhile"
	switch rule := RuleOf(q.key.Hold); {
	case rule != "":
		b := Block{Kind: BlockRule, Text: "held by rule " + rule, Until: s.control.rules[q.key.Hold]}
		if note != nil && note.Reason != "" {
			b.Text += ": " + note.Reason
		}
		b.Text += "; `message thaw` lets it go" + stands
		p.blocks = append(p.blocks, b)
	case q.key.Hold != "":
		n := Note{}
		if note != nil {
			n = *note
		}
		p.blocks = append(p.blocks, Block{Kind: BlockMessage, Text: n.text() + "; `message thaw` lets it go" + stands})
	}
	if n, one := s.control.frozen[q.name]; one {
		p.blocks = append(p.blocks, Block{Kind: BlockQueue, Text: n.text() + "; `queue thaw " + queueID(q.name) + "` lets it go"})
	}
	if q.like != nil {
		p.blocks = append(p.blocks, Block{Kind: BlockQueue, Text: q.like.Note.text() + "; `queue thaw " + q.like.Like.flags() + "` lets it go"})
	}
	if n := s.control.outbound; n != nil && remote(q.hop) {
		p.blocks = append(p.blocks, Block{Kind: BlockOutbound, Text: "outbound mail of the server is " + n.text() + "; `node outbound enable` lets it go"})
	}
}

// waits names what keeps it without anybody's order, and says when it goes then.
func (s *Scheduler) waits(q *queue, ref Ref, at, now int64, p *prospect) {
	l, hop := q.link, q.hop
	if s.frozen(q) {
		// The link of frozen queues says nothing of the hop.
		l = &link{hop: hop, by: s.sender(hop)}
		if known := s.links[hop.Key()]; known != nil {
			l = known
		}
	}
	open := len(p.blocks) == 0 || p.blocks[0].Until != 0 && len(p.blocks) == 1
	from := max(at, now)
	if len(p.blocks) == 1 {
		from = max(from, p.blocks[0].Until)
	}
	if q.key.Held {
		text := "its sender asked for a later time"
		if q.key.Via != "" {
			text += "; redirected to " + q.key.Via
		}
		p.blocks = append(p.blocks, Block{Kind: BlockDeferred, Text: text, Until: at})
	}
	if hop.Kind == mail.HopUnreachable {
		text := "no path to the destination"
		if hop.Reason != "" {
			text += ": " + hop.Reason
		}
		p.blocks, open = append(p.blocks, Block{Kind: BlockUnreachable, Text: text}), false
	}
	if l.next > now && l.verdict == nil {
		p.blocks = append(p.blocks, Block{Kind: BlockLink, Text: fmt.Sprintf("%s of the next hop: %s", l.phase(), l.lastErr), Until: l.next})
		from = max(from, l.next)
	}
	if at > now && !q.key.Held {
		text := "put off by itself"
		if ref.Attempts > 0 {
			text = fmt.Sprintf("deferred by itself, attempts: %d", ref.Attempts)
		}
		p.blocks = append(p.blocks, Block{Kind: BlockRetry, Text: text, Until: at})
	}
	if l.waits != nil && len(l.conns) == 0 {
		p.blocks, open = append(p.blocks, Block{Kind: BlockConnection, Text: s.taken(l)}), false
	}
	// As for the whole queue: see opening.
	o := l.opening(now)
	at, ok := o.chance(from)
	switch {
	case ok && at == from:
	case ok:
		p.blocks = append(p.blocks, Block{Kind: BlockSchedule, Text: o.what, Until: at})
	case o.remote:
		p.blocks = append(p.blocks, Block{Kind: BlockRemote, Text: "the other side has to ask for it (ETRN, ATRN or TURN), or `queue retry`"})
	default:
		p.blocks = append(p.blocks, Block{Kind: BlockSchedule, Text: o.what + ", which is never open; `queue retry` sends it all the same"})
	}
	from, open = at, open && ok
	if open && !s.closed {
		p.leaves = from
	}
}
