package deliver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/recode"
)

// plan is how a transaction has to look for one peer.
type plan struct {
	body mail.BodyType
	utf8 bool // send SMTPUTF8
	// ascii: domains go as A-labels, as it has to be without SMTPUTF8.
	ascii bool
	// from is the reverse path to give.
	from mail.Address
	// content is what is sent; recoded how it came of the stored one, nil: it is that.
	content    mail.Content
	recoded    *recode.Plan
	requireTLS bool // send REQUIRETLS
	// by is the value of BY; "" sends none.
	by string
	// traced: to pass it on is to be reported (RFC 2852 section 4).
	traced bool
	// nobody: the whole transaction cannot be sent, for this reason.
	nobody *mail.Outcome
}

// address writes a mailbox the way the plan allows.
func (p *plan) address(a mail.Address) string {
	if p.ascii && !a.IsZero() {
		a.Domain = asciiDomain(a.Domain)
	}
	return a.String()
}

func asciiDomain(d string) string {
	for i := range len(d) {
		if d[i] >= 0x80 {
			return mail.DomainKey(d)
		}
	}
	return d
}

// Statuses of what a host cannot take (RFC 3463 section 3.7, RFC 6531
// section 4.1, RFC 5248), or not as it was asked for.
var (
	statusTooBig     = mail.Status{Class: 5, Subject: 3, Detail: 4}
	statusConversion = mail.Status{Class: 5, Subject: 6, Detail: 3}
	statusNoUTF8     = mail.Status{Class: 5, Subject: 6, Detail: 7}
	statusUTF8Header = mail.Status{Class: 5, Subject: 6, Detail: 9}
	statusRequireTLS = mail.Status{Class: 5, Subject: 7, Detail: 30} // RFC 8689 section 7
)

// makePlan compares what the message needs with what the peer offers. The
// content is looked at only where that decides.
func makePlan(t *mail.Transaction, p *peer, now time.Time) (plan, error) {
	env, ext := t.Envelope, &p.ext
	pl := plan{body: env.Body, utf8: ext.utf8 && (env.UTF8 || wide(t)), content: t.Content, from: env.From}
	pl.ascii = !pl.utf8
	if !wellFormed(env.From) {
		return pl.refuse(mail.StatusBadSender, "the sender's address has a control character"), nil
	}
	if !ext.utf8 && !sendable(env.From, true) {
		return pl.refuse(statusNoUTF8, "the sender's address is not ASCII, and the next host does not offer SMTPUTF8"), nil
	}
	if p.hop.Kind != mail.HopLMTP { // the mailbox is the end of the way
		pl.secrecy(env, p)
		pl.timing(env.DeliverBy, ext, now)
	}
	if pl.nobody != nil {
		return pl, nil
	}
	outside := p.hop.Kind == mail.HopMX || p.hop.Kind == mail.HopSmartHost
	if outside && p.set.Masquerade.hides(env.From) {
		var err error
		pl.from.Domain = p.set.Masquerade.Domain
		if pl.content, err = p.set.Masquerade.apply(pl.content); err != nil {
			return pl, err
		}
	}
	if err := pl.fit(env, ext); err != nil || pl.nobody != nil {
		return pl, err
	}
	if outside {
		if err := pl.shorten(env, ext); err != nil {
			return pl, err
		}
	}
	if ext.maxSize > 0 && pl.content.Size() > ext.maxSize {
		// RFC 1870 section 6.1: do not even try.
		return pl.refuse(statusTooBig, fmt.Sprintf("the message has %d octets, and the next host takes %d at most", pl.content.Size(), ext.maxSize)), nil
	}
	return pl, nil
}

// wide says whether some address cannot be written without SMTPUTF8. Its sender need not have
// asked for that: forwarding leads to addresses that he has never seen.
func wide(t *mail.Transaction) bool {
	return !sendable(t.Envelope.From, true) || slices.ContainsFunc(t.Targets, func(to mail.Target) bool { return !sendable(to.Address, true) })
}

// secrecy keeps a message of REQUIRETLS from hosts that were not chosen for it
// (RFC 8689 section 4.2.1).
func (p *plan) secrecy(env *mail.Envelope, to *peer) {
	// A report must not be lost for it (RFC 8689 section 5).
	p.requireTLS = env.RequireTLS && to.ext.requireTLS && to.proven()
	if env.RequireTLS && !p.requireTLS && !env.Null() {
		p.refuse(statusRequireTLS, "the sender asked for REQUIRETLS, and the next host does not keep to it")
	}
}

