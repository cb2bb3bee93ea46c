package deliver

import (
	"errors"
	"fmt"
	"os"

	"github.com/postroad/postroad/node/mail"
)

// ConnectError is a failure of the connection, not of one message. When it is
// not Temporary, no host of the hop will ever take mail: Outcome is then the
// verdict on every message behind the hop. Serve took no transaction, or has
// reported each that it took.
type ConnectError struct {
	Outcome   mail.Outcome
	Temporary bool
	Err       error // what lies beneath; may be nil
}

// Error is the outcome in words.
func (e *ConnectError) Error() string {
	s := e.Outcome.Text
	if e.Outcome.Remote != "" {
		s = e.Outcome.Remote + ": " + s
	}
	return s
}

// Unwrap gives the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

func refuse(o mail.Outcome) *ConnectError {
	return &ConnectError{Outcome: o, Temporary: o.Result != mail.Failed}
}

// outOfStep is the status of a peer that does not keep to the protocol. It is
// transient: it says nothing about the message.
var outOfStep = mail.Status{Class: 4, Subject: 5}

// protocolError is a peer's breach of the protocol, in words.
type protocolError string

func (e protocolError) Error() string { return string(e) }

// lost turns an error of the connection into the outcome of what was in flight.
func lost(err error, waitingFor string) mail.Outcome {
	var p protocolError
	switch {
	case errors.As(err, &p):
		return mail.Defer(outOfStep, "the host does not keep to the protocol: "+string(p))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return mail.Defer(mail.StatusDropped, "the host went silent; no answer to "+waitingFor+" in time")
	}
	return mail.Defer(mail.StatusDropped, fmt.Sprintf("the connection was lost while waiting for the answer to %s: %v", waitingFor, err))
}
