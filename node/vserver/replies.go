package vserver

import (
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

func reply(code int, s mail.Status, format string, args ...any) *smtp.SMTPError {
	return &smtp.SMTPError{
		Code:         code,
		EnhancedCode: smtp.EnhancedCode{int(s.Class), int(s.Subject), int(s.Detail)},
		Message:      fmt.Sprintf(format, args...),
	}
}

// The wording is the book's where it has one.

func relayDenied(a mail.Address) error {
	return reply(550, mail.StatusNoPermission, "Unable to relay for %s", a)
}

func unknownUser(a mail.Address) error {
	return reply(550, mail.StatusUnknownUser, "User unknown: %s", a)
}

func catalogBehind(a mail.Address) error {
	return reply(451, mail.StatusDirectory, "%s is not in the directory as this server knows it yet, try again later", a)
}

// directoryDown carries its cause for the log; the client is not told.
func directoryDown(cause error) error {
	return &causedReply{reply(451, mail.StatusDirectory, "Directory lookup failed, try again later"), cause}
}

func notReady() error {
	return reply(421, mail.StatusNotAccepting, "Service not available: the directory has not been read yet")
}

func noRoom() error {
	return reply(452, mail.StatusSystemFull, "Insufficient system resources")
}

// needTLS is RFC 3207 section 4.
func needTLS() error {
	return reply(530, mail.Status{Class: 5, Subject: 7}, "Must issue a STARTTLS command first")
}

// needAuth is RFC 4954 section 6.
func needAuth() error {
	return reply(530, mail.Status{Class: 5, Subject: 7}, "Authentication required")
}

func senderDenied() error {
	return reply(554, mail.Status{Class: 5, Subject: 1}, "Sender denied")
}

func senderNotYours(account string, a mail.Address) error {
	return reply(550, mail.StatusNoPermission, "Account %s does not have permission to send as %s", account, a)
}

func badAddress(s mail.Status) error {
	return reply(501, s, "Address cannot be read")
}

func sessionFull() error {
	return reply(421, mail.Status{Class: 4, Subject: 7}, "Session size limit reached, open another connection")
}

func badPassport() error {
	return reply(501, mail.Status{Class: 5, Subject: 5, Detail: 4}, "XPOSTROAD cannot be read")
}

// badCredentials is RFC 4954 section 6.
func badCredentials() error {
	return reply(535, mail.Status{Class: 5, Subject: 7, Detail: 8}, "Authentication credentials invalid")
}

// causedReply is a reply whose reason is for the log only.
type causedReply struct {
	*smtp.SMTPError
	cause error
}

func (c *causedReply) Unwrap() []error { return []error{c.SMTPError, c.cause} }

// answered turns an error of the Submitter into a reply. Errors in no SMTP
// words stay as they are: the engine says 451 and logs them.
func answered(err error) error {
	var words interface{ Reply() mail.Reply }
	if !errors.As(err, &words) {
		return err
	}
	r := words.Reply()
	return &causedReply{reply(r.Code, r.Status, "%s", r.Text()), err}
}
