package smtpd

import (
	"strings"
	"time"
)

// Exchange is a command with its final reply.
type Exchange struct {
	// Verb is "" for the greeting. Argument is what followed it; of AUTH the
	// mechanism only, for the rest is a secret.
	Verb, Argument string
	Code           int
	// Received and Sent are octets since the exchange before, content included;
	// TLS is not counted.
	Received, Sent int64
	Took           time.Duration
}

// Observer is a backend that wants to know of every exchange, for a protocol
// log. Observing is asked at each command; Observe is called from the
// connection's goroutine before the reply is written, and must not block.
type Observer interface {
	Observing() bool
	Observe(c *Conn, e Exchange)
}

// Session is the session of the connection; nil before HELO.
func (c *Conn) Session() Session { return c.session }

// observed is the exchange under way.
type observed struct {
	by       Observer // nil: nobody wants to know of this one
	verb     string
	argument string
	begun    time.Time
	received int64 // input.taken at its begin
	sent     int64
}

// observe begins an exchange.
func (c *Conn) observe(verb, argument string, octets int) {
	o, able := c.server.backend.(Observer)
	if !able || !o.Observing() {
		c.watch = observed{}
		return
	}
	if verb == "AUTH" {
		argument, _, _ = strings.Cut(argument, " ")
	}
	c.watch = observed{by: o, verb: verb, argument: argument, begun: time.Now(), received: c.in.taken - int64(octets)}
}

// tell ends the exchange with a reply; 3yz are in the middle of one.
func (c *Conn) tell(code, octets int) {
	w := &c.watch
	if w.by == nil {
		return
	}
	w.sent += int64(octets)
	if code/100 == 3 {
		return
	}
	w.by.Observe(c, Exchange{
		Verb: w.verb, Argument: w.argument, Code: code,
		Received: c.in.taken - w.received, Sent: w.sent, Took: time.Since(w.begun),
	})
	*w = observed{}
}
