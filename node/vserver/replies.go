package vserver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

// Reasons of refusals: words of the log and labels of the metric
// postroad_smtp_refused_total.
const (
	reasonStarting     = "starting"
	reasonPaused       = "paused"
	reasonConnection   = "connection_control"
	reasonCrowd        = "too_many_connections"
	reasonRoom         = "back_pressure"
	reasonDrained      = "drained"
	reasonTLS          = "tls_required"
	reasonAuth         = "auth_required"
	reasonCredentials  = "auth_failed"
	reasonSession      = "session_size"
	reasonSyntax       = "syntax"
	reasonFilter       = "message_filter"
	reasonOwnDomain    = "own_domain"
	reasonNullMX       = "null_mx"
	reasonSendAs       = "send_as"
	reasonRelay        = "relay"
	reasonUnknown      = "unknown_recipient"
	reasonRecipient    = "recipient_filter"
	reasonBlockList    = "block_list"
	reasonDirectory    = "directory"
	reasonDNS          = "dns"
	reasonContent      = "content"
	reasonLoop         = "loop" // too many Received fields, or of this node
	reasonHopeless     = "hopeless_recipient"
	reasonNeighbour    = "no_neighbour"       // of X-LINK2STATE
	reasonBlockListDry = "block_list_dry_run" // counted and logged only
)

// denial is a refusal: the reply to the client, the reason for log and metric,
// and a cause that the client is not told.
type denial struct {
	*smtp.SMTPError
	reason string
	cause  error
	hangUp bool
}

func (d *denial) Unwrap() []error {
	if d.cause == nil {
		return []error{d.SMTPError}
	}
	return []error{d.SMTPError, d.cause}
}

// HangsUp implements smtpd.HangUp.
func (d *denial) HangsUp() bool { return d.hangUp }

func deny(reason string, code int, s mail.Status, format string, args ...any) *denial {
	return &denial{reason: reason, SMTPError: &smtp.SMTPError{
		Code:         code,
		EnhancedCode: smtp.EnhancedCode{int(s.Class), int(s.Subject), int(s.Detail)},
		Message:      fmt.Sprintf(format, args...),
	}}
}

// The wording is the book's where it has one.

func relayDenied(a mail.Address) error {
	return deny(reasonRelay, 550, mail.StatusNoPermission, "Unable to relay for %s", a)
}

func unknownUser(a mail.Address) error {
	return deny(reasonUnknown, 550, mail.StatusUnknownUser, "User unknown: %s", a)
}

// ambiguous is RFC 5321 section 3.5.1: the possibilities, one a line.
func ambiguous(who []string) error {
	return deny(reasonUnknown, 553, mail.Status{Class: 5, Subject: 1, Detail: 4}, "User ambiguous\n%s", strings.Join(who, "\n"))
}

func foreseen(o mail.Outcome) error {
	code := 550
	if o.Status == mail.StatusTooLarge || o.Status == mail.StatusMailboxFull {
		code = 552 // RFC 5321 section 4.2.3: storage allocation
	}
	return deny(reasonHopeless, code, o.Status, "%s", o.Text)
}

func recipientDenied(a mail.Address) error {
	return deny(reasonRecipient, 550, mail.StatusNoPermission, "%s takes no mail from outside", a)
}

func catalogBehind(a mail.Address) error {
	return deny(reasonDirectory, 451, mail.StatusDirectory, "%s is not in the directory as this server knows it yet, try again later", a)
}

// directoryDown carries its cause for the log; the client is not told.
func directoryDown(cause error) error {
	d := deny(reasonDirectory, 451, mail.StatusDirectory, "Directory lookup failed, try again later")
	d.cause = cause
	return d
}

// hostUnknown is for rules that need the client's name while DNS is silent.
func hostUnknown(code int, cause error) error {
	d := deny(reasonDNS, code, mail.StatusDirectory, "The name of your address cannot be found out now, try again later")
	d.cause = cause
	return d
}

func notReady() error {
	return deny(reasonStarting, 421, mail.StatusNotAccepting, "Service not available: the directory has not been read yet")
}

func paused() error {
	return deny(reasonPaused, 421, mail.StatusNotAccepting, "Service paused, try again later")
}

// notAdmitted is RFC 5321 section 3.1.
func notAdmitted() error {
	return deny(reasonConnection, 554, mail.StatusNoPermission, "Connections from your address are not allowed")
}

func blocked(text string) error {
	return deny(reasonBlockList, 550, mail.StatusNoPermission, "%s", text)
}

func noRoom() error {
	return deny(reasonRoom, 452, mail.StatusSystemFull, "Insufficient system resources")
}

// drained sends clients to another server (RFC 3463 section 3.4: X.3.2 system not
// accepting network messages); 421 ends the connection (RFC 5321 section 3.8).
func drained() error {
	return deny(reasonDrained, 421, mail.StatusNotAccepting, "This server takes no new mail, try another one or later")
}

// needTLS is RFC 3207 section 4.
func needTLS() error {
	return deny(reasonTLS, 530, mail.Status{Class: 5, Subject: 7}, "Must issue a STARTTLS command first")
}

// needAuth is RFC 4954 section 6.
func needAuth() error {
	return deny(reasonAuth, 530, mail.Status{Class: 5, Subject: 7}, "Authentication required")
}

func senderDenied(hangUp bool) error {
	d := deny(reasonFilter, 554, mail.Status{Class: 5, Subject: 1}, "Sender denied")
	d.hangUp = hangUp
	return d
}

// ownDomain is RFC 6409 section 6.1's code for a sender that is not the client's.
func ownDomain(a mail.Address) error {
	return deny(reasonOwnDomain, 550, mail.StatusNoPermission, "%s is a sender of this organization: authenticate", a)
}

// takesNoMail is RFC 7505 section 4.2.
func takesNoMail(a mail.Address) error {
	return deny(reasonNullMX, 550, mail.StatusSenderNullMX, "The domain %s takes no mail, so nothing could be sent back", a.Domain)
}

func senderNotYours(account string, a mail.Address) error {
	return deny(reasonSendAs, 550, mail.StatusNoPermission, "Account %s does not have permission to send as %s", account, a)
}

func badAddress(s mail.Status) error {
	return deny(reasonSyntax, 501, s, "Address cannot be read")
}

func sessionFull() error {
	return deny(reasonSession, 421, mail.Status{Class: 4, Subject: 7}, "Session size limit reached, open another connection")
}

func badPassport() error {
	return deny(reasonSyntax, 501, mail.Status{Class: 5, Subject: 5, Detail: 4}, "XPOSTROAD cannot be read")
}

// badCredentials is RFC 4954 section 6.
func badCredentials() error {
	return deny(reasonCredentials, 535, mail.Status{Class: 5, Subject: 7, Detail: 8}, "Authentication credentials invalid")
}

// cannotAuthenticate is RFC 4954 section 4.7.
func cannotAuthenticate(cause error) error {
	d := deny(reasonCredentials, 454, mail.Status{Class: 4, Subject: 7}, "Temporary authentication failure")
	d.cause = cause
	return d
}

// answered turns an error of the Submitter into a reply. Errors in no SMTP
// words stay as they are: the engine says 451 and logs them.
func answered(err error) error {
	var words interface{ Reply() mail.Reply }
	if !errors.As(err, &words) {
		return err
	}
	r := words.Reply()
	reason := reasonContent
	if r.Status == mail.StatusForwardingLoop {
		reason = reasonLoop
	}
	d := deny(reason, r.Code, r.Status, "%s", r.Text())
	d.cause = err
	return d
}
