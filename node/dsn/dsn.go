package dsn

import (
	"bytes"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Kind is what a report is about.
type Kind uint8

// Kinds of report (RFC 3464 section 2.3.3).
const (
	Failure  Kind = iota // given up
	Delay                // not delivered yet
	Success              // stored in a mailbox
	Relayed              // handed to a host that does not report
	Expanded             // a group, replaced by its members
)

// String is "failure", "delay", "success", "relayed" or "expanded".
func (k Kind) String() string {
	return [...]string{"failure", "delay", "success", "relayed", "expanded"}[k]
}

func (k Kind) action() string {
	return [...]string{"failed", "delayed", "delivered", "relayed", "expanded"}[k]
}

// Recipient is one target with what became of it.
type Recipient struct {
	Target  mail.Target
	Outcome mail.Outcome
}

// Input is all that a report is made of.
type Input struct {
	Kind     Kind
	Envelope *mail.Envelope // of the message that the report is about
	// Recipients may hold some that want no report of the kind; they are left out.
	Recipients []Recipient

	ReportingMTA string // FQDN of this server
	Organization string // for the human part; may be empty

	ID    mail.ID // of the report
	Now   time.Time
	Until time.Time // Delay: when it will be given up; zero: not said

	// Original begins the message: all of it if Complete, else at least its
	// header. nil: nothing is returned with the report.
	Original []byte
	Complete bool

	// Postmaster is who answers for this server, and stands in From: a reply is to
	// reach a person (RFC 3461 section 6.2). It also turns a report about a message with null reverse path, which
	// may not go to its sender, into a notice to this address. Zero: none, and reports
	// come from postmaster at ReportingMTA.
	Postmaster mail.Address
}

// MaxReturn is the largest message in octets that comes back whole; of larger
// ones the header does. A caller need not read more of the original.
const MaxReturn = 256 << 10

// Report writes the report, its envelope ready to be submitted (ID, times, Size
// and recipients set). ok is false when none is due: nobody asked for one, or
// the message is itself a report and there is no Postmaster (RFC 3461 section 6.2,
// RFC 5321 section 6.1: never a report about a report to its sender).
func Report(in Input) (content []byte, env mail.Envelope, ok bool) {
	in.Recipients = wanted(in)
	if len(in.Recipients) == 0 {
		return nil, mail.Envelope{}, false
	}
	to := in.Envelope.From
	if to.IsZero() {
		if in.Kind != Failure || in.Postmaster.IsZero() {
			return nil, mail.Envelope{}, false
		}
		to = in.Postmaster
	}
	w := newWriter(&in, to)
	content = w.message()
	env = mail.Envelope{
		ID: in.ID, Origin: in.ID, MessageID: w.messageID(),
		Received: in.Now, Created: in.Now, Size: int64(len(content)),
		// NOTIFY=NEVER: a report that cannot be delivered ends there (RFC 3461 section 6.2).
		Recipients: []mail.Recipient{{Address: to, Notify: mail.NotifyNever}},
		UTF8:       w.global,
		System:     true,
		Priority:   in.Envelope.Priority,
		// RFC 8689 section 5: a report goes as carefully as its message, where it can.
		RequireTLS: in.Envelope.RequireTLS,
	}
	if w.eightBit {
		env.Body = mail.Body8BitMIME
	}
	return content, env, true
}

func wanted(in Input) []Recipient {
	var list []Recipient
	for _, r := range in.Recipients {
		n := r.Target.Notify
		if in.Kind == Failure && n.WantsFailure() || in.Kind == Delay && n.WantsDelay() ||
			in.Kind >= Success && n.WantsSuccess() ||
			// RFC 2852 section 4: a trace is asked for by BY, not by NOTIFY.
			in.Kind == Relayed && r.Outcome.Traced && n&mail.NotifyNever == 0 {
			list = append(list, r)
		}
	}
	return list
}

// header is the header section of a message with its last CRLF, without the
// blank line.
func header(message []byte) []byte {
	if bytes.HasPrefix(message, []byte("\r\n")) {
		return nil
	}
	if i := bytes.Index(message, []byte("\r\n\r\n")); i >= 0 {
		return message[:i+2]
	}
	if i := bytes.LastIndex(message, []byte("\r\n")); i >= 0 {
		return message[:i+2]
	}
	return nil
}

// isASCII says whether b holds no octet above 127.
func isASCII[T string | []byte](b T) bool {
	for i := range len(b) {
		if b[i] >= 0x80 {
			return false
		}
	}
	return true
}
