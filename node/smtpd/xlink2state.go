package smtpd

import (
	"context"
	"net"

	"github.com/emersion/go-smtp"
)

// LinkStateSession is a session of another node of the organisation, which may
// exchange link state over this connection where nothing but the mail port is
// open. Where AcceptsLinkState is true (asked at EHLO and at the command, so it
// may become true by AUTH), EHLO offers X-LINK2STATE. LinkState is asked at the command;
// its error refuses it, one that is no *smtp.SMTPError as 451 4.3.0.
type LinkStateSession interface {
	Session
	AcceptsLinkState() bool
	LinkState() (LinkStateCarrier, error)
}

// LinkStateCarrier has the connection after the 220 to X-LINK2STATE; it is no SMTP
// any more. The session has been logged out by then. The context ends when the
// server shuts down; Shutdown waits for the return. Afterwards the connection is
// closed.
type LinkStateCarrier func(context.Context, net.Conn)

func (c *Conn) offersLinkState() bool {
	s, able := c.session.(LinkStateSession)
	return able && c.Authenticated() && s.AcceptsLinkState()
}

// linkState is X-LINK2STATE. The original took this verb from anybody and put
// together what came, unbounded: MS05-021. Here nobody but a node gets past the
// first two lines, and the command itself has nothing to parse.
func (c *Conn) linkState(arg string) reply {
	switch {
	case c.session == nil || !c.esmtp:
		return outOfOrder("Send EHLO first")
	case !c.Authenticated():
		return refuse(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required")
	case !c.offersLinkState():
		return refuse(550, smtp.EnhancedCode{5, 7, 1}, "X-LINK2STATE is for nodes of this organization")
	case arg != "":
		return syntax("X-LINK2STATE takes no argument")
	case c.tx.open:
		return outOfOrder("X-LINK2STATE is not allowed during a mail transaction")
	case !c.in.empty():
		// Whoever does not wait for the 220 does not know what this is.
		return hangup(501, enhOrder, "X-LINK2STATE must be the last command sent")
	}
	carry, err := c.session.(LinkStateSession).LinkState()
	if err != nil {
		return c.sessionReply("X-LINK2STATE", err, localError())
	}
	// Like STARTTLS (RFC 3207 section 4): 220, and the connection speaks another protocol.
	return c.handOver(ok(220, smtp.EnhancedCode{2, 0, 0}, "Ready for link state"), carry)
}
