package vserver

import (
	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/smtpd"
)

// MailExtended implements smtpd.ExtendedSession.
func (s *session) MailExtended(from string, opts *smtp.MailOptions, ext *smtpd.MailExtensions) error {
	if err := s.Mail(from, opts); err != nil {
		return err
	}
	e := s.env
	e.DeliverBy, e.HoldUntil, e.HoldFor = ext.DeliverBy, ext.HoldUntil, ext.HoldFor
	e.MTPriority = s.granted(ext.MTPriority)
	s.lowered = e.MTPriority != ext.MTPriority
	if p := s.passport; p != nil {
		e.HoldUntil, e.HoldFor = p.HeldUntil, p.HeldFor // it was kept where the message came in
		return nil
	}
	if e.MTPriority != 0 {
		e.Priority = e.MTPriority.Priority()
	}
	return nil
}

// granted is the priority that a client gets. Anybody may be modest; to go before
// others is for those who are known here (RFC 6710 section 4.1).
func (s *session) granted(asked mail.MTPriority) mail.MTPriority {
	if asked > 0 && !s.client.node && s.client.account == "" && !s.trusted {
		return 0
	}
	return asked
}
