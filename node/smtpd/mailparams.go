package smtpd

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/postroad/postroad/node/mail"
)

// mailRequest is a MAIL command's parameters.
type mailRequest struct {
	opts     smtp.MailOptions
	ext      MailExtensions
	passport string
}

func unknownParam(p param) reply {
	return refuse(555, enhParam, "Parameter "+p.key+" is not supported")
}

func badParam(p param, rule string) reply {
	return refuse(501, enhParam, "Parameter "+p.key+" "+rule)
}

// mailParam takes one parameter of MAIL; a reply with a code refuses the command.
func (c *Conn) mailParam(req *mailRequest, p param) reply {
	switch p.key {
	case "SIZE":
		return c.mailSize(req, p)
	case "BODY":
		return c.mailBody(req, p)
	case "SMTPUTF8":
		if !c.offersUTF8() {
			return unknownParam(p)
		}
		if p.valued {
			return badParam(p, "takes no value")
		}
		req.opts.UTF8 = true
	case "RET", "ENVID":
		return c.mailDSN(req, p)
	case "AUTH":
		return c.mailAuth(req, p)
	case "REQUIRETLS":
		if !c.offersRequireTLS() {
			return unknownParam(p)
		}
		if p.valued {
			return badParam(p, "takes no value")
		}
		req.opts.RequireTLS = true
	case "BY":
		if !c.offersExtended(ExtDeliverBy) {
			return unknownParam(p)
		}
		return c.deliverBy(&req.ext, p)
	case "MT-PRIORITY":
		if !c.offersExtended(ExtMTPriority) {
			return unknownParam(p)
		}
		return c.mtPriority(&req.ext, p)
	case "HOLDFOR", "HOLDUNTIL":
		if !c.offersHold() {
			return unknownParam(p)
		}
		return c.hold(&req.ext, p)
	case "XPOSTROAD":
		if !c.acceptsPassport() {
			return unknownParam(p)
		}
		if !p.valued {
			return badParam(p, "needs a value")
		}
		req.passport = p.value
	default:
		return unknownParam(p)
	}
	return reply{}
}

// mailBody is RFC 6152 section 2 and RFC 3030 section 3.
func (c *Conn) mailBody(req *mailRequest, p param) reply {
	if !c.cfg.offers(Ext8BitMIME) && !c.offersBinary() {
		return unknownParam(p)
	}
	t := smtp.BodyType(upper(p.value))
	offered := true
	switch t {
	case smtp.Body7Bit:
	case smtp.Body8BitMIME:
		offered = c.cfg.offers(Ext8BitMIME)
	case smtp.BodyBinaryMIME:
		offered = c.offersBinary()
	default:
		return badParam(p, "must be 7BIT, 8BITMIME or BINARYMIME")
	}
	if !offered {
		// RFC 5321 section 4.1.1.11 has 504 for a value.
		return refuse(504, enhParam, "BODY="+string(t)+" is not offered here")
	}
	req.opts.Body = t
	return reply{}
}

// mailSize is RFC 1870 section 6.
func (c *Conn) mailSize(req *mailRequest, p param) reply {
	if len(p.value) == 0 || len(p.value) > 20 || strings.Trim(p.value, "0123456789") != "" {
		return badParam(p, "must be 1 to 20 digits")
	}
	n, err := strconv.ParseInt(p.value, 10, 64)
	if limit := c.maxSize(); limit > 0 && (err != nil || n > limit) {
		return tooBig()
	}
	if err != nil {
		return tooBig()
	}
	req.opts.Size = n
	return reply{}
}

// mailDSN is RFC 3461 sections 4.3 and 4.4.
func (c *Conn) mailDSN(req *mailRequest, p param) reply {
	if !c.cfg.offers(ExtDSN) {
		return unknownParam(p)
	}
	if p.key == "RET" {
		switch r := smtp.DSNReturn(upper(p.value)); r {
		case smtp.DSNReturnFull, smtp.DSNReturnHeaders:
			req.opts.Return = r
			return reply{}
		}
		return badParam(p, "must be FULL or HDRS")
	}
	if len(p.value) == 0 || len(p.value) > 100 {
		return badParam(p, "must have 1 to 100 characters")
	}
	id, err := mail.DecodeXtext(p.value)
	if err != nil || !isPrintable(id) {
		return badParam(p, "must be xtext of printable ASCII")
	}
	req.opts.EnvelopeID = id
	return reply{}
}

// mailAuth is RFC 4954 section 5. The identity of a client that has not proved its
// own is worth nothing, and is treated as AUTH=<>.
func (c *Conn) mailAuth(req *mailRequest, p param) reply {
	if len(c.mechanisms()) == 0 && !c.Authenticated() {
		return unknownParam(p)
	}
	box, err := mail.DecodeXtext(p.value)
	if err != nil || box == "" {
		return badParam(p, "must be <> or a mailbox as xtext")
	}
	if box == "<>" {
		box = ""
	} else if _, err := mail.ParseAddress(box); err != nil {
		return badParam(p, "must be <> or a mailbox as xtext")
	}
	if !c.Authenticated() {
		box = ""
	}
	req.opts.Auth = &box
	return reply{}
}

// rcptParam takes one parameter of RCPT.
func (c *Conn) rcptParam(opts *smtp.RcptOptions, p param) reply {
	if p.key != "NOTIFY" && p.key != "ORCPT" || !c.cfg.offers(ExtDSN) {
		return unknownParam(p)
	}
	if p.key == "NOTIFY" {
		n, err := parseNotify(p.value)
		if err != nil {
			return badParam(p, err.Error())
		}
		opts.Notify = n
		return reply{}
	}
	if len(p.value) > 500 {
		return badParam(p, "must have at most 500 characters")
	}
	t, text, err := mail.ParseOriginal(p.value)
	if err != nil {
		return badParam(p, err.Error())
	}
	if !isPrintable(p.value) && !c.tx.utf8 {
		return badParam(p, "needs SMTPUTF8 at MAIL for this address")
	}
	opts.OriginalRecipientType, opts.OriginalRecipient = smtp.DSNAddressType(t), text
	c.tx.original = p.value
	return reply{}
}

// parseNotify keeps the words and their order, which go-smtp's options have.
func parseNotify(s string) (list []smtp.DSNNotify, err error) {
	if _, err = mail.ParseNotify(s); err != nil {
		return nil, err
	}
	for word := range strings.SplitSeq(upper(s), ",") {
		list = append(list, smtp.DSNNotify(word))
	}
	return list, nil
}
