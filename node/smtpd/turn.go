package smtpd

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/postroad/postroad/node/mail"
)

// QueueStarter is a session that answers ETRN (RFC 1985); EHLO then lists it where
// StartsQueues is true. StartQueue is given the argument: a domain, "@domain"
// for it and all below it, or "#queue". It returns how many messages are
// waiting; negative: that the queue was started, uncounted. An error that is no
// *smtp.SMTPError is answered 458; a node that may not have its queue started
// gets 459.
type QueueStarter interface {
	Session
	StartsQueues() bool
	StartQueue(node string) (waiting int, err error)
}

// Turner is a session that hands mail over on the same connection, in the
// opposite direction, after ATRN (RFC 2645) or TURN (RFC 5321 appendix F.1).
// AllowsATRN and AllowsTURN are asked for EHLO and for the command; the engine
// takes neither before AUTH. OffersATRN is asked for EHLO before AUTH: a client looks
// for the keyword before it shows who it is (RFC 2645 section 8). domains is empty if the client named none. An error that is no
// *smtp.SMTPError is answered 451; RFC 2645 section 5 has 450 for refused and 453 for
// no mail.
type Turner interface {
	Session
	OffersATRN() bool
	AllowsATRN() bool
	AllowsTURN() bool
	Turn(domains []string) (Reversal, error)
}

// Reversal goes on as the client on a connection, after the 250 to ATRN or TURN: what
// it reads first is the other end's greeting. The session has been logged out by
// then. The context ends when the server shuts down; Shutdown waits for the
// return. Afterwards the connection is closed.
type Reversal func(context.Context, net.Conn)

func (c *Conn) offersETRN() bool {
	s, able := c.session.(QueueStarter)
	return able && s.StartsQueues() && !c.isBarred("ETRN")
}

func (c *Conn) listsATRN() bool {
	if c.Authenticated() {
		return c.offersATRN()
	}
	s, able := c.session.(Turner)
	return able && s.OffersATRN()
}

func (c *Conn) offersATRN() bool {
	s, able := c.session.(Turner)
	return able && c.Authenticated() && s.AllowsATRN()
}

func (c *Conn) offersTURN() bool {
	s, able := c.session.(Turner)
	return able && c.Authenticated() && s.AllowsTURN()
}

// etrn is RFC 1985 section 5.
func (c *Conn) etrn(arg string) reply {
	switch {
	case c.session == nil || !c.esmtp:
		return outOfOrder("Send EHLO first")
	case c.tx.open:
		return outOfOrder("ETRN is not allowed during a mail transaction")
	case !isETRNNode(arg):
		return syntax("Syntax: ETRN domain, @domain or #queue")
	case !c.offersETRN():
		return reply{code: 459, enh: smtp.EnhancedCode{4, 7, 1}, text: "Node " + arg + " not allowed: no queue is started on request here"}
	}
	waiting, err := c.session.(QueueStarter).StartQueue(arg)
	switch {
	case err != nil:
		return c.sessionReply("ETRN", err, reply{code: 458, enh: smtp.EnhancedCode{4, 3, 0}, text: "Unable to queue messages for node " + arg})
	case waiting == 0:
		return ok(251, smtp.EnhancedCode{2, 0, 0}, "OK, no messages waiting for node "+arg)
	case waiting > 0:
		return ok(253, smtp.EnhancedCode{2, 0, 0}, "OK, "+strconv.Itoa(waiting)+" pending messages for node "+arg+" started")
	}
	return ok(250, smtp.EnhancedCode{2, 0, 0}, "OK, queuing for node "+arg+" started")
}

// isETRNNode checks the argument's form (RFC 1985 section 5.3).
func isETRNNode(s string) bool {
	if queue, named := strings.CutPrefix(s, "#"); named {
		return queue != "" && len(queue) <= 255 && isPrintable(queue) && !strings.Contains(queue, " ")
	}
	return isTurnDomain(strings.TrimPrefix(s, "@"))
}

func isTurnDomain(s string) bool {
	_, err := mail.ParseAddress("x@" + s)
	return err == nil && isPrintable(s)
}

