package vserver

import (
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// verifyingSession is a session whose virtual server answers VRFY.
type verifyingSession struct{ *session }

// Verify implements smtpd.Verifier (RFC 5321 section 3.5.2).
func (s verifyingSession) Verify(arg string) (string, error) {
	arg = strings.Trim(arg, "<> ")
	if strings.IndexByte(arg, '@') < 0 {
		return s.verifyName(arg)
	}
	a, err := mail.ParseAddress(arg)
	if err != nil {
		return "", badAddress(mail.StatusBadSyntax)
	}
	text, found, err := s.introduce(a)
	if err == nil && !found {
		err = unknownUser(a)
	}
	return text, err
}

// verifyName looks for a user name in the domains that are ours (RFC 5321 section
// 3.5.1: names of local mailboxes must be understood). 553 lists those whom it may mean.
func (s verifyingSession) verifyName(name string) (string, error) {
	conf := s.v.deps.Directory.Config()
	if strings.EqualFold(name, "postmaster") {
		return "<" + name + ">", nil
	}
	var found []string
	for _, domain := range conf.Domains() {
		a, err := mail.ParseAddress(name + "@" + domain)
		if err != nil {
			return "", badAddress(mail.StatusBadSyntax)
		}
		text, ok, err := s.introduce(a)
		if err != nil {
			return "", err
		}
		if ok {
			found = append(found, text)
		}
	}
	switch len(found) {
	case 0:
		return "", unknownUser(mail.Address{Local: name})
	case 1:
		return found[0], nil
	}
	return "", ambiguous(found)
}

// introduce is "Full Name <address>" (RFC 5321 section 3.5.1).
func (s verifyingSession) introduce(a mail.Address) (text string, found bool, err error) {
	o, found, err := s.v.deps.Directory.Lookup(a.Key())
	if err != nil {
		return "", false, directoryDown(err)
	}
	if !found {
		return "", false, nil
	}
	text = "<" + a.String() + ">"
	if name := o.GetRecipient().GetDisplayName(); name != "" {
		text = name + " " + text
	}
	return text, true, nil
}
