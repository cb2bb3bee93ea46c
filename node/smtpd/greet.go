package smtpd

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// greeting is the 220, or the refusal of the connection.
func (c *Conn) greeting() reply {
	if c.refused {
		return hangup(421, smtp.EnhancedCode{4, 7, 0}, c.cfg.Hostname+" Too many connections, try again later")
	}
	banner := c.cfg.Banner
	if g, able := c.server.backend.(Greeter); able {
		own, err := g.Greet(c)
		if err != nil {
			r := c.sessionReply("CONNECT", err, reply{code: 421, enh: smtp.EnhancedCode{4, 3, 0}, text: "Service not available"})
			// RFC 5321 section 3.1 would let a refused client go on to QUIT; it has
			// nothing to gain from that.
			r.close = true
			return r
		}
		if own != "" {
			banner = own
		}
	}
	return ok(220, none, c.cfg.Hostname+" "+banner)
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
	add := func(e Extensions, keyword string) {
		if c.cfg.offers(e) {
			list = append(list, keyword)
		}
	}
	add(ExtPipelining, "PIPELINING")
	add(ExtDSN, "DSN")
	list = append(list, "ENHANCEDSTATUSCODES")
	add(Ext8BitMIME, "8BITMIME")
	add(ExtChunking, "CHUNKING")
	add(ExtSMTPUTF8, "SMTPUTF8")
	if c.offersTLS() {
		list = append(list, "STARTTLS")
	}
	if m := c.mechanisms(); len(m) > 0 {
		list = append(list, "AUTH "+strings.Join(m, " "))
	}
	if c.acceptsPassport() {
		list = append(list, "XPOSTROAD")
	}
	if _, able := c.session.(Verifier); able {
		list = append(list, "VRFY")
	}
	return append(list, "HELP")
}
