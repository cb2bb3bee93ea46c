package smtpd

import (
	"errors"
	"os"

	"github.com/emersion/go-smtp"
)

// needRecipients says what is missing before content may come, with the code
// of RFC 5321 section 3.3.
func (c *Conn) needRecipients() reply {
	switch {
	case !c.tx.open:
		return outOfOrder("Send MAIL first")
	case c.tx.rcpts > 0:
		return reply{}
	case c.tx.tried > 0 && !c.cfg.LMTP: // RFC 2033 section 4.2 has 503 in any case
		// Not counted: a pipelining client could not know (RFC 2920 section 3.1).
		return reply{code: 554, enh: enhOrder, text: "No valid recipients"}
	}
	return outOfOrder("Send RCPT first")
}

// data is DATA (RFC 5321 section 4.1.1.4).
func (c *Conn) data(arg string) reply {
	if arg != "" {
		return syntax("DATA takes no argument")
	}
	if r := c.needRecipients(); r.code != 0 {
		return r
	}
	if c.tx.chunks {
		// RFC 3030 section 2: DATA and BDAT do not mix in one transaction.
		return outOfOrder("BDAT has begun")
	}
	if c.tx.binary {
		// RFC 3030 section 3: BINARYMIME goes by BDAT only.
		return outOfOrder("BODY=BINARYMIME needs BDAT")
	}
	c.send(ok(354, none, "Start mail input; end with <CRLF>.<CRLF>"))
	if c.ackDue {
		c.flush()
	}
	b := c.newBody(&dots{c: c, time: c.contentClock(), lenient: c.lenient()})
	err := c.deliver(b)
	if end := b.drain(); end != nil {
		return c.lost(end)
	}
	return c.settle(b, err)
}

// settle answers content that was read to its end, and ends the transaction.
func (c *Conn) settle(b *body, err error) reply {
	r := c.verdicts(b, err)
	c.resetTransaction()
	return r
}

// verdict words what the session said of the content.
func (c *Conn) verdict(b *body, err error) reply {
	switch {
	case b.fault != nil:
		return c.sessionReply("DATA", b.fault, localError())
	case err != nil:
		return c.sessionReply("DATA", err, localError())
	}
	c.messages++
	c.idle = 0
	c.ackDue = true
	if dr, ok := c.session.(DataReplier); ok {
		enh, text := dr.DataReply()
		return reply{code: 250, enh: enh, text: text}
	}
	return ok(250, smtp.EnhancedCode{2, 6, 0}, "Queued mail for delivery")
}

// lost ends the connection after content that will never be complete; nobody may
// take it for an accepted message.
func (c *Conn) lost(err error) reply {
	c.resetTransaction()
	if c.closed {
		return reply{} // the last word has been said
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return timedOut("message content")
	}
	return c.readError(err)
}
