package mail

import "time"

// EventKind names a hand-over; the words are those that message tracking has
// used since Exchange 2007.
type EventKind uint8

// Event kinds.
const (
	EventReceive   EventKind = iota + 1 // accepted durably
	EventResolve                        // recipients resolved
	EventExpand                         // a distribution group expanded
	EventRedirect                       // forwarded or sent to a contact's target
	EventRoute                          // queued for a next hop
	EventDefer                          // an attempt failed for now
	EventSend                           // handed to another host
	EventDeliver                        // stored in a mailbox
	EventFail                           // given up
	EventDSN                            // a report was made
	EventDuplicate                      // a recipient listed more than once
	EventFreeze                         // held back by an administrator
	EventThaw                           // let go again
)

// String is the upper-case word of the tracking log.
func (k EventKind) String() string {
	names := [...]string{"", "RECEIVE", "RESOLVE", "EXPAND", "REDIRECT", "ROUTE", "DEFER", "SEND", "DELIVER", "FAIL", "DSN", "DUPLICATE", "FREEZE", "THAW"}
	if int(k) < len(names) {
		return names[k]
	}
	return ""
}

// Event is one hand-over of a message. Stages emit it; node/track keeps it.
type Event struct {
	At         time.Time
	Kind       EventKind
	Source     string // "SMTP", "CATEGORIZER", "ROUTING", "QUEUE", "DSN", "ADMIN"
	ID         ID
	Origin     ID
	MessageID  string
	Sender     string
	Recipients []string
	Peer       string // client, next hop or mailbox
	Connector  string
	Status     string
	Detail     string
	Size       int64
	Table      uint64 // version of the routing table that decided
	Linked     ID     // the other message of a report
	// Sent is set on one event of each message that left this server over a
	// connector, or outside without one; it is counted, not recorded.
	Sent *Sent
}

// Sent is what a message counts for.
type Sent struct {
	Destination Destination
	// Entered: the first routing group that the message was in is this one.
	Entered bool
}
