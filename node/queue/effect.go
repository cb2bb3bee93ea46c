package queue

import (
	"github.com/postroad/postroad/node/mail"
)

// ConnID names a connection of the scheduler; it is never used twice.
type ConnID uint64

// EffectKind says what a runner has to do.
type EffectKind uint8

// Kinds of effect, with the fields that count.
const (
	// EffectDial: run a connection over Hop, then call Closed. With Verdict set
	// it is not dialled: everything it takes gets that outcome.
	EffectDial EffectKind = iota + 1
	// EffectWake: Conn, which called Idle, may find something with Take.
	EffectWake
	// EffectHangUp: Conn, which called Idle, is to close: its place is needed.
	EffectHangUp
	// EffectBreak: break Conn at once, for Reason; then Closed as ever.
	EffectBreak
	// EffectAbandon: Conn does not end. Take back what it has, call Closed in its
	// place, and do not listen to it any more.
	EffectAbandon
	// EffectFill: read up to Limit entries of Queue after After, then call Filled.
	EffectFill
	// EffectDelay and EffectExpire: Ref of Queue is overdue; report, then Settle it.
	EffectDelay
	EffectExpire
	// EffectRelease: the hold of Ref, in Queue, is over; move it on.
	EffectRelease
	// EffectOrder: carry out Order on Ref of Queue, then Settle it. Ref is what was
	// true when the order was given: what is on disk now counts, if it is there.
	EffectOrder
	// EffectVoid: Order came to nothing on this entry, which is gone.
	EffectVoid
	// EffectLink: tell link state about Connector.
	EffectLink
)

// Effect is something to be done. It was decided; doing it must not be skipped.
type Effect struct {
	Kind EffectKind
	Conn ConnID
	Hop  mail.Hop

	Verdict *mail.Outcome

	Queue string
	After Position
	Limit int
	Fill  uint64 // see Stale
	Ref   Ref
	Order *Order
	// Trouble is what kept an overdue entry, Begun since when that ages, and End when it is
	// given up (Unix ms).
	Trouble    trouble
	Begun, End int64

	Connector mail.GUID
	OK        bool
	Reason    string
}

// Position is a place in a queue's order on disk: due time (Unix ms), then ID.
type Position struct {
	Due int64
	ID  mail.ID
}

func (p Position) compare(o Position) int {
	switch {
	case p.Due < o.Due:
		return -1
	case p.Due > o.Due:
		return 1
	}
	return compareID(p.ID, o.ID)
}

// Ref stands for one entry of the spool: one message in one queue.
type Ref struct {
	ID       mail.ID
	Due      int64 // its key on disk, Unix ms
	Created  int64 // the clock of expiration, Unix ms
	Attempts int   // made so far
	Notified bool  // the delay notice is out
	Multi    bool  // the message is in other queues too
	Tag      []byte
	Failed   int64 // when the last attempt deferred it, Unix ms; 0: none did, or it is not known

	By     int64 // the deliver-by-time, Unix ms; 0: none, or told of already
	Return bool  // given up then

	Exempt bool // no rule holds it
}

// late says whether the deliver-by-time is over.
func (r Ref) late(now int64) bool { return r.By != 0 && now >= r.By }

// again is the tag of an entry that stays, for those targets.
func (r Ref) again(attempts int, targets []int) tag {
	return tag{
		created: r.Created, attempts: attempts, notified: r.Notified, multi: r.Multi, targets: targets,
		by: r.By, byReturn: r.Return, exempt: r.Exempt, failed: r.Failed,
	}
}

// refOf is an entry with that tag.
func refOf(id mail.ID, due int64, t tag, b []byte) Ref {
	return Ref{
		ID: id, Due: due, Tag: b, Created: t.created, Attempts: t.attempts, Notified: t.notified, Multi: t.multi,
		By: t.by, Return: t.byReturn, Exempt: t.exempt, Failed: t.failed,
	}
}

func (r Ref) position() Position { return Position{r.Due, r.ID} }
