package smtpd

import (
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

// cutKeyword takes "FROM:" or "TO:" off, in any case.
func cutKeyword(s, keyword string) (string, bool) {
	if len(s) < len(keyword) || !strings.EqualFold(s[:len(keyword)], keyword) {
		return s, false
	}
	return s[len(keyword):], true
}

// The enhanced codes of RFC 3463 section 3.2 for addresses that cannot be read.
var (
	enhSender    = smtp.EnhancedCode{5, 1, 7}
	enhRecipient = smtp.EnhancedCode{5, 1, 3}
)

// badPath may quote the address; without SMTPUTF8 a reply is ASCII (RFC 6531
// section 3.7.4.2).
func badPath(enh smtp.EnhancedCode, err error) reply {
	text := strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, err.Error())
	return refuse(501, enh, "Syntax error in path: "+text)
}

// needsUTF8 is RFC 6531 section 3.5's code for an address that may not be used.
func needsUTF8() reply {
	return refuse(553, smtp.EnhancedCode{5, 6, 7}, "Address needs SMTPUTF8")
}

func tooBig() reply {
	return reply{code: 552, enh: smtp.EnhancedCode{5, 3, 4}, text: errTooBig.Message}
}

// maxRecipients is the limit of recipients of a message, 0 for none.
func (c *Conn) maxRecipients() int {
	if l, ok := c.session.(RecipientLimiter); ok {
		return l.MaxRecipients()
	}
	return c.cfg.MaxRecipients
}

func (c *Conn) acceptsPassport() bool {
	ps, ok := c.session.(PassportSession)
	return ok && ps.AcceptsPassport()
}

// maxSize is the message size limit, 0 for none.
func (c *Conn) maxSize() int64 {
	if l, ok := c.session.(SizeLimiter); ok {
		return l.MaxMessageSize()
	}
	return c.cfg.MaxMessageSize
}

// lineLimit is how long the line of a command may be, with CRLF.
func (c *Conn) lineLimit(verb string) int {
	switch {
	case verb == "AUTH":
		return maxAuthLine
	case verb == "MAIL" && c.acceptsPassport():
		return maxPassportLine
	}
	return maxCommandLine
}

// mail is MAIL FROM (RFC 5321 section 4.1.1.2).
func (c *Conn) mail(arg string) reply {
	switch {
	case c.session == nil:
		return outOfOrder("Send EHLO or HELO first")
	case c.tx.open:
		return outOfOrder("Sender already specified")
	}
	rest, found := cutKeyword(arg, "FROM:")
	if !found {
		return syntax("Syntax: MAIL FROM:<address>")
	}
	p, rest, err := parsePath(rest, c.cfg.StrictPaths)
	if err != nil {
		return badPath(enhSender, err)
	}
	// Only a recipient may be postmaster without a domain.
	if !p.null && strings.IndexByte(p.mailbox, '@') < 0 {
		return badPath(enhSender, errNoDomain)
	}
	var ps params
	if err := ps.parse(rest); err != nil {
		return syntax("Syntax error: " + err.Error())
	}
	if ps.n > 0 && !c.esmtp {
		return refuse(555, enhParam, "Parameters need EHLO")
	}
	req := &mailRequest{}
	for _, q := range ps.all() {
		if r := c.mailParam(req, q); r.code != 0 {
			return r
		}
	}
	if p.utf8 && !req.opts.UTF8 {
		return needsUTF8()
	}
	if by := req.ext.DeliverBy; !by.IsZero() && by.Deadline.Before(req.ext.HoldUntil) {
		return refuse(501, enhParam, "Parameter BY gives a time before the release of the message")
	}
	if max := c.cfg.MaxMessages; max > 0 && c.messages >= max {
		return hangup(421, smtp.EnhancedCode{4, 7, 0}, "Too many messages in this connection, open another")
	}
	return c.openTransaction(p, req)
}

