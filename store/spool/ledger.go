package spool

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// The ledger says of every message and recipient that ever was in the spool
// where it came from and what became of it. Two columns balance, each exactly,
// after every batch and so after every crash:
//
//	Opening + Accepted + Generated + Expanded + Restored =
//	    Delivered + Relayed + Failed + ... (all other lines) + what is in the spool
//
// A message counts once, in the line of Accept or of the report that it is, and
// once at its end. A recipient counts when its message comes; the plan says how
// many there are in truth: a group has more (Expanded), two that lead to one
// mailbox have fewer (Merged). It ends with the settlement that is its last.
// When the last recipients of a message end together in several ways, the
// message counts in the line with the greatest number.
//
// What waits counts as in the spool, in whatever state: submitted, planned,
// held, deferred, set aside.

// Line is one line of the ledger. Numbers are on disk: none is ever given again.
type Line uint8

// Lines by which mail comes in.
const (
	Opening   Line = 0 // was there when the ledger began
	Accepted  Line = 1 // by Accept
	Generated Line = 2 // reports, accepted in the same instant as what they tell of
	Expanded  Line = 3 // recipients only: what groups and forwarding added
	Restored  Line = 4 // had ended, perhaps, and came back when a table was healed
)

// Lines by which mail ends. A new end takes the next free number and its place
// in lineNames; whoever ends messages so names it in a [Posting].
const (
	Merged     Line = 16 // came together with another recipient, or led to nobody
	Delivered  Line = 17 // into a mailbox or folder of this node
	Relayed    Line = 18 // the next host has taken it over
	Failed     Line = 19 // for good; the sender was told if it wants to be
	Expired    Line = 20 // its time was over
	Deleted    Line = 21 // by an administrator, without a report
	Returned   Line = 22 // by an administrator, with a report
	Redirected Line = 23 // by an administrator, as another message
	Unknown    Line = 24 // messages removed that nobody could read; their recipients are not known
)

const (
	lineLimit = 64 // lines from here on cannot be
	// lineDamaged counts values of the ledger that could not be read.
	lineDamaged Line = 63
)

// In says whether mail comes in by the line.
func (l Line) In() bool { return l < Merged }

func lineNames() map[Line]string {
	return map[Line]string{
		Opening: "opening", Accepted: "accepted", Generated: "generated", Expanded: "expanded", Restored: "restored",
		Merged: "merged", Delivered: "delivered", Relayed: "relayed", Failed: "failed", Expired: "expired",
		Deleted: "deleted", Returned: "returned", Redirected: "redirected", Unknown: "unknown", lineDamaged: "damaged",
	}
}

// String is the line's name: "accepted".
func (l Line) String() string {
	if n, ok := lineNames()[l]; ok {
		return n
	}
	return fmt.Sprintf("line_%d", uint8(l)) // of a newer version
}

// Lines lists the lines that this version knows, those that come in first.
func Lines() []Line {
	return []Line{Opening, Accepted, Generated, Expanded, Restored, Delivered, Relayed, Failed, Expired, Deleted, Returned, Redirected, Merged, Unknown}
}

// Posting says of how many recipients of a message a line tells.
type Posting struct {
	Line       Line
	Recipients int
}

// Tally is a number of messages and of their recipients.
type Tally struct {
	Messages   int64 `json:"messages"`
	Recipients int64 `json:"recipients"`
}

func (t Tally) plus(o Tally) Tally {
	return Tally{t.Messages + o.Messages, t.Recipients + o.Recipients}
}

func (t Tally) minus(o Tally) Tally {
	return Tally{t.Messages - o.Messages, t.Recipients - o.Recipients}
}

// Ledger is what was counted, by line.
type Ledger map[Line]Tally

// Queued is what must be in the spool by the ledger: what came in and did not end.
func (l Ledger) Queued() Tally {
	var q Tally
	for line, t := range l {
		switch {
		case line == lineDamaged:
		case line.In():
			q = q.plus(t)
		default:
			q = q.minus(t)
		}
	}
	return q
}

// book is the ledger in memory, equal to that on disk but for batches under way.
type book [lineLimit]struct{ messages, recipients atomic.Int64 }

func (b *book) add(p postings) {
	for _, e := range p {
		b[e.line].messages.Add(e.Messages)
		b[e.line].recipients.Add(e.Recipients)
	}
}

// Ledger gives the ledger of this moment. During calls of others it may be
// between two balances; Audit compares one instant.
func (s *Spool) Ledger() Ledger {
	l := Ledger{}
	for i := range s.book {
		if t := (Tally{s.book[i].messages.Load(), s.book[i].recipients.Load()}); t != (Tally{}) {
			l[Line(i)] = t
		}
	}
	return l
}

// posted is one line's change in a batch.
type posted struct {
	line Line
	Tally
}

// postings are what a batch changes in the ledger.
type postings []posted

func (p *postings) add(line Line, t Tally) {
	if t == (Tally{}) {
		return
	}
	for i := range *p {
		if e := &(*p)[i]; e.line == line {
			e.Tally = e.plus(t)
			return
		}
	}
	*p = append(*p, posted{line, t})
}

// incoming posts messages that come in.
func (p *postings) incoming(line Line, msgs []Incoming) {
	for i := range msgs {
		p.add(line, Tally{1, int64(msgs[i].Recipients)})
	}
}

// recipients posts what became of some recipients, and gives the line in which
// their message counts if they were its last.
func (p *postings) recipients(list []Posting) Line {
	last := Deleted // nobody said what became of the message
	for i, e := range list {
		p.add(e.Line, Tally{0, int64(e.Recipients)})
		if i == 0 || e.Line > last {
			last = e.Line
		}
	}
	return last
}

func checkPostings(list []Posting) error {
	for _, e := range list {
		if e.Recipients < 0 || e.Line < Expanded || e.Line >= lineDamaged {
			return fmt.Errorf("%w: posting %s of %d recipients", ErrInvalid, e.Line, e.Recipients)
		}
	}
	return nil
}

// Keys of the ledger. Its values are sequences of lines with what is to be added,
// and joining two values adds them up; so a change is one Merge in the batch that
// it tells of, which reads nothing and waits for nobody. Stripes keep writers from
// meeting at one place of the memtable.
const (
	keyLedger = "\x00ledger" // then the stripe, one octet
	keySince  = "\x00since"  // epoch of the last Open that kept the ledger, and when it began
	stripes   = 16
)

func appendLedgerKey(k []byte, stripe int) []byte {
	return append(append(k, keyLedger...), byte(stripe))
}

// write adds the postings to a batch; id spreads the stripes.
func (p postings) write(batch *pebble.Batch, id ID) error {
	if len(p) == 0 {
		return nil
	}
	var key [16]byte
	var value [64]byte
	return batch.Merge(appendLedgerKey(key[:0], shardOf(id)%stripes), p.append(value[:0]), nil)
}

func (p postings) append(v []byte) []byte {
	for _, e := range p {
		v = append(v, byte(e.line))
		v = binary.AppendVarint(v, e.Messages)
		v = binary.AppendVarint(v, e.Recipients)
	}
	return v
}

// parse adds a value of the ledger to p.
func (p *postings) parse(v []byte) bool {
	for len(v) > 0 {
		line := Line(v[0])
		m, n := binary.Varint(v[1:])
		if n <= 0 || line >= lineLimit {
			return false
		}
		v = v[1+n:]
		r, n := binary.Varint(v)
		if n <= 0 {
			return false
		}
		v = v[n:]
		p.add(line, Tally{m, r})
	}
	return true
}
