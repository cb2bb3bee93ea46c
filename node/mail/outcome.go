package mail

import (
	"io"
	"time"
)

// Result is what became of one recipient in one attempt. There are three; the
// report writer needs nothing but the Outcome that carries it.
type Result uint8

// Results.
const (
	Deferred  Result = iota // try again
	Delivered               // handed on, or stored in a mailbox
	Failed                  // never again; to be reported
)

// String is "deferred", "delivered" or "failed".
func (r Result) String() string {
	switch r {
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	}
	return "deferred"
}

// Outcome is the one status record of a recipient (RFC 3464 section 2.3).
type Outcome struct {
	Result Result
	Status Status // RFC 3463
	// Reply is what the remote host said, nil if it said nothing; the
	// Diagnostic-Code of a report.
	Reply *Reply
	// Text says in words what happened, for logs, `queue list` and reports.
	// It never holds a credential.
	Text string
	// Remote is the host that gave the reply, "mx.example.com [192.0.2.1]:25".
	Remote string
	// Relayed: delivered to a host that does not send success reports itself
	// (RFC 3461 section 5.2.2), so a "relayed" report is due if one was asked for.
	Relayed bool
	// Traced: passed on, and the sender wants to hear of that whatever the next
	// host can do (RFC 2852 section 4: by-trace, or a next host without DELIVERBY).
	Traced bool
	At     time.Time
	// Until is when a recipient whose sender is told of the delay is given up; zero: not
	// said.
	Until time.Time
	// Connector is the name of the one it was tried over; "" if there was none.
	Connector string
}

// Defer builds a deferred outcome.
func Defer(s Status, text string) Outcome { return Outcome{Result: Deferred, Status: s, Text: text} }

// Fail builds a failed outcome.
func Fail(s Status, text string) Outcome { return Outcome{Result: Failed, Status: s, Text: text} }

// FromReply sorts a reply of a peer into an outcome: 2yz delivered, 4yz
// deferred, 5yz failed (RFC 5321 section 4.2.1). A peer without enhanced codes
// gets x.0.0.
func FromReply(r Reply, remote string) Outcome {
	o := Outcome{Reply: &r, Remote: remote, Status: r.Status, Text: r.String()}
	switch r.Code / 100 {
	case 2:
		o.Result = Delivered
	case 5:
		o.Result = Failed
	default:
		o.Result = Deferred
	}
	if o.Status.IsZero() {
		o.Status = Status{Class: map[Result]uint16{Delivered: 2, Deferred: 4, Failed: 5}[o.Result]}
	}
	return o
}

// Content is a stored message body. It may be opened many times.
type Content interface {
	// Open reads the content from its first octet, CRLF line ends, no dot
	// stuffing.
	Open() (io.ReadCloser, error)
	Size() int64
}

// Transaction is one message on its way over one hop, for the targets that
// wait behind that hop.
type Transaction struct {
	Envelope *Envelope
	Targets  []Target
	Content  Content
	// Attempt counts from 1.
	Attempt int
}

// Feed hands transactions to one connection. The connection pulls, so that a
// slow peer holds no more than its own window.
type Feed interface {
	// Next gives the next transaction, or nil when there is none now; the
	// connection may then stay open and ask again after Wait returns true.
	Next() *Transaction
	// Wait blocks until Next may give something (true), or until d has passed
	// or the feed was closed (false).
	Wait(d time.Duration) bool
	// Done reports one outcome for each target of a transaction given by Next.
	// Each transaction must be reported exactly once.
	Done(t *Transaction, outcomes []Outcome)
}
