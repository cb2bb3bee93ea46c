package vserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/smtpd"
)

// session is one client of a virtual server.
type session struct {
	v    *virtual
	conn *smtpd.Conn
	log  *zap.Logger

	client client
	node   mail.GUID // zero for who is no node
	cipher string    // of the TLS connection, for the trace header
	octets int64     // of accepted messages

	passport *codec.Passport
	env      *mail.Envelope // between MAIL and the end of the content
	with     string
	complete bool
}

func newSession(v *virtual, c *smtpd.Conn) *session {
	s := &session{v: v, conn: c, client: client{ip: c.ClientIP()}}
	s.log = v.log.With(zap.Stringer("client", c.RemoteAddr()))
	if state, ok := c.TLSConnectionState(); ok {
		s.cipher = strings.ReplaceAll(tls.VersionName(state.Version), " ", "") + " " + tls.CipherSuiteName(state.CipherSuite)
	}
	return s
}

// rules are those of now, so that a change applies to open connections too.
func (s *session) rules() *rules { return s.v.rules.Load() }

// Mail opens a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	r := s.rules()
	if err := s.mayMail(r); err != nil {
		return err
	}
	sender, err := parseSender(from)
	if err != nil {
		return badAddress(mail.Status{Class: 5, Subject: 1, Detail: 7})
	}
	if err := s.maySend(r, sender); err != nil {
		return err
	}
	s.env = s.envelope(sender, opts)
	s.with = s.conn.Protocol(opts.UTF8)
	s.complete = !s.client.node && (s.client.account != "" || r.relay.trusts(s.client.ip))
	return nil
}

// mayMail is about the client and the state of this node.
func (s *session) mayMail(r *rules) error {
	switch {
	case s.v.deps.Full():
		return noRoom()
	case s.client.node:
		return nil
	case r.tlsRequired && s.cipher == "":
		return needTLS()
	case r.authRequired && s.client.account == "":
		return needAuth()
	case r.maxSessionSize > 0 && s.octets >= r.maxSessionSize:
		return sessionFull()
	}
	return nil
}

// maySend is about the sender. A node has asked its own client already.
func (s *session) maySend(r *rules, sender mail.Address) error {
	if s.client.node {
		return nil
	}
	if r.senders.refuses(sender) {
		s.log.Info("smtp_sender_refused", zap.Stringer("sender", sender))
		return senderDenied()
	}
	if s.client.account == "" {
		return nil
	}
	account, ok := s.v.deps.Directory.Config().Account(s.client.account)
	if !ok {
		return needAuth() // deleted since
	}
	if !maySendAs(account, sender) {
		return senderNotYours(account.Name, sender)
	}
	return nil
}

func parseSender(from string) (mail.Address, error) {
	if from == "" {
		return mail.Address{}, nil
	}
	return mail.ParseAddress(from)
}

func (s *session) envelope(sender mail.Address, o *smtp.MailOptions) *mail.Envelope {
	e := &mail.Envelope{
		From:       sender,
		UTF8:       o.UTF8,
		Return:     string(o.Return),
		EnvelopeID: o.EnvelopeID,
		ClientName: s.conn.Hostname(),
		Account:    s.client.account,
		FromNode:   s.node,
	}
	if s.client.ip.IsValid() {
		e.ClientHost = s.client.ip.String()
	}
	switch o.Body {
	case smtp.Body8BitMIME:
		e.Body = mail.Body8BitMIME
	case smtp.BodyBinaryMIME:
		e.Body = mail.BodyBinaryMIME
	}
	if p := s.passport; p != nil {
		e.Origin, e.Created, e.Visited, e.Connector = p.Origin, p.Created, p.Visited, p.Connector
		e.Priority, e.System, e.Account = p.Priority, p.System, p.Account
	}
	return e
}

// Rcpt takes one recipient.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	a, err := parseRecipient(to)
	if err != nil {
		return badAddress(mail.StatusBadSyntax)
	}
	if err := s.rules().accept(s.v.deps.Directory, s.client, a); err != nil {
		s.logRefusal(a, err)
		return err
	}
	r := mail.Recipient{Address: a, Notify: notify(opts.Notify)}
	if opts.OriginalRecipient != "" {
		r.Original = mail.OriginalRecipient(string(opts.OriginalRecipientType), opts.OriginalRecipient)
	}
	s.env.Recipients = append(s.env.Recipients, r)
	return nil
}

