package vserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

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
	user   user      // of client.account
	source authority // who vouched for it
	node   mail.GUID // zero for who is no node
	cipher string    // of the TLS connection, for the trace header
	// hostName is the verified name of the client's address, if it is to be told.
	hostName string
	octets   int64 // of accepted messages
	declared int64 // SIZE of the transaction

	passport *codec.Passport
	env      *mail.Envelope // between MAIL and the end of the content
	with     string
	complete bool
	trusted  bool           // may relay by where it is
	filter   *messageFilter // that the sender was caught by
	listing  *listing       // the search in block lists; nil: none
	lowered  bool           // it got another priority than it asked for
	spared   bool           // the dry runs of the transaction were counted
}

func newSession(v *virtual, c *smtpd.Conn) *session {
	s := &session{v: v, conn: c, client: v.clientOf(c)}
	s.log = v.log.With(zap.Stringer("client", c.RemoteAddr()))
	if state, ok := c.TLSConnectionState(); ok {
		s.cipher = strings.ReplaceAll(tls.VersionName(state.Version), " ", "") + " " + tls.CipherSuiteName(state.CipherSuite)
	}
	if name := c.Forwarded().Login; name != "" {
		if account, ok := v.deps.Directory.Config().Account(name); ok {
			s.login(userOf(account), authorityDirectory)
		} else {
			s.login(user{name: name}, authorityForwarded)
		}
	}
	return s
}

// rules are those of now, so that a change applies to open connections too.
func (s *session) rules() *rules { return s.v.rules.Load() }

// Mail opens a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	r := s.rules()
	if err := s.mayMail(r); err != nil {
		return s.v.refuse(s.log, "smtp_mail_refused", err, zap.String("sender", from))
	}
	sender, err := parseSender(from)
	if err != nil {
		return s.v.refuse(s.log, "smtp_mail_refused", badAddress(mail.StatusBadSender), zap.String("sender", from))
	}
	s.trusted, _ = r.relay.trusts(s.client)
	s.slow(s.conn.Context())
	filter, err := s.maySend(r, sender)
	if err != nil {
		return s.v.refuse(s.log, "smtp_sender_refused", err, zap.Stringer("sender", sender))
	}
	s.filter = filter
	s.env, s.declared = s.envelope(sender, opts), opts.Size
	if r.reverse {
		s.hostName, _ = s.client.host.name()
	}
	s.with = s.conn.Protocol(opts.UTF8)
	s.complete = !s.client.node && (s.client.account != "" || s.trusted)
	if !s.trusted && !s.conn.Turned() && r.lists.concern(s.client) && s.listing == nil {
		s.listing = r.lists.search(s.conn.Context(), s.v.deps.Resolver, s.client.ip, s.log)
	}
	return nil
}

// mayMail is about the client and the state of this node.
func (s *session) mayMail(r *rules) error {
	switch {
	case s.v.deps.Full():
		return noRoom()
	case s.client.node:
		return nil
	case s.v.deps.drained():
		return drained()
	case s.conn.Turned():
		return nil // the provider; who it is was settled when it was called
	case r.tlsRequired && s.cipher == "":
		return needTLS()
	case r.authRequired && s.client.account == "":
		return needAuth()
	case r.maxSessionSize > 0 && s.octets >= r.maxSessionSize:
		return sessionFull()
	}
	return nil
}

