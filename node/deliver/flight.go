package deliver

import (
	"time"

	"github.com/postroad/postroad/node/mail"
)

// delivery is one transaction of the feed.
type delivery struct {
	t        *mail.Transaction
	plan     plan
	outcomes []mail.Outcome
	decided  []bool
	flights  int // not yet complete; guarded by session.mu
	// carried: not reported, since what is not decided goes over another connection.
	carried bool
}

func newDelivery(t *mail.Transaction) *delivery {
	return &delivery{t: t, outcomes: make([]mail.Outcome, len(t.Targets)), decided: make([]bool, len(t.Targets))}
}

func (d *delivery) decide(target int, o mail.Outcome, remote string, now time.Time) {
	if d.decided[target] {
		return
	}
	if o.Remote == "" {
		o.Remote = remote
	}
	o.At = now
	d.outcomes[target], d.decided[target] = o, true
}

// flight is one SMTP transaction: a delivery, or the part of it that the peer
// takes recipients for at once. Its fields are guarded by session.mu from when it
// is in the FIFO until it is answered.
type flight struct {
	d       *delivery
	targets []int // indexes into d.t.Targets
	size    int64

	refused  bool // MAIL was refused
	accepted int  // recipients accepted and not decided
	dataCode int  // the reply to DATA, 0 before
	// dataWanted: a recipient waits for the content after the 354.
	dataWanted bool

	answered bool // all that will be answered has been
	parts    int  // of two: answered, released
}

// step is a command that a reply is expected for.
type step uint8

const (
	stepReset step = iota
	stepMail
	stepRcpt
	stepData
	stepEnd // the final dot, or the last chunk
	stepQuit
)

func (s step) String() string {
	return [...]string{"RSET", "MAIL", "RCPT", "DATA", "the end of the message", "QUIT"}[s]
}

// expectation is one reply to come.
type expectation struct {
	f      *flight
	step   step
	target int   // stepRcpt
	end    int64 // offset in the stream at which the command ends
}

func (t *Timeouts) of(s step) time.Duration {
	switch s {
	case stepRcpt:
		return t.Rcpt
	case stepData:
		return t.Data
	case stepEnd:
		return t.End
	case stepQuit:
		return t.Quit
	}
	return t.Mail
}
