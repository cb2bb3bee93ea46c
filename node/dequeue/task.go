package dequeue

import (
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Task is what is to be asked of one provider.
type Task struct {
	Connector mail.GUID
	Name      string // of the connector
	Verb      mail.Dequeuing
	// What is asked for: domains, or what ETRN has beside them.
	What []string
	// Hop leads to the provider.
	Hop mail.Hop
	// Open is when to ask, nil: always. Interval is how often, in whole minutes; 0:
	// not by the clock.
	Open     *mail.Timetable
	Interval time.Duration
	// WithDelivery: after deliveries over the connector too.
	WithDelivery bool
	// VirtualServer takes what comes on a turned connection; "": the first.
	VirtualServer string
}

// Due says whether the clock wants the task at a whole minute. Intervals count from
// the beginning of the day in UTC, so that all nodes agree and a restart moves nothing.
func (t *Task) Due(at time.Time) bool {
	if t.Interval < time.Minute || !t.Open.IsOpen(at) {
		return false
	}
	minute := at.UTC().Hour()*60 + at.UTC().Minute()
	return minute%int(t.Interval/time.Minute) == 0
}

// Answer is what the provider said to one command.
type Answer struct {
	What  string
	Reply mail.Reply
}

// Outcome of asking.
type Outcome uint8

// Outcomes, as metrics and logs name them.
const (
	Granted Outcome = iota // mail comes, or came
	NoMail                 // there is none
	Refused                // an answer that is neither
	Failed                 // no answer
)

// String is the word for metrics.
func (o Outcome) String() string { return [...]string{"granted", "no_mail", "refused", "failed"}[o] }

// Report is what became of asking once.
type Report struct {
	Task     Task
	Remote   string // the provider's host and address
	Answers  []Answer
	Messages int // that came on a turned connection
	Err      error
}

// codeNoMail: RFC 2645 section 7. 251 is ETRN's (RFC 1985 section 5.3).
const codeNoMail = 453

// Outcome of an answer.
func (a Answer) Outcome() Outcome {
	switch {
	case a.Reply.Code == 251, a.Reply.Code == codeNoMail:
		return NoMail
	case a.Reply.Code/100 == 2:
		return Granted
	}
	return Refused
}

// Outcome is that of the whole: one that brings mail counts more than one that does
// not, and a refusal more than that there is none.
func (r *Report) Outcome() Outcome {
	if r.Err != nil {
		return Failed
	}
	worst := NoMail
	for _, a := range r.Answers {
		switch o := a.Outcome(); {
		case o == Granted:
			return Granted
		case o == Refused:
			worst = Refused
		}
	}
	return worst
}