func (s *session) logRefusal(a mail.Address, err error) {
	fields := []zap.Field{zap.Stringer("sender", s.env.From), zap.Stringer("recipient", a), zap.Error(err)}
	var caused *causedReply
	if errors.As(err, &caused) {
		s.log.Warn("smtp_directory_failed", append(fields, zap.NamedError("cause", caused.cause))...)
		return
	}
	s.log.Info("smtp_recipient_refused", fields...)
}

func parseRecipient(to string) (mail.Address, error) {
	if strings.EqualFold(to, "postmaster") {
		return mail.Address{Local: to}, nil
	}
	return mail.ParseAddress(to)
}

func notify(list []smtp.DSNNotify) (n mail.Notify) {
	for _, v := range list {
		switch v {
		case smtp.DSNNotifyNever:
			n |= mail.NotifyNever
		case smtp.DSNNotifySuccess:
			n |= mail.NotifySuccess
		case smtp.DSNNotifyFailure:
			n |= mail.NotifyFailure
		case smtp.DSNNotifyDelayed:
			n |= mail.NotifyDelay
		}
	}
	return n
}

// Data hands the message to the Submitter; its nil is this node's promise.
func (s *session) Data(content io.Reader) error {
	r := s.rules()
	err := s.v.deps.Submitter.Submit(&mail.Submission{
		Envelope: s.env,
		By:       r.fqdn,
		With:     s.with,
		Cipher:   s.cipher,
		HopLimit: r.hopCount,
		MaxSize:  s.MaxMessageSize(),
		Complete: s.complete,
	}, content)
	if err != nil {
		s.log.Info("smtp_message_refused", zap.Stringer("sender", s.env.From),
			zap.Int("recipients", len(s.env.Recipients)), zap.Error(err))
		return answered(err)
	}
	s.octets += s.env.Size
	return nil
}

// DataReply is the book's, with the ID under which this node tracks the message.
func (s *session) DataReply() (smtp.EnhancedCode, string) {
	id := s.env.MessageID
	if id == "" {
		id = s.env.ID.String() + "@" + s.rules().fqdn
	}
	return smtp.EnhancedCode{2, 6, 0}, fmt.Sprintf("<%s> [InternalId=%s] Queued mail for delivery", id, s.env.ID)
}

// MaxMessageSize in octets. What one node has accepted no other refuses for
// its size.
func (s *session) MaxMessageSize() int64 {
	if s.client.node {
		return 0
	}
	return s.rules().maxMessageSize
}

// AcceptsPassport says that the client is a node.
func (s *session) AcceptsPassport() bool { return s.client.node }

// Passport takes what the next message carries through the organisation.
func (s *session) Passport(value string) error {
	p, err := codec.DecodePassport(value)
	if err != nil {
		s.log.Warn("smtp_passport_unreadable", zap.String("node", s.node.String()), zap.Error(err))
		return badPassport()
	}
	s.passport, s.client.revision = &p, p.Revision
	return nil
}

// Reset ends a transaction.
func (s *session) Reset() { s.env, s.passport, s.client.revision = nil, nil, 0 }

// Logout ends the session.
func (s *session) Logout() error { return nil }

// verifyingSession is a session whose virtual server answers VRFY.
type verifyingSession struct{ *session }

// Verify implements smtpd.Verifier (RFC 5321 section 3.5.2).
func (s verifyingSession) Verify(arg string) (string, error) {
	a, err := mail.ParseAddress(strings.Trim(arg, "<> "))
	if err != nil {
		return "", badAddress(mail.StatusBadSyntax)
	}
	o, found, err := s.v.deps.Directory.Lookup(a.Key())
	switch {
	case err != nil:
		return "", directoryDown(err)
	case !found:
		return "", unknownUser(a)
	}
	text := "<" + a.String() + ">"
	if name := o.GetRecipient().GetDisplayName(); name != "" {
		text = name + " " + text
	}
	return text, nil
}
