package queue

import (
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
	KindDirectory     = "Messages awaiting directory lookup"
	KindRouting       = "Messages waiting to be routed"
	KindUnreachable   = "Final destination currently unreachable"
	KindLocal         = "Local delivery"
	KindRemote        = "Remote delivery"
	KindPoison        = "Failed message retry"
)

// IDs of the queues that are always listed. KindUnreachable and KindLocal are
// listed under these only while no queue is of that kind.
const (
	IDPreSubmission = "pre-submission"
	IDDirectory     = "directory"
	IDRouting       = "routing"
	IDUnreachable   = "unreachable"
	IDLocal         = "local"
	IDPoison        = "poison"
)

// Info is one queue as an operator sees it.
type Info struct {
	ID          string // stable while the queue exists, over restarts too
	Kind        string // one of the Kind constants
	Destination mail.Destination
	NextHop     string
	Connector   string
	State       State
	Messages    int64
	OldestAge   time.Duration // of what is in memory, since the message was created; 0 when empty
	WaitingFor  string        // a sentence; empty while mail flows
	LastError   string
	LastAttempt time.Time // zero: none
	NextAttempt time.Time // zero: none planned
	Class       string
	Connections int

	name string // the queue's name in the spool; empty for one that is only listed
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
	LastError  string
}