func (c *Conn) openTransaction(p path, req *mailRequest) reply {
	if req.passport != "" {
		if err := c.session.(PassportSession).Passport(req.passport); err != nil {
			c.session.Reset()
			return c.sessionReply("MAIL", err, localError())
		}
	}
	if err := c.callMail(p.mailbox, req); err != nil {
		if req.passport != "" {
			c.session.Reset()
		}
		return c.unless(c.wasted(), c.sessionReply("MAIL", err, localError()))
	}
	c.tx = transaction{open: true, utf8: req.opts.UTF8, binary: req.opts.Body == smtp.BodyBinaryMIME}
	if p.null {
		return ok(250, smtp.EnhancedCode{2, 1, 0}, "<>....Sender OK")
	}
	return ok(250, smtp.EnhancedCode{2, 1, 0}, p.mailbox+"....Sender OK")
}

func (c *Conn) callMail(from string, req *mailRequest) error {
	if s, able := c.session.(ExtendedSession); able {
		return s.MailExtended(from, &req.opts, &req.ext)
	}
	return c.session.Mail(from, &req.opts)
}

// rcpt is RCPT TO (RFC 5321 section 4.1.1.3).
func (c *Conn) rcpt(arg string) reply {
	switch {
	case !c.tx.open:
		return outOfOrder("Send MAIL first")
	case c.tx.chunks:
		return outOfOrder("The content has begun")
	}
	c.tx.tried++
	rest, found := cutKeyword(arg, "TO:")
	if !found {
		return syntax("Syntax: RCPT TO:<address>")
	}
	p, rest, err := parsePath(rest, c.cfg.StrictPaths)
	if err != nil {
		return badPath(enhRecipient, err)
	}
	if p.null {
		return refuse(501, enhRecipient, "A recipient must not be null")
	}
	var ps params
	if err := ps.parse(rest); err != nil {
		return syntax("Syntax error: " + err.Error())
	}
	if ps.n > 0 && !c.esmtp {
		return refuse(555, enhParam, "Parameters need EHLO")
	}
	opts := &smtp.RcptOptions{}
	c.tx.original = ""
	for _, q := range ps.all() {
		if r := c.rcptParam(opts, q); r.code != 0 {
			return r
		}
	}
	if p.utf8 && !c.tx.utf8 {
		return needsUTF8()
	}
	if max := c.maxRecipients(); max > 0 && c.tx.rcpts >= max {
		return reply{code: 452, enh: smtp.EnhancedCode{4, 5, 3}, text: "Too many recipients"}
	}
	var domain string
	if max := c.cfg.MaxRecipientDomains; max > 0 {
		domain = recipientDomain(p.mailbox)
		if len(c.tx.domains) >= max && !c.tx.domains[domain] {
			// RFC 9422 section 4.3.
			return reply{code: 452, enh: smtp.EnhancedCode{4, 5, 3}, text: "Too many domains among the recipients"}
		}
	}
	if err := c.session.Rcpt(p.mailbox, opts); err != nil {
		return c.refusedRecipient(c.sessionReply("RCPT", err, localError()))
	}
	c.refusals = 0
	c.tx.rcpts++
	if c.cfg.MaxRecipientDomains > 0 {
		if c.tx.domains == nil {
			c.tx.domains = map[string]bool{}
		}
		c.tx.domains[domain] = true
	}
	if c.cfg.LMTP {
		c.tx.names = append(c.tx.names, p.mailbox)
	}
	return ok(250, smtp.EnhancedCode{2, 1, 5}, p.mailbox)
}

// refusedRecipient lets a stranger try out only so many addresses without a hit.
func (c *Conn) refusedRecipient(r reply) reply {
	if r.code/100 != 5 || c.Authenticated() {
		return r
	}
	c.refusals++
	if max := c.cfg.MaxRefusedRecipients; max > 0 && c.refusals >= max {
		return c.unless(hangup(421, smtp.EnhancedCode{4, 7, 0}, "Too many recipients refused in a row"), r)
	}
	return r
}

// recipientDomain is "" for postmaster without a domain.
func recipientDomain(mailbox string) string {
	at := strings.LastIndexByte(mailbox, '@')
	if at < 0 {
		return ""
	}
	return mail.DomainKey(mailbox[at+1:])
}

// resetTransaction forgets the transaction here and in the session.
func (c *Conn) resetTransaction() {
	c.tx = transaction{}
	if c.session != nil {
		c.session.Reset()
	}
}
