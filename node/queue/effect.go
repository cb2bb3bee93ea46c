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
	// EffectFill: read up to Limit entries of Queue after After, then call Filled.
	EffectFill
	// EffectDelay and EffectExpire: Ref of Queue is overdue; report, then Settle it.
	EffectDelay
	EffectExpire
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
	Ref   Ref

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
}

func (r Ref) position() Position { return Position{r.Due, r.ID} }