// maySend is about the sender. A node has asked its own client already. The
// filter is one that takes the message before it drops or refuses it.
func (s *session) maySend(r *rules, sender mail.Address) (*messageFilter, error) {
	if s.client.node {
		return nil, nil
	}
	conf := s.v.deps.Directory.Config()
	filter := r.filters.match(sender, s.v.bindingAt(s.conn.LocalAddr()))
	if filter != nil && !filter.takes() {
		return nil, filter.verdict()
	}
	if s.client.account == "" {
		if r.forged(conf, s.client, sender) {
			return nil, ownDomain(sender)
		}
		if !s.conn.Turned() && r.unreachable(s.conn.Context(), s.v.deps.Resolver, s.client, sender) {
			return nil, takesNoMail(sender)
		}
		return filter, nil
	}
	if s.source == authorityDirectory {
		account, ok := conf.Account(s.client.account)
		if !ok || account.Spec.GetDisabled() {
			return nil, needAuth() // not any more
		}
		s.user = userOf(account)
	}
	may, err := r.maySendAs(s.v.deps.Directory, s.user, sender)
	if err != nil {
		return nil, directoryDown(err)
	}
	if !may {
		return nil, senderNotYours(s.user.name, sender)
	}
	return filter, nil
}

// Rcpt takes one recipient.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	r := s.rules()
	a, err := parseRecipient(to)
	if err != nil {
		return s.v.refuse(s.log, "smtp_recipient_refused", badAddress(mail.StatusBadSyntax), zap.String("recipient", to))
	}
	original := ""
	if s.isOwnLiteral(a.Domain) {
		a.Domain, original = s.v.deps.Directory.Config().FirstDomain(), mail.OriginalRecipient("rfc822", to)
	}
	if err = r.accept(s.v.deps.Directory, s.client, a); err == nil {
		err = s.listed(r, a)
	}
	if err == nil {
		err = s.hopeless(r, a)
	}
	if err != nil {
		s.v.refuse(s.log, "smtp_recipient_refused", err, zap.Stringer("sender", s.env.From), zap.Stringer("recipient", a))
		s.tarpit(r, err)
		return err
	}
	rcpt := mail.Recipient{Address: a, Original: original, Notify: notify(opts.Notify)}
	if given := s.conn.OriginalRecipient(); given != "" {
		rcpt.Original = given
	}
	s.env.Recipients = append(s.env.Recipients, rcpt)
	return nil
}

// hopeless refuses a recipient whose mail could only be returned: the client tells its
// sender, and nobody's forged sender gets a report. A node before has asked already;
// what has come so far is not refused for what has changed since.
func (s *session) hopeless(r *rules, a mail.Address) error {
	if s.client.node {
		return nil
	}
	o := s.v.deps.Foresee(s.env.From, a, s.declared)
	if o == nil || o.Result != mail.Failed || o.Status == mail.StatusUnknownUser && r.recipient.unknown {
		return nil
	}
	return foreseen(*o)
}

// listed refuses a recipient to a client that is on a block list.
func (s *session) listed(r *rules, a mail.Address) error {
	if s.listing == nil || r.lists.spares(a) {
		return nil
	}
	hit, dry := s.listing.first()
	if !s.spared {
		s.spared = true
		for _, l := range dry {
			s.v.metrics.refused.WithLabelValues(s.v.name, reasonBlockListDry).Inc()
			s.log.Info("block_list_would_refuse", zap.String("zone", l.zone))
		}
	}
	if hit == nil {
		return nil
	}
	return blocked(hit.text(s.client.ip))
}

// slowFor is how long MAIL of a client from outside waits while the node is short
// of something.
const slowFor = 5 * time.Second

func (s *session) slow(ctx context.Context) {
	if s.client.stranger() && !s.trusted && s.v.deps.Slow() {
		wait(ctx, slowFor)
	}
}

// tarpit holds back the answer to a guess.
func (s *session) tarpit(r *rules, err error) {
	var d *denial
	if r.recipient.tarpit <= 0 || !s.client.stranger() || s.trusted || !errors.As(err, &d) || d.Code/100 != 5 {
		return
	}
	wait(s.conn.Context(), r.recipient.tarpit)
}

