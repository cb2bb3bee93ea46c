package spool

import (
	"errors"
	"time"
)

// ID names a message. The caller gives it and never gives it twice; IDs that
// sort by time keep the spool's writes in order.
type ID [16]byte

// Incoming is one message to accept. Several may share one Body (one content,
// many envelopes), all of them in the same call.
type Incoming struct {
	ID       ID
	Body     *Body
	Envelope []byte // opaque; written once, never rewritten
	// Recipients that the envelope has, for the ledger.
	Recipients int
}

// Entry is a message's place in one queue. A message has at most one entry with
// the same Queue and Due.
type Entry struct {
	Queue string // name of the queue: any bytes, not empty, at most MaxQueueName
	Due   int64  // when it is due, Unix time in milliseconds; not negative
	Tag   []byte // opaque; tells which targets of the plan the entry stands for
}

// MaxQueueName is the greatest length of a queue's name, in octets.
const MaxQueueName = 2048

// OutcomeRecord is what is to be remembered of one target; a later record of
// the same target replaces the earlier.
type OutcomeRecord struct {
	Target  uint32
	Payload []byte // opaque
}

// Settlement is the result of one attempt: it takes one entry out of its queue.
type Settlement struct {
	ID    ID
	Queue string // the entry's key, as given to Plan or to an earlier Requeue
	Due   int64

	Outcomes []OutcomeRecord
	// Requeue is the entry that takes the old one's place; nil when the targets
	// of the old entry are done with.
	Requeue *Entry
	// Also are further entries for targets of the old one that part from the
	// others. The message keeps the old one's targets in these and Requeue together.
	Also []Entry
	// Reports are accepted in the same instant, as if by Accept.
	Reports []Incoming
	// Ends says what became of the recipients that the old entry had and Requeue
	// has not. The last entry of a message needs one, of however many recipients.
	Ends []Posting
}

// Stored is what Load gives of a message besides its body.
type Stored struct {
	Envelope []byte
	Plan     []byte // nil while the message is only submitted
	Outcomes []OutcomeRecord
	Entries  []Entry
	BodySize int64 // octets
}

// QueueHead is a queue and its oldest entry's due time (Unix milliseconds).
type QueueHead struct {
	Queue string
	Due   int64
}

// QueueEntry is one entry as it stands in a queue.
type QueueEntry struct {
	ID  ID
	Due int64 // Unix time in milliseconds
	Tag []byte
}

// Position says where reading a queue goes on: after the entry with this key.
// The zero value is the beginning.
type Position struct {
	Due int64
	ID  ID
}

// Stats is the spool at a glance.
type Stats struct {
	Messages int64 // accepted and not finished
	Bytes    int64 // octets of their bodies, each body once for every envelope
	Entries  int64 // in all queues
	Aside    int64 // messages that were set aside; they count above too
	// Counted: the counters above include what was there at Open. They are
	// counted in the background; until then they are too low.
	Counted  bool
	DiskFree uint64 // octets; as last measured
	DiskUsed uint64 // octets of the spool's files
	// DiskWait is how long the oldest operation of the disk under way has lasted, in
	// whole seconds.
	DiskWait time.Duration
}

var (
	// ErrFull: the disk has no room. Nothing was written; answer 452 and try
	// again later. The spool works on when room is there again.
	ErrFull = errors.New("spool: disk full")
	// ErrNotFound: there is no such message, or it was finished or removed.
	ErrNotFound = errors.New("spool: no such message")
	// ErrCorrupt: what is on disk is not what was written.
	ErrCorrupt = errors.New("spool: corrupt")
	// ErrUnreadable: the disk failed to read it; that may pass.
	ErrUnreadable = errors.New("spool: cannot be read")
	// ErrFailed: the disk failed a write for another reason than space, or does not answer. Nothing
	// can be written until the process opens the spool again; see Failed.
	ErrFailed = errors.New("spool: storage failed")
	// ErrInvalid: the caller broke a rule of this package; the text says which.
	ErrInvalid = errors.New("spool: invalid")
	// ErrClosed: the spool was closed.
	ErrClosed = errors.New("spool: closed")
)
