package smtpd

import (
	"github.com/emersion/go-smtp"
)

// statuses collects what an [smtp.LMTPSession] says of the recipients one by one.
type statuses struct {
	names []string // as accepted, in order
	errs  []error
	known []bool
}

// SetStatus implements smtp.StatusCollector: the same recipient given twice has
// two statuses, in order.
func (s *statuses) SetStatus(rcptTo string, err error) {
	for i, name := range s.names {
		if name == rcptTo && !s.known[i] {
			s.errs[i], s.known[i] = err, true
			return
		}
	}
}

// deliver hands the content to the session.
func (c *Conn) deliver(b *body) error {
	if s, able := c.session.(smtp.LMTPSession); able && c.cfg.LMTP {
		n := len(c.tx.names)
		c.tx.each = &statuses{c.tx.names, make([]error, n), make([]bool, n)}
		return s.LMTPData(b, c.tx.each)
	}
	return c.session.Data(b)
}

// verdicts are the replies after the content: one, or with LMTP one for each
// accepted recipient in order (RFC 2033 section 4.2). All but the last are sent.
func (c *Conn) verdicts(b *body, err error) reply {
	if !c.cfg.LMTP {
		return c.verdict(b, err)
	}
	if e := c.tx.each; e != nil && b.fault == nil {
		return c.repeat(func(i int) reply {
			if e.known[i] {
				return c.judge(b, e.errs[i])
			}
			return c.judge(b, err)
		})
	}
	r := c.judge(b, err)
	return c.repeat(func(int) reply { return r })
}

// judge words one of several verdicts on a message, which count as one message.
func (c *Conn) judge(b *body, err error) reply {
	counted := c.messages
	r := c.verdict(b, err)
	if c.messages > counted && c.tx.accepted {
		c.messages = counted
	}
	c.tx.accepted = c.tx.accepted || c.messages > counted
	return r
}

// repeat sends a reply for each accepted recipient but the last, whose reply it
// returns.
func (c *Conn) repeat(reply func(i int) reply) reply {
	last := len(c.tx.names) - 1
	for i := range last {
		c.send(reply(i))
	}
	return reply(last)
}
