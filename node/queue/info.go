package queue

import (
	"slices"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// State of a queue, in the words of the original.
type State uint8

// States.
const (
	Active    State = iota + 1 // a connection is open
	Ready                      // may be given a connection
	Retry                      // the last attempt failed
	Scheduled                  // waits for the connector's schedule
	Remote                     // waits for the remote host to ask
	Frozen                     // an administrator stopped it
)

// String is the state as the CLI shows it.
func (s State) String() string {
	names := [...]string{"", "active", "ready", "retry", "scheduled", "remote", "frozen"}
	if int(s) < len(names) {
		return names[s]
	}
	return ""
}

// Kinds of queue, as an operator knows them.
const (
	KindPreSubmission = "Pre-submission"
	KindReports       = "DSN pending submission"
	KindDirectory     = "Messages awaiting directory lookup"
	KindRouting       = "Messages waiting to be routed"
	KindUnreachable   = "Final destination currently unreachable"
	KindLocal         = "Local delivery"
	KindRemote        = "Remote delivery"
	// Of other address types than SMTP: on the way to a gateway, and those that
	// wait for a way (the book, table 4).
	KindNextHop    = "Next hop"
	KindReroute    = "Pending reroute"
	KindDeferred   = "Deferred delivery"
	KindPoison     = "Failed message retry"
	KindQuarantine = "Unreadable messages"
)

// IDs of the queues that are always listed. KindUnreachable, KindReroute, KindLocal and
// KindDeferred are listed under these only while no queue is of that kind.
const (
	IDPreSubmission = "pre-submission"
	IDReports       = "reports"
	IDDirectory     = "directory"
	IDRouting       = "routing"
	IDUnreachable   = "unreachable"
	IDReroute       = "reroute"
	IDLocal         = "local"
	IDDeferred      = "deferred"
	IDPoison        = "poison"
	IDQuarantine    = "quarantine"
)

// Info is one queue as an operator sees it.
type Info struct {
	ID          string // stable while the queue exists, over restarts too
	Kind        string // one of the Kind constants
	Destination mail.Destination
	NextHop     string
	Connector   string
	// VirtualServer is the one by whose settings its mail is sent; "": by none.
	VirtualServer string
	State         State
	Messages      int64
	Bytes         int64         // octets of their bodies
	OldestAge     time.Duration // since the message was created; 0 when empty. Beyond the window it is up to some minutes old
	WaitingFor    string        // a sentence; empty while mail flows
	LastError     string
	LastHost      string    // of the next hop, that answered last
	LastAttempt   time.Time // zero: none
	NextAttempt   time.Time // zero: none planned
	Class         string
	Connections   int
	Window        int  // connections that the link may have at the moment; see concurrency.go
	Frozen        Note // in state Frozen: by whom and why; zero where each message has its own

	Whole  bool   // the queue itself is frozen: `queue thaw` lets it go
	Like   string // the standing freeze that stops the queue, in words; "": none does
	Remote bool   // its mail leaves this server

	opening opening
	retries retries
	more    bool   // it is longer than what is in memory
	name    string // the queue's name in the spool; empty for one that is only listed
}

// Word is the state as it is shown: a queue without a link of its own is ready
// whenever it may move; with mail in it and a reason, it waits.
func (i Info) Word() string {
	if i.State == Ready && i.Messages > 0 && i.WaitingFor != "" {
		return "waiting"
	}
	return i.State.String()
}

// ready is when an entry of the queue may be given out, as far as it itself is concerned
// (Unix ms).
func (i Info) ready(r Ref, now int64) int64 {
	if i.Kind == KindDeferred {
		return r.Due
	}
	return i.retries.ready(r, now)
}

// moves says whether the queue's messages leave when they are due and their link is open.
func (i Info) moves() bool {
	return i.State != Frozen && i.State != Remote && i.Kind != KindUnreachable && i.Kind != KindReroute
}

// Is says whether an operator means the queue by one of the IDs; without any, all
// queues of destinations are meant.
func (q Info) Is(ids []string) bool {
	return q.name != "" && (len(ids) == 0 || slices.ContainsFunc(ids, q.is))
}

// Message is one queued message as an operator sees it.
type Message struct {
	ID         mail.ID
	Origin     mail.ID
	MessageID  string
	Sender     string
	Recipients []string // those that wait in this queue
	Size       int64    // octets
	Received   time.Time
	Queue      string // ID of the queue
	Attempts   int
	LastError  string // of the message, or else of its queue

	Created     time.Time // when the organisation accepted it
	Priority    mail.Priority
	State       string // "retry" if it waits by itself, else as Info.Word
	Kind        string // of the queue, as the next three
	Destination string
	NextHop     string
	Connector   string
	NextAttempt time.Time // zero: none planned

	VirtualServer string // of the queue, too

	Hold   string // [HoldByHand], [RuleHold] or ""
	Frozen Note   // in a hold: by whom and why
}
