package smtpd

import (
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// greeting is the 220, or the refusal of the connection.
func (c *Conn) greeting() reply {
	if c.refused != "" {
		return hangup(421, smtp.EnhancedCode{4, 7, 0}, c.cfg.Hostname+" "+c.refused)
	}
	banner := c.cfg.Banner
	if g, able := c.server.backend.(Greeter); able {
		own, err := g.Greet(c)
		if err != nil {
			r := c.sessionReply("CONNECT", err, reply{code: 421, enh: smtp.EnhancedCode{4, 3, 0}, text: "Service not available"})
			// RFC 5321 section 3.1: after 554 the client is to say QUIT; after any
			// other refusal there is nothing to wait for.
			r.close = r.code != 554
			c.unwelcome = r.code == 554
			return r
		}
		if own != "" {
			banner = own
		}
	}
	return ok(220, none, c.cfg.Hostname+" "+banner)
}

// patience is how long a refused client has for its QUIT.
const patience = 30 * time.Second

// dismiss answers a client that got 554 for a greeting: 503 to all but QUIT.
func (c *Conn) dismiss() {
	cfg := *c.cfg
	cfg.Timeouts.Command = min(patience, cfg.Timeouts.Command)
	c.cfg = &cfg
	for !c.closed {
		cmd, err := c.readCommand()
		switch {
		case err != nil:
			c.send(c.readError(err))
		case cmd.verb == "QUIT":
			c.send(c.quit(cmd.arg))
		default:
			c.send(outOfOrder("You have been refused; only QUIT is left"))
		}
	}
}

// isHello says whether s can be the argument of HELO or EHLO: a domain or an
// address literal, and a little more, since RFC 5321 section 4.1.4 forbids to
// refuse a client for a wrong name and some have underscores in theirs.
func isHello(s string) bool {
	if len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && strings.IndexByte("-._[]:", c) < 0 {
			return false
		}
	}
	return s != ""
}

// greet is what HELO and EHLO have in common (RFC 5321 section 4.1.1.1): the
// name, a session, and the effect of RSET.
func (c *Conn) greet(name string, esmtp bool) reply {
	if !isHello(name) {
		return syntax("A domain or address literal is needed")
	}
	was, wasESMTP := c.helo, c.esmtp
	c.helo, c.esmtp = name, esmtp
	if c.session == nil {
		s, err := c.server.backend.NewSession(c)
		if err != nil {
			c.helo, c.esmtp = was, wasESMTP
			return c.sessionReply("EHLO", err, localError())
		}
		c.session = s
		return reply{}
	}
	c.resetTransaction()
	return reply{}
}

func (c *Conn) hello(arg string) reply {
	if r := c.greet(arg, false); r.code != 0 {
		return r
	}
	return ok(250, none, c.welcome())
}

func (c *Conn) welcome() string {
	if c.client.IsValid() {
		return c.cfg.Hostname + " Hello [" + c.client.String() + "]"
	}
	return c.cfg.Hostname + " Hello " + c.helo
}

func (c *Conn) ehlo(arg string) reply {
	if r := c.greet(arg, true); r.code != 0 {
		return r
	}
	// RFC 2034 section 4: no enhanced code in the reply to EHLO.
	return ok(250, none, strings.Join(c.keywords(), "\n"))
}

// keywords are the lines of the EHLO reply.
func (c *Conn) keywords() []string {
	list := []string{c.welcome(), "SIZE"}
	if n := c.maxSize(); n > 0 {
		list[1] = "SIZE " + strconv.FormatInt(n, 10)
	}
	add := func(offered bool, keyword string) {
		if offered {
			list = append(list, keyword)
		}
	}
	add(c.cfg.offers(ExtPipelining), "PIPELINING")
	add(c.cfg.offers(ExtDSN), "DSN")
	list = append(list, "ENHANCEDSTATUSCODES")
	add(c.cfg.offers(Ext8BitMIME), "8BITMIME")
	add(c.offersBinary(), "BINARYMIME")
	add(c.cfg.offers(ExtChunking), "CHUNKING")
	add(c.offersUTF8(), "SMTPUTF8")
	add(c.offersTLS(), "STARTTLS")
	if m := c.mechanisms(); len(m) > 0 {
		list = append(list, "AUTH "+strings.Join(m, " "))
	}
	add(c.offersRequireTLS(), "REQUIRETLS")
	if c.offersExtended(ExtDeliverBy) {
		// RFC 2852 section 3: the shortest time may follow.
		list = append(list, "DELIVERBY")
		if c.cfg.MinDeliverBy > 0 {
			list[len(list)-1] += " " + wholeSeconds(c.cfg.MinDeliverBy)
		}
	}
	add(c.offersExtended(ExtMTPriority), "MT-PRIORITY")
	if c.offersHold() {
		// RFC 4865 section 3: the longest interval, and the latest moment.
		latest := time.Now().Add(c.cfg.MaxHold).UTC().Format(time.RFC3339)
		list = append(list, "FUTURERELEASE "+strconv.FormatInt(int64(c.cfg.MaxHold/time.Second), 10)+" "+latest)
	}
	if l := c.limits(); l != "" {
		list = append(list, "LIMITS"+l)
	}
	add(c.offersETRN(), "ETRN")
	add(c.listsATRN(), "ATRN")
	add(c.offersTURN(), "TURN")
	add(c.acceptsPassport(), "XPOSTROAD")
	add(c.offersLinkState(), "X-LINK2STATE")
	add(c.mayXClient && !c.isBarred("XCLIENT"), "XCLIENT "+xclientAttributes)
	_, verifies := c.session.(Verifier)
	add(verifies && !c.isBarred("VRFY"), "VRFY")
	add(!c.isBarred("HELP"), "HELP")
	return list
}

// limits are the parameters of LIMITS (RFC 9422 section 4).
func (c *Conn) limits() (list string) {
	if !c.cfg.offers(ExtLimits) {
		return ""
	}
	for _, l := range []struct {
		name string
		max  int
	}{{"MAILMAX", c.cfg.MaxMessages}, {"RCPTMAX", c.maxRecipients()}, {"RCPTDOMAINMAX", c.cfg.MaxRecipientDomains}} {
		if l.max > 0 {
			list += " " + l.name + "=" + strconv.Itoa(l.max)
		}
	}
	return list
}
