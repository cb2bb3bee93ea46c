package submit

import (
	"errors"
	"fmt"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// Refusal is why a message was not accepted, in the words for its sender. The
// cause, which may tell of disks and files, is for the log only.
type Refusal struct {
	reply mail.Reply
	cause error
}

// Reply is what to answer.
func (r *Refusal) Reply() mail.Reply { return r.reply }

// Error holds the reply and the cause.
func (r *Refusal) Error() string {
	if r.cause == nil {
		return r.reply.String()
	}
	return r.reply.String() + ": " + r.cause.Error()
}

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.cause }

func refuse(code int, s mail.Status, cause error, format string, args ...any) *Refusal {
	return &Refusal{mail.Reply{Code: code, Status: s, Lines: []string{fmt.Sprintf(format, args...)}}, cause}
}

func tooLarge(limit int64) error {
	return refuse(552, mail.StatusTooLarge, nil, "Message is larger than the %d octets allowed here", limit)
}

func headerTooLarge() error {
	return refuse(552, mail.StatusTooLarge, nil, "Message header is larger than %d octets", maxHeader)
}

// hopCount is worded by RFC 5321 section 6.3; the code is the book's for loops.
func hopCount(hops, limit int) error {
	return refuse(554, mail.StatusForwardingLoop, nil, "Hop count exceeded - possible mail loop: %d Received fields, the limit is %d", hops, limit)
}

// comesBack is a loop that is found long before the hop count is reached.
func comesBack(times int) error {
	return refuse(554, mail.StatusForwardingLoop, nil, "Mail loop: the message has been at this server %d times before", times)
}

// storage sorts a failure of the spool: the client is to try again whatever it
// was, because the message may be good.
func storage(err error) error {
	if errors.Is(err, spool.ErrFull) {
		return refuse(452, mail.StatusSystemFull, err, "Insufficient system storage")
	}
	return refuse(451, mail.Status{Class: 4, Subject: 3}, err, "Message could not be stored, try again later")
}
