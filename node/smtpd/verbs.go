package smtpd

import (
	"strings"

	"github.com/emersion/go-smtp"
)

// handle runs one command; the reply is sent by the caller.
func (c *Conn) handle(cmd command) reply {
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
	case "EHLO", "HELO", "RSET", "NOOP", "VRFY", "HELP":
		return c.handleIdle(cmd)
	case "ATRN", "ETRN", "EXPN", "SAML", "SEND", "SOML", "TURN":
		return notImplemented(cmd.verb)
	}
	// RFC 5321 section 4.2.4: 500 for what is not known, 502 for what is.
	return refuse(500, enhOrder, "Command not recognized")
}

// handleIdle runs the commands that move no mail; a stranger may not send them
// for ever.
func (c *Conn) handleIdle(cmd command) reply {
	c.idle++
	if c.idle > c.cfg.MaxIdleCommands && !c.Authenticated() {
		return hangup(421, smtp.EnhancedCode{4, 7, 0}, "Too many commands without mail")
	}
	switch cmd.verb {
	case "EHLO":
		return c.ehlo(cmd.arg)
	case "HELO":
		return c.hello(cmd.arg)
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
	if arg == "" {
		return syntax("Syntax: VRFY string")
	}
	if v, able := c.session.(Verifier); able {
		text, err := v.Verify(arg)
		if err != nil {
			return c.sessionReply("VRFY", err, localError())
		}
		return ok(250, smtp.EnhancedCode{2, 1, 5}, text)
	}
	return ok(252, smtp.EnhancedCode{2, 5, 0}, "Cannot VRFY user, but will take message for this user and attempt delivery")
}

const helpText = "This server supports the following commands:\n" +
	"HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT VRFY NOOP"

// help is RFC 5321 section 4.1.1.8.
func (c *Conn) help(topic string) reply {
	text := helpText
	if h, able := c.session.(Helper); able {
		if lines := h.Help(topic); len(lines) > 0 {
			text = strings.Join(lines, "\n")
		}
	}
	return ok(214, smtp.EnhancedCode{2, 0, 0}, text)
}