// wait lets time pass, unless the client goes.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Data hands the message to the Submitter; its nil is this node's promise.
func (s *session) Data(content io.Reader) error {
	if s.filter != nil {
		return s.filtered(content)
	}
	r := s.rules()
	sub := &mail.Submission{
		Envelope: s.env,
		By:       r.fqdn,
		With:     s.with,
		Cipher:   s.cipher,
		HostName: s.hostName,
		HopLimit: r.hopCount,
		MaxSize:  s.MaxMessageSize(),
		Complete: s.complete,
	}
	if r.names.concern(s.client, s.trusted) {
		content = r.names.fields(s.client, s.trusted).resolveNames(content, s.nameOf)
		sub.MaxSize = 0 // the engine counts what the client sends; names come on top
	}
	if err := s.v.deps.Submitter.Submit(sub, content); err != nil {
		return s.v.refuse(s.log, "smtp_message_refused", answered(err), zap.Stringer("sender", s.env.From),
			zap.Int("recipients", len(s.env.Recipients)))
	}
	s.octets += s.env.Size
	return nil
}

// filtered ends a message that a filter has caught.
func (s *session) filtered(content io.Reader) error {
	m := s.filter
	s.env.ID, s.env.Received = newID(), time.Now().UTC()
	if m.archive {
		if err := s.v.deps.Archive(s.env, "message filter "+m.name, content); err != nil {
			s.log.Error("filtered_message_not_kept", zap.String("filter", m.name), zap.Error(err))
			return err // 451: what shall be kept is not lost
		}
	} else if _, err := io.Copy(io.Discard, content); err != nil {
		return err
	}
	fields := []zap.Field{zap.String("filter", m.name), zap.Stringer("sender", s.env.From), zap.Bool("archived", m.archive)}
	if err := m.verdict(); err != nil {
		return s.v.refuse(s.log, "smtp_message_filtered", err, fields...)
	}
	s.v.metrics.refused.WithLabelValues(s.v.name, reasonFilter).Inc()
	s.log.Info("smtp_message_filtered", append(fields, zap.String("reason", reasonFilter), zap.Bool("silently", true))...)
	return nil
}

func newID() mail.ID {
	var random [10]byte
	rand.Read(random[:]) // never fails, see crypto/rand
	return mail.NewID(time.Now(), random)
}

// nameOf is the display name of a recipient of the directory. A directory that
// does not answer costs the name, not the message.
func (s *session) nameOf(a mail.Address) string {
	o, found, err := s.v.deps.Directory.Lookup(a.Key())
	if err != nil || !found {
		return ""
	}
	return o.GetRecipient().GetDisplayName()
}

// DataReply is the book's, with the ID under which this node tracks the message.
func (s *session) DataReply() (smtp.EnhancedCode, string) {
	id := s.env.MessageID
	if id == "" {
		id = s.env.ID.String() + "@" + s.rules().fqdn
	}
	text := fmt.Sprintf("<%s> [InternalId=%s] Queued mail for delivery", id, s.env.ID)
	if s.lowered {
		// RFC 6710 section 9: the code for another priority than was asked for, and which.
		return smtp.EnhancedCode{2, 3, 6}, fmt.Sprintf("%d is the new priority. %s", s.env.MTPriority, text)
	}
	return smtp.EnhancedCode{2, 6, 0}, text
}

// MaxMessageSize in octets. What one node has accepted no other refuses for
// its size.
func (s *session) MaxMessageSize() int64 {
	if s.client.node {
		return 0
	}
	return s.rules().maxMessageSize
}

// MaxRecipients of a message: the virtual server's limit, and for who is no node the
// organisation's (the book, chapter 5). Who is told so at RCPT sends the rest in another
// transaction (RFC 5321 section 4.5.3.1.10) instead of getting all of it back.
func (s *session) MaxRecipients() int {
	r := s.rules()
	if s.client.node {
		return r.maxRecipients
	}
	return min(r.maxRecipients, r.senderRecipients)
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
func (s *session) Reset() {
	s.env, s.passport, s.client.revision, s.filter, s.spared = nil, nil, 0, nil, false
}

// Logout ends the session.
func (s *session) Logout() error { return nil }
