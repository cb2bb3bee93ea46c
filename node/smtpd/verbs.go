package smtpd

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
)

// handle runs one command; the reply is sent by the caller.
func (c *Conn) handle(cmd command) reply {
	if cmd.verb != "BDAT" && c.isBarred(cmd.verb) { // its octets come all the same
		return c.barred(cmd.verb)
	}
	switch cmd.verb {
	case "MAIL":
		return c.mail(cmd.arg)
	case "RCPT":
		return c.rcpt(cmd.arg)
	case "BDAT":
		return c.bdat(cmd.arg)
	case "DATA":
		return c.data(cmd.arg)
	case "QUIT":
		return c.quit(cmd.arg)
	case "AUTH":
		return c.auth(cmd.arg)
	case "STARTTLS":
		return c.startTLS(cmd.arg)
	case "EHLO", "HELO", "LHLO", "RSET", "NOOP", "VRFY", "HELP", "ETRN":
		return c.handleIdle(cmd)
	case "ATRN":
		return c.atrn(cmd.arg)
	case "TURN":
		return c.bareTurn(cmd.arg)
	case "XCLIENT":
		return c.xclient(cmd.arg)
	case "X-LINK2STATE":
		return c.linkState(cmd.arg)
	case "EXPN", "SAML", "SEND", "SOML":
		return notImplemented(cmd.verb)
	}
	// RFC 5321 section 4.2.4: 500 for what is not known, 502 for what is.
	return refuse(500, enhOrder, "Command not recognized")
}

func (c *Conn) isBarred(verb string) bool { return c.barred(verb).code != 0 }

// barred is the answer to commands that have to wait for TLS (RFC 3207 section 4) or for
// AUTH (RFC 4954 section 6). Whom this side called has nothing to prove.
func (c *Conn) barred(verb string) reply {
	if c.Turned() || verb == "MAIL" {
		return reply{}
	}
	if c.cfg.TLSRequired && c.tls == nil {
		switch verb {
		case "NOOP", "EHLO", "LHLO", "STARTTLS", "QUIT":
			return reply{}
		}
		return refuse(530, smtp.EnhancedCode{5, 7, 0}, "Must issue a STARTTLS command first")
	}
	if c.cfg.AuthRequired && !c.Authenticated() && c.forward.Login == "" {
		switch verb {
		case "VRFY", "EXPN", "ETRN":
			return refuse(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required")
		}
	}
	return reply{}
}

// handleIdle runs the commands that move no mail; a stranger may not send them
// for ever.
func (c *Conn) handleIdle(cmd command) reply {
	if end := c.wasted(); end.code != 0 {
		return end
	}
	switch cmd.verb {
	case "EHLO", "HELO", "LHLO":
		return c.helloVerb(cmd)
	case "ETRN":
		return c.etrn(cmd.arg)
	case "RSET":
		return c.rset(cmd.arg)
	case "VRFY":
		return c.vrfy(cmd.arg)
	case "HELP":
		return c.help(cmd.arg)
	}
	// NOOP may have an argument, which means nothing (RFC 5321 section 4.1.1.9).
	return ok(250, smtp.EnhancedCode{2, 0, 0}, "OK")
}

// wasted counts a command that did nothing for a message, and ends the connection
// after too many of them.
func (c *Conn) wasted() (end reply) {
	c.idle++
	if c.idle > c.cfg.MaxIdleCommands && !c.Authenticated() {
		return hangup(421, smtp.EnhancedCode{4, 7, 0}, "Too many commands without mail")
	}
	return reply{}
}

// unless is r, or r and then the end of the connection.
func (c *Conn) unless(end, r reply) reply {
	if end.code == 0 {
		return r
	}
	c.send(r)
	if c.closed {
		return reply{}
	}
	return end
}

// helloVerb: an LMTP server must not take HELO and EHLO (RFC 2033 section 4.1), so that a
// mail relay that was pointed at it by mistake finds out.
func (c *Conn) helloVerb(cmd command) reply {
	switch {
	case c.cfg.LMTP != (cmd.verb == "LHLO"):
		return refuse(500, enhOrder, cmd.verb+" is not for "+map[bool]string{true: "LMTP", false: "SMTP"}[c.cfg.LMTP])
	case cmd.verb == "HELO":
		return c.hello(cmd.arg)
	}
	return c.ehlo(cmd.arg)
}

func notImplemented(verb string) reply {
	return refuse(502, enhOrder, verb+" is not implemented here")
}

func (c *Conn) rset(arg string) reply {
	if arg != "" {
		return syntax("RSET takes no argument")
	}
	c.resetTransaction()
	return ok(250, smtp.EnhancedCode{2, 0, 0}, "Resetting")
}

func (c *Conn) quit(arg string) reply {
	if arg != "" {
		return syntax("QUIT takes no argument")
	}
	return hangup(221, smtp.EnhancedCode{2, 0, 0}, c.cfg.Hostname+" Service closing transmission channel")
}

// vrfy is RFC 5321 sections 3.5 and 4.1.1.6; it may come before EHLO.
func (c *Conn) vrfy(arg string) reply {
	arg, wide := c.cutUTF8(arg)
	switch {
	case arg == "":
		return syntax("Syntax: VRFY string")
	case !wide && !isASCII(arg):
		return needsUTF8()
	}
	unsure := ok(252, smtp.EnhancedCode{2, 5, 0}, "Cannot VRFY user, but will take message for this user and attempt delivery")
	v, able := c.session.(Verifier)
	if !able {
		return unsure
	}
	text, err := v.Verify(arg)
	switch {
	case err != nil:
		return c.sessionReply("VRFY", err, localError())
	case !wide && !isASCII(text):
		return unsure
	}
	return ok(250, smtp.EnhancedCode{2, 1, 5}, text)
}

// cutUTF8 takes the parameter off by which VRFY allows UTF-8 in it and in the
// reply (RFC 6531 section 3.7.4.2).
func (c *Conn) cutUTF8(arg string) (rest string, given bool) {
	const param = " SMTPUTF8"
	if n := len(arg) - len(param); n > 0 && c.esmtp && c.offersUTF8() && strings.EqualFold(arg[n:], param) {
		return strings.TrimRight(arg[:n], " "), utf8.ValidString(arg)
	}
	return arg, false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// help is RFC 5321 section 4.1.1.8.
func (c *Conn) help(topic string) reply {
	text := "This server supports the following commands:\n" + strings.Join(c.verbs(), " ")
	if h, able := c.session.(Helper); able {
		if lines := h.Help(topic); len(lines) > 0 {
			text = strings.Join(lines, "\n")
		}
	}
	return ok(214, smtp.EnhancedCode{2, 0, 0}, text)
}

// verbs are those that this client can use at this moment.
func (c *Conn) verbs() []string {
	list := []string{"HELO", "EHLO"}
	if c.cfg.LMTP {
		list = []string{"LHLO"}
	}
	add := func(offered bool, verb string) {
		if offered {
			list = append(list, verb)
		}
	}
	add(c.offersTLS(), "STARTTLS")
	list = append(list, "RCPT", "DATA", "RSET", "MAIL", "QUIT", "HELP")
	add(len(c.mechanisms()) > 0, "AUTH")
	add(c.offersATRN(), "ATRN")
	add(c.offersTURN(), "TURN")
	add(c.offersETRN(), "ETRN")
	add(c.cfg.offers(ExtChunking), "BDAT")
	add(c.mayXClient, "XCLIENT")
	add(!c.isBarred("VRFY"), "VRFY")
	return append(list, "NOOP")
}