// timing is RFC 2852 sections 4.1.4 and 4.2: the time that is left goes on, where
// it means something to the next host.
func (p *plan) timing(by mail.DeliverBy, ext *extensions, now time.Time) {
	if by.IsZero() {
		return
	}
	left := by.Remaining(now)
	switch {
	case by.Return && left <= 0:
		p.refuse(mail.StatusDeliverBy, "the time by which its sender wanted it delivered is over")
		return
	case by.Return && !ext.deliverBy:
		p.refuse(mail.StatusNotCapable, "its sender wants it back unless it is delivered in time, and the next host does not offer DELIVERBY")
		return
	case by.Return && left < ext.minBy:
		p.refuse(mail.StatusDeliverBy, fmt.Sprintf("its sender wants it delivered within %d seconds, and the next host promises nothing below %d", left, ext.minBy))
		return
	case !ext.deliverBy:
		p.traced = true
		return
	}
	mode := "N"
	if by.Return {
		mode = "R"
	}
	if by.Trace {
		mode += "T"
		p.traced = true
	}
	p.by = fmt.Sprintf("%d;%s", left, mode)
}

// fit lowers what the sender declared to what the content is, converts it, or
// refuses.
func (p *plan) fit(env *mail.Envelope, ext *extensions) error {
	binary := env.Body == mail.BodyBinaryMIME && !(ext.binary && ext.chunking)
	eight := env.Body == mail.Body8BitMIME && !ext.eightBit
	utf8 := env.UTF8 && !ext.utf8
	if !binary && !eight && !utf8 {
		p.body = offered(p.body, ext)
		return nil
	}
	is, err := survey(p.content)
	if err != nil {
		return err
	}
	if utf8 && is.utf8Header {
		p.refuse(statusUTF8Header, "the header holds UTF-8, and the next host does not offer SMTPUTF8")
		return nil
	}
	switch {
	case utf8 && env.Null() && is.eightBit && !is.binary:
		// RFC 6533 section 4.5: a report on a message with SMTPUTF8 goes in 7 bits where
		// SMTPUTF8 ends, whatever else the host takes.
		p.body = mail.Body7Bit
		return p.convert(recode.SevenBit)
	case (binary || eight) && is.eightBit && !ext.eightBit, binary && is.binary && !ext.eightBit:
		// RFC 6152 section 3: never 8-bit content to a host that did not offer it.
		p.body = mail.Body7Bit
		return p.convert(recode.SevenBit)
	case binary && is.binary:
		p.body = mail.Body8BitMIME
		return p.convert(recode.EightBit)
	case binary || eight:
		p.body = mail.Body7Bit
		if is.eightBit {
			p.body = mail.Body8BitMIME
		}
	}
	p.body = offered(p.body, ext)
	return nil
}

// shorten brings lines that SMTP has no room for into a form that it has (RFC 5321
// section 4.5.3.1.6, RFC 2045 section 2.8: text in such lines is binary). That is avoided
// where it would cost more than a host that may not take them: where a signature would
// break, and where the content cannot be rewritten, it goes as it is. It is what is done
// last, for what was converted already has short lines.
func (p *plan) shorten(env *mail.Envelope, ext *extensions) error {
	if !env.LongLines || p.recoded != nil || p.body == mail.BodyBinaryMIME {
		return nil
	}
	if ext.binary && ext.chunking {
		p.body = mail.BodyBinaryMIME // RFC 3030 section 3: without lines
		return nil
	}
	form := recode.SevenBit
	if ext.eightBit {
		form = recode.EightBit
	}
	r, err := recode.Survey(p.content.Open, form)
	var no *recode.Refusal
	switch {
	case errors.As(err, &no):
		return nil
	case err != nil:
		return err
	}
	if r.Changed && !r.Signed {
		p.content, p.recoded = converted{p.content, r}, r
	}
	return nil
}

// offered drops a BODY parameter that needs no saying.
func offered(b mail.BodyType, ext *extensions) mail.BodyType {
	if b == mail.Body8BitMIME && !ext.eightBit {
		return mail.Body7Bit
	}
	return b
}

func (p *plan) refuse(s mail.Status, text string) plan {
	o := mail.Fail(s, text)
	p.nobody = &o
	return *p
}

// check says why one recipient cannot be named to the peer, or nil.
func (p *plan) check(a mail.Address) *mail.Outcome {
	var o mail.Outcome
	switch {
	case a.IsZero():
		o = mail.Fail(mail.StatusBadSyntax, "the recipient has no SMTP address")
	case !wellFormed(a):
		o = mail.Fail(mail.StatusBadSyntax, "the recipient's address has a control character")
	case !sendable(a, p.ascii):
		o = mail.Fail(statusNoUTF8, "the recipient's address is not ASCII, and the next host does not offer SMTPUTF8")
	default:
		return nil
	}
	return &o
}

// sendable says whether the address can be written, as A-labels where need be.
func sendable(a mail.Address, ascii bool) bool {
	return !ascii || mail.Address{Local: a.Local, Domain: asciiDomain(a.Domain)}.IsASCII()
}

// wellFormed keeps commands whole: no address may end a line, wherever it came from.
func wellFormed(a mail.Address) bool {
	for _, s := range [...]string{a.Local, a.Domain} {
		for i := range len(s) {
			if s[i] < ' ' || s[i] == 0x7f {
				return false
			}
		}
	}
	return true
}
