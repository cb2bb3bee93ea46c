package smtpd

import (
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// deliverBy reads BY= (RFC 2852 section 4): seconds, signed, then ";", N or R, and
// T for a trace.
func (c *Conn) deliverBy(ext *MailExtensions, p param) reply {
	const form = "must be SECONDS;N or SECONDS;R, and T after it for a trace"
	number, mode, found := strings.Cut(p.value, ";")
	if !found {
		return badParam(p, form)
	}
	digits := strings.TrimLeft(number, "+-")
	if len(number)-len(digits) > 1 || digits == "" || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" {
		return badParam(p, form)
	}
	seconds, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return badParam(p, form)
	}
	by := mail.DeliverBy{Deadline: time.Now().Add(time.Duration(seconds) * time.Second)}
	switch upper(mode) {
	case "N":
	case "NT":
		by.Trace = true
	case "R":
		by.Return = true
	case "RT":
		by.Return, by.Trace = true, true
	default:
		return badParam(p, form)
	}
	switch {
	case by.Return && seconds <= 0:
		return badParam(p, "must give a time that is not over with mode R")
	case by.Return && time.Duration(seconds)*time.Second < c.cfg.MinDeliverBy:
		return badParam(p, "gives less than the "+wholeSeconds(c.cfg.MinDeliverBy)+" seconds of the EHLO reply")
	}
	ext.DeliverBy = by
	return reply{}
}

// mtPriority reads MT-PRIORITY= (RFC 6710 section 4): -9 to 9.
func (c *Conn) mtPriority(ext *MailExtensions, p param) reply {
	n, err := strconv.Atoi(p.value)
	digits := strings.TrimPrefix(p.value, "-")
	if err != nil || len(digits) != 1 || p.value == "-0" ||
		n < int(mail.MinMTPriority) || n > int(mail.MaxMTPriority) {
		return badParam(p, "must be a number from -9 to 9")
	}
	ext.MTPriority = mail.MTPriority(n)
	return reply{}
}

// hold reads HOLDFOR= and HOLDUNTIL= (RFC 4865 sections 3 and 4.2), of which a message
// has one.
func (c *Conn) hold(ext *MailExtensions, p param) reply {
	if !ext.HoldUntil.IsZero() {
		return badParam(p, "cannot stand beside the other of HOLDFOR and HOLDUNTIL")
	}
	now := time.Now()
	until, err := now, error(nil)
	if p.key == "HOLDFOR" {
		if len(p.value) == 0 || len(p.value) > 9 || strings.Trim(p.value, "0123456789") != "" || p.value[0] == '0' {
			return badParam(p, "must be 1 to 9 digits of seconds, without a zero in front")
		}
		seconds, _ := strconv.Atoi(p.value) // nine digits
		ext.HoldFor = time.Duration(seconds) * time.Second
		until = now.Add(ext.HoldFor)
	} else if until, err = time.Parse(time.RFC3339, upper(p.value)); err != nil {
		return badParam(p, "must be a date and time as RFC 3339 writes it")
	}
	switch {
	case until.Before(now):
		return badParam(p, "must not be in the past")
	case until.After(now.Add(c.cfg.MaxHold)):
		return badParam(p, "is later than the EHLO reply allows")
	}
	ext.HoldUntil = until
	return reply{}
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// offersHold: RFC 4865 section 2 is for submission, so a stranger is not offered it.
func (c *Conn) offersHold() bool {
	return c.cfg.MaxHold > 0 && c.extended() && (c.Authenticated() || c.cfg.HoldForAnyone)
}

// extended says whether the session takes [MailExtensions].
func (c *Conn) extended() bool {
	_, able := c.session.(ExtendedSession)
	return able
}

func (c *Conn) offersExtended(e Extensions) bool { return c.cfg.offers(e) && c.extended() }

// offersBinary: RFC 3030 section 3 wants CHUNKING beside it.
func (c *Conn) offersBinary() bool { return c.cfg.offers(ExtBinaryMIME) && c.cfg.offers(ExtChunking) }

// offersUTF8: RFC 6531 section 3.1 wants 8BITMIME beside it.
func (c *Conn) offersUTF8() bool { return c.cfg.offers(ExtSMTPUTF8) && c.cfg.offers(Ext8BitMIME) }

// offersRequireTLS: only under TLS (RFC 8689 section 2).
func (c *Conn) offersRequireTLS() bool { return c.tls != nil && c.cfg.offers(ExtRequireTLS) }
