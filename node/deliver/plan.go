package deliver

import (
	"fmt"

	"github.com/postroad/postroad/node/mail"
)

// plan is how a transaction has to look for one peer.
type plan struct {
	body mail.BodyType
	utf8 bool // send SMTPUTF8
	// ascii: domains go as A-labels, since the peer takes no UTF-8.
	ascii bool
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

// Statuses of content that a host cannot take (RFC 3463 section 3.7, RFC 6531
// section 4.1, RFC 5248).
var (
	statusTooBig     = mail.Status{Class: 5, Subject: 3, Detail: 4}
	statusConversion = mail.Status{Class: 5, Subject: 6, Detail: 3}
	statusNoUTF8     = mail.Status{Class: 5, Subject: 6, Detail: 7}
	statusUTF8Header = mail.Status{Class: 5, Subject: 6, Detail: 9}
	statusBadSender  = mail.Status{Class: 5, Subject: 1, Detail: 7}
)

// makePlan compares what the message needs with what the peer offers. The
// content is looked at only where that decides.
func makePlan(t *mail.Transaction, ext *extensions) (plan, error) {
	env := t.Envelope
	p := plan{body: env.Body, utf8: env.UTF8 && ext.utf8, ascii: !ext.utf8}
	if !wellFormed(env.From) {
		return p.refuse(statusBadSender, "the sender's address has a control character"), nil
	}
	if ext.maxSize > 0 && t.Content.Size() > ext.maxSize {
		// RFC 1870 section 6.1: do not even try.
		return p.refuse(statusTooBig, fmt.Sprintf("the message has %d octets, and the next host takes %d at most", t.Content.Size(), ext.maxSize)), nil
	}
	binary := env.Body == mail.BodyBinaryMIME && !(ext.binary && ext.chunking)
	eight := env.Body == mail.Body8BitMIME && !ext.eightBit
	utf8 := env.UTF8 && !ext.utf8
	if !ext.utf8 && !sendable(env.From, true) {
		return p.refuse(statusNoUTF8, "the sender's address is not ASCII, and the next host does not offer SMTPUTF8"), nil
	}
	if !binary && !eight && !utf8 {
		p.body = offered(p.body, ext)
		return p, nil
	}
	is, err := survey(t.Content)
	if err != nil {
		return p, err
	}
	return p.fit(is, ext, binary, eight, utf8), nil
}

// fit lowers what the sender declared to what the content is, or refuses.
func (p *plan) fit(is nature, ext *extensions, binary, eight, utf8 bool) plan {
	switch {
	case utf8 && is.utf8Header:
		return p.refuse(statusUTF8Header, "the header holds UTF-8, and the next host does not offer SMTPUTF8")
	case binary && is.binary:
		// RFC 3030 section 4; conversion is not offered by this server.
		return p.refuse(statusConversion, "the content is binary, and the next host does not offer BINARYMIME with CHUNKING")
	case (binary || eight) && is.eightBit && !ext.eightBit:
		// RFC 6152 section 3: never 8-bit content to a host that did not offer it.
		return p.refuse(statusConversion, "the content has 8-bit characters, and the next host does not offer 8BITMIME")
	}
	if binary || eight {
		p.body = mail.Body7Bit
		if is.eightBit {
			p.body = mail.Body8BitMIME
		}
	}
	p.body = offered(p.body, ext)
	return *p
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