// atrn is RFC 2645 section 5.
func (c *Conn) atrn(arg string) reply {
	switch {
	case c.session == nil || !c.esmtp:
		return outOfOrder("Send EHLO first")
	case c.tx.open:
		return outOfOrder("ATRN is not allowed during a mail transaction")
	}
	domains, fine := turnDomains(arg)
	switch {
	case !fine:
		return syntax("Syntax: ATRN [domain[,domain]...]")
	case !c.Authenticated():
		return refuse(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required")
	case !c.offersATRN():
		return reply{code: 450, enh: smtp.EnhancedCode{4, 7, 1}, text: "ATRN request refused"}
	}
	return c.turn("ATRN", domains)
}

// maxTurnDomains bounds the list; the line bounds it too.
const maxTurnDomains = 100

func turnDomains(arg string) (domains []string, ok bool) {
	if arg == "" {
		return nil, true
	}
	for d := range strings.SplitSeq(arg, ",") {
		if !isTurnDomain(d) || len(domains) == maxTurnDomains {
			return nil, false
		}
		domains = append(domains, d)
	}
	return domains, true
}

// bareTurn is TURN. RFC 5321 appendix F.1 forbids it without a proof of who asks,
// since anybody could fetch anybody's mail.
func (c *Conn) bareTurn(arg string) reply {
	switch {
	case arg != "":
		return syntax("TURN takes no argument")
	case !c.offersTURN():
		return notImplemented("TURN")
	case c.tx.open:
		return outOfOrder("TURN is not allowed during a mail transaction")
	}
	return c.turn("TURN", nil)
}

// turn changes roles.
func (c *Conn) turn(verb string, domains []string) reply {
	reversal, err := c.session.(Turner).Turn(domains)
	if err != nil {
		return c.sessionReply(verb, err, reply{code: 451, enh: smtp.EnhancedCode{4, 3, 0}, text: "Unable to process " + verb + " request now"})
	}
	r := ok(250, smtp.EnhancedCode{2, 0, 0}, "OK now reversing the connection")
	return c.handOver(r, func(ctx context.Context, nc net.Conn) { reversal(ctx, &reversed{nc, &c.in}) })
}

// turnedGrace is how long a message on a turned connection may take to come to its end
// when the connection is given up.
const turnedGrace = 10 * time.Second

// ServeTurned serves a connection that this side opened as a client and on which the
// roles have changed after ATRN or TURN (RFC 2645 section 5.3): this side greets now.
// What limits strangers (PROXY, XCLIENT, TLS before the greeting, numbers of
// connections) does not count. It returns how many messages were taken, when the
// connection is closed; when ctx ends that is after the message under way. A
// connection under TLS stays so.
func (s *Server) ServeTurned(ctx context.Context, nc net.Conn) int {
	c := s.admit(nc, ctx)
	if c == nil {
		return 0
	}
	if t, ok := nc.(*tls.Conn); ok {
		c.tls = t
	}
	stop := context.AfterFunc(ctx, func() {
		c.interrupt()
		grace := time.NewTimer(turnedGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			nc.Close()
		case <-c.ctx.Done():
		}
	})
	defer stop()
	c.serve()
	return c.messages
}

// handOver sends the last reply of SMTP and gives the connection to another protocol.
func (c *Conn) handOver(last reply, take func(context.Context, net.Conn)) reply {
	c.send(last)
	c.flush()
	c.closed = true
	if c.broken {
		return reply{}
	}
	c.logout()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	go func() {
		select {
		case <-c.server.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	c.raw.SetDeadline(time.Time{})
	c.broken = true // no SMTP reply follows, whatever happens
	take(ctx, c.conn)
	return reply{}
}

// reversed is a connection of which a part may have been read already.
type reversed struct {
	net.Conn
	in *input
}

func (r *reversed) Read(p []byte) (int, error) {
	if !r.in.empty() {
		n := copy(p, r.in.window())
		r.in.advance(n)
		return n, nil
	}
	return r.Conn.Read(p)
}
