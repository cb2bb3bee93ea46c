package smtpd

import (
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

// Backend makes sessions. NewSession is called at the first HELO or EHLO of a
// connection, when [Conn.Hostname] is known, and again at the first one after
// STARTTLS, because RFC 3207 section 4.2 lets nothing survive the handshake. An
// error refuses the greeting: a *smtp.SMTPError in its own words, any other as
// 451 4.3.0.
type Backend interface {
	NewSession(c *Conn) (Session, error)
}

// BackendFunc lets a function be a [Backend].
type BackendFunc func(c *Conn) (Session, error)

// NewSession calls f.
func (f BackendFunc) NewSession(c *Conn) (Session, error) { return f(c) }

// Session is go-smtp's session, so that the same one can stand behind go-smtp's
// server. All methods are called from the goroutine of the connection, one at a
// time. What the engine promises beyond go-smtp:
//
//   - Mail and Rcpt get the mailbox as RFC 5321 writes it, quoted where it must
//     be ([mail.ParseAddress] reads it back); "" is the null reverse path, and a
//     recipient may be "postmaster" without a domain in any case.
//   - The reader given to Data implements [io.WriterTo]; WriteTo hands over
//     blocks of up to 32 KiB without copying them, and Read fills large buffers.
//     Dots are unstuffed, the chunks of BDAT joined. It ends with io.EOF only
//     when the message is complete and acceptable; a session must not accept a
//     message on any other error.
//   - Data may return before the end; the engine reads the rest away, then replies.
//   - Reset is called after every transaction, successful or not, and after a
//     refused MAIL that carried a passport. Logout is the last call.
//   - A *smtp.SMTPError (also wrapped) is the reply; a line feed in its Message
//     makes a reply of many lines. Code 421 or 521 closes the connection. Any
//     other error is 451 4.3.0 and its text goes to the log only.
type Session = smtp.Session

// Authenticator is a session that offers AUTH (RFC 4954). AuthMechanisms lists
// what the policy allows; the engine takes PLAIN and LOGIN off the list while
// the connection is in clear (see [Config.AllowInsecureAuth]), SCRAM-SHA-256-PLUS
// where there is nothing to bind to, and EXTERNAL unless the client showed a
// certificate in the handshake. Whether that certificate is good only the session
// knows (a mail listener's TLS takes any); it must list EXTERNAL only then.
// [Conn.Scram] is the server side of both SCRAM mechanisms. An error of
// [sasl.Server.Next] that is no *smtp.SMTPError is answered 535 5.7.8, so a
// directory that cannot be reached has to say 454 4.7.0 itself.
type Authenticator = smtp.AuthSession

// Greeter is a backend that looks at a connection before the 220. An error
// refuses the connection: a *smtp.SMTPError in its own words, any other as 421
// 4.3.0. After 554 the client has 30 seconds to say QUIT (RFC 5321 section 3.1), after
// any other code the connection is closed. banner replaces [Config.Banner]
// unless it is empty.
type Greeter interface {
	Greet(c *Conn) (banner string, err error)
}

// DataReplier is a session that words the 250 after the content. It is asked
// after Data returned nil and before Reset: once, with LMTP for each recipient
// whose status is nil.
type DataReplier interface {
	DataReply() (smtp.EnhancedCode, string)
}

// PassportSession is a session of another node of the organisation. Where
// AcceptsPassport is true (asked at EHLO and at MAIL, so it may become true by
// AUTH), EHLO offers XPOSTROAD and a MAIL line may be 4,096 octets long. Passport
// is called with the value of the XPOSTROAD parameter right before Mail; its
// error refuses the MAIL command. It is not called for a MAIL without the
// parameter.
type PassportSession interface {
	Session
	AcceptsPassport() bool
	Passport(value string) error
}

// MailExtensions are the parameters of MAIL that [smtp.MailOptions] has no place
// for. (go-smtp has BY and MT-PRIORITY with RCPT; RFC 2852 section 4 and RFC 6710
// section 4 have them with MAIL.)
type MailExtensions struct {
	DeliverBy  mail.DeliverBy  // the engine has turned seconds into an instant
	MTPriority mail.MTPriority // as asked; policy may lower it (RFC 6710 section 4.1)
	HoldUntil  time.Time       // from HOLDFOR or HOLDUNTIL; within [Config.MaxHold]
	HoldFor    time.Duration   // HOLDFOR as it was given; 0: there was none
}

// ExtendedSession is a session that honours [MailExtensions]; MailExtended is then called in place of
// Mail, for every MAIL. Only with it EHLO offers DELIVERBY, MT-PRIORITY and
// FUTURERELEASE.
type ExtendedSession interface {
	Session
	MailExtended(from string, opts *smtp.MailOptions, ext *MailExtensions) error
}

// Verifier is a session that answers VRFY; EHLO then lists it. The text
// is sent with 250 2.1.5. Without it the answer is 252 2.5.0 (RFC 5321 section 3.5.3).
type Verifier interface {
	Verify(arg string) (text string, err error)
}

// Helper is a session that words HELP; nil lines mean the engine's own text.
type Helper interface {
	Help(topic string) (lines []string)
}

// RecipientLimiter is a session with a limit of its own on the recipients of a message,
// in place of [Config.MaxRecipients]; zero: none. It is asked at EHLO and RCPT.
type RecipientLimiter interface {
	MaxRecipients() int
}

// SizeLimiter is a session with a size limit of its own, in octets, in place of
// [Config.MaxMessageSize]; zero: none. It is asked at EHLO, MAIL and DATA.
type SizeLimiter interface {
	MaxMessageSize() int64
}
