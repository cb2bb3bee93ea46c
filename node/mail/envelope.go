package mail

import "time"

// Priority of a message (the book, chapter 5, "content restrictions"): it may
// bar a message from a connector and orders a link's queues.
type Priority int8

// Priorities; the numbers are those of the original's tracking log.
const (
	PriorityLow    Priority = -1
	PriorityNormal Priority = 0
	PriorityHigh   Priority = 1
)

// String is "low", "normal" or "high".
func (p Priority) String() string {
	switch {
	case p < 0:
		return "low"
	case p > 0:
		return "high"
	}
	return "normal"
}

// BodyType is what the sender declared with BODY= (RFC 6152, RFC 3030).
type BodyType uint8

// Body types.
const (
	Body7Bit BodyType = iota
	Body8BitMIME
	BodyBinaryMIME
)

// DeliverBy is the deadline of BY= (RFC 2852 section 4). The zero value is none.
// It holds an instant, not the seconds of the command: what is left at any hop is
// Deadline minus now, so that waiting in a queue is never counted twice.
type DeliverBy struct {
	Deadline time.Time
	Return   bool // mode R: after the deadline the message is returned; else mode N: a notification, and trying goes on
	Trace    bool // T: each relay that passes the deadline on reports it (section 4.1.4)
}

// IsZero says whether no deadline was given.
func (d DeliverBy) IsZero() bool { return d.Deadline.IsZero() }

// MTPriority is MT-PRIORITY= (RFC 6710 section 4), -9 (least urgent) to 9. Zero is
// normal, also for who gave none.
type MTPriority int8

// Bounds of an MTPriority.
const (
	MinMTPriority MTPriority = -9
	MaxMTPriority MTPriority = 9
)

// Priority is the message's class of the three, as RFC 6710 appendix A has it for
// systems with three levels.
func (p MTPriority) Priority() Priority {
	switch {
	case p < 0:
		return PriorityLow
	case p > 0:
		return PriorityHigh
	}
	return PriorityNormal
}

// Recipient is one RCPT of an accepted message.
type Recipient struct {
	Address  Address
	Original string // ORCPT as received, "rfc822;..." (RFC 3461 section 4.2); empty when not given
	Notify   Notify
}

// Envelope is everything a node knows of an accepted message besides its
// content. It is written once, before the 250, and never changed after.
type Envelope struct {
	ID        ID        // this node's own name for the message
	Origin    ID        // given by the first node of the organisation
	MessageID string    // the Message-ID header without brackets; "" if the message had none
	Received  time.Time // when this node accepted it
	Created   time.Time // when the first node accepted it; the clock of expiration
	Size      int64     // octets of the content, trace headers included

	From       Address // zero for the null reverse path
	Recipients []Recipient

	Body       BodyType // as declared; 8BITMIME too where nothing was and the content is 8-bit
	LongLines  bool     // a line has more than 998 octets (RFC 5321 section 4.5.3.1.6)
	UTF8       bool     // SMTPUTF8 was asked for (RFC 6531)
	Return     string   // RET: "FULL", "HDRS" or "" (RFC 3461 section 4.3)
	EnvelopeID string   // ENVID, xtext decoded (RFC 3461 section 4.4)

	RequireTLS bool          // REQUIRETLS was asked for (RFC 8689): each further hop verified TLS, or back
	DeliverBy  DeliverBy     // BY= (RFC 2852)
	MTPriority MTPriority    // MT-PRIORITY= (RFC 6710); Priority follows from it where it is not zero
	HoldUntil  time.Time     // HOLDFOR= or HOLDUNTIL= (RFC 4865): no attempt before; zero: at once
	HoldFor    time.Duration // HOLDFOR= as it was given, for reports; 0: HOLDUNTIL=, or no hold

	Priority Priority
	System   bool // a report or another message of the transport itself

	// Where it came from.
	ClientHost string // address of the client, "127.0.0.1"; "" for local submission
	ClientName string // its HELO argument
	Account    string // authenticated user; "" for anonymous
	FromNode   GUID   // the node of this organisation that handed it over; zero for outsiders
	// VirtualServer took it, or, of a report, what it reports on; zero for local
	// submission.
	VirtualServer GUID

	// What travels between nodes (the XPOSTROAD parameter).
	Hops      int    // number of Received header fields seen, this node's included
	Visited   []GUID // routing groups the message has been in, oldest first
	Connector GUID   // connector chosen by an earlier node; zero: choose here
	Notified  bool   // an earlier node sent the delay notice
}

// Null says whether the reverse path is null, as it is in reports.
func (e *Envelope) Null() bool { return e.From.IsZero() }
