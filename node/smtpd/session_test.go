package smtpd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/smtpd"
)

// recorder is a session that writes down what it is asked and lets the addresses
// decide what it answers. It is a go-smtp session, so both engines can have it.
type recorder struct {
	log      *eventLog
	message  []byte
	sender   string
	passport bool // XPOSTROAD is allowed once authenticated
	authed   bool
	size     int64
}

// eventLog is shared by the sessions of a connection.
type eventLog struct {
	mu     sync.Mutex
	events []string
}

func (l *eventLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprintf(format, args...))
}

func (l *eventLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.events
	l.events = nil
	return e
}

func (s *recorder) Reset() { s.log.add("reset") }

func (s *recorder) Logout() error {
	s.log.add("logout")
	if strings.HasPrefix(s.sender, "logout-fails@") {
		return errors.New("cannot log out")
	}
	return nil
}

func (s *recorder) Mail(from string, o *smtp.MailOptions) error {
	s.log.add("mail %q%s", from, describeMail(o))
	s.sender = from
	return verdict(from)
}

func (s *recorder) Rcpt(to string, o *smtp.RcptOptions) error {
	s.log.add("rcpt %q%s", to, describeRcpt(o))
	return verdict(to)
}

func (s *recorder) Data(r io.Reader) error {
	switch local, _, _ := strings.Cut(s.sender, "@"); local {
	case "early":
		s.log.add("data refused unread")
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "No such content"}
	case "panic":
		panic("session at fault")
	case "lazy":
		return nil
	}
	var err error
	if s.message, err = io.ReadAll(r); err != nil {
		s.log.add("data error after %d: %v", len(s.message), err)
		return err
	}
	if len(s.message) > 200 {
		s.log.add("data %d octets", len(s.message))
	} else {
		s.log.add("data %q", s.message)
	}
	return verdict("data-" + s.sender)
}

// verdict lets an address choose the answer it gets.
func verdict(address string) error {
	local, _, _ := strings.Cut(address, "@")
	switch local {
	case "unknown":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	case "later":
		return fmt.Errorf("wrapped: %w", &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "Directory away\nTry again"})
	case "broken", "data-odd":
		return errors.New("open /secret/path: permission denied")
	case "goaway":
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Go away"}
	case "data-full":
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "Disk full"}
	case "nocode":
		return &smtp.SMTPError{Code: 550, Message: "No enhanced code\r\nwith\x00\x1bcontrols"}
	}
	return nil
}

func (s *recorder) DataReply() (smtp.EnhancedCode, string) {
	return smtp.EnhancedCode{2, 6, 0}, fmt.Sprintf("<%d> Queued mail for delivery", len(s.message))
}

func (s *recorder) AuthMechanisms() []string { return []string{"PLAIN", "LOGIN", "EXTERNAL", "X-LAST"} }

func (s *recorder) Auth(mech string) (sasl.Server, error) {
	check := func(user, password string) error {
		switch {
		case user == "away":
			return &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Directory away"}
		case password != "secret":
			return errors.New("wrong password")
		}
		s.log.add("authenticated %s", user)
		s.authed = true
		return nil
	}
	switch mech {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case "LOGIN":
		return &loginServer{check: check}, nil
	case "EXTERNAL":
		return sasl.NewExternalServer(func(identity string) error { return check(identity, "secret") }), nil
	case "X-LAST":
		return &lastWord{}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer is the LOGIN mechanism.
type loginServer struct {
	step  int
	user  string
	check func(user, password string) error
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	l.step++
	switch {
	case l.step == 1 && response == nil:
		l.step = 0
		if l.user == "" {
			l.user = "?"
			return []byte("Username:"), false, nil
		}
		return nil, false, errors.New("no user")
	case l.step == 1:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

// lastWord is a mechanism whose server has data to send with its success.
type lastWord struct{}

func (lastWord) Next([]byte) ([]byte, bool, error) { return []byte("v=ok"), true, nil }

func (s *recorder) AcceptsPassport() bool { return s.passport && s.authed }

func (s *recorder) Passport(value string) error {
	s.log.add("passport %d %.12s", len(value), value)
	if value == "bad" {
		return &smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "Bad passport"}
	}
	return nil
}

func (s *recorder) MaxMessageSize() int64 { return s.size }

// verifying adds VRFY and HELP to a recorder.
type verifying struct{ *recorder }

func (v verifying) Verify(arg string) (string, error) {
	if err := verdict(arg); err != nil {
		return "", err
	}
	return "<" + arg + "@example.com>", nil
}

func (v verifying) Help(topic string) []string {
	if topic == "" {
		return nil
	}
	return []string{"About " + topic, "there is nothing to say"}
}

// limiting is a recorder with a limit of recipients of its own.
type limiting struct {
	*recorder
	recipients int
}

func (l limiting) MaxRecipients() int { return l.recipients }

// fullSession adds to a recorder what go-smtp's session lacks.
type fullSession struct {
	*recorder
	conn       *smtpd.Conn
	etrn, turn bool
}

func (f fullSession) MailExtended(from string, o *smtp.MailOptions, x *smtpd.MailExtensions) error {
	var b strings.Builder
	if by := x.DeliverBy; !by.IsZero() {
		fmt.Fprintf(&b, " by=%s return=%v trace=%v", time.Until(by.Deadline), by.Return, by.Trace)
	}
	if x.MTPriority != 0 {
		fmt.Fprintf(&b, " priority=%d", x.MTPriority)
	}
	if !x.HoldUntil.IsZero() {
		fmt.Fprintf(&b, " hold=%s", time.Until(x.HoldUntil))
		if x.HoldFor != 0 {
			fmt.Fprintf(&b, " for=%s", x.HoldFor)
		}
	}
	f.log.add("mail %q%s%s", from, describeMail(o), &b)
	f.sender = from
	return verdict(from)
}

// LMTPData lets each recipient have its own verdict.
func (f fullSession) LMTPData(r io.Reader, each smtp.StatusCollector) error {
	if err := f.Data(r); err != nil {
		return err
	}
	each.SetStatus("full@example.com", verdict("data-full"))
	each.SetStatus("ok@example.com", nil)
	return nil
}

func (f fullSession) StartsQueues() bool { return f.etrn }

func (f fullSession) StartQueue(node string) (int, error) {
	f.log.add("etrn %s", node)
	switch node {
	case "three.example":
		return 3, nil
	case "none.example":
		return 0, nil
	case "broken.example":
		return 0, errors.New("no queue file")
	case "foreign.example":
		return 0, &smtp.SMTPError{Code: 459, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Node foreign.example not allowed: not yours"}
	}
	return -1, nil
}

func (f fullSession) OffersATRN() bool { return f.turn }
func (f fullSession) AllowsATRN() bool { return f.turn }
func (f fullSession) AllowsTURN() bool { return f.turn }

func (f fullSession) Turn(domains []string) (smtpd.Reversal, error) {
	f.log.add("turn %q", domains)
	if len(domains) > 0 && domains[0] == "empty.example" {
		return nil, &smtp.SMTPError{Code: 453, EnhancedCode: smtp.EnhancedCode{4, 0, 0}, Message: "You have no mail"}
	}
	return func(_ context.Context, c net.Conn) {
		greeting, err := bufio.NewReader(c).ReadString('\n')
		f.log.add("reversed: %q %v", greeting, err)
		io.WriteString(c, "EHLO mail1.example.com\r\n")
	}, nil
}

func describeForwarded(f smtpd.Forwarded) string {
	var b strings.Builder
	if f.Proxy.IsValid() {
		fmt.Fprintf(&b, " by proxy %s", f.Proxy)
	}
	if f.Name != "" {
		fmt.Fprintf(&b, " name %s", f.Name)
	}
	if f.NameUnavailable {
		b.WriteString(" without a name")
	}
	if f.NameTemporary {
		b.WriteString(" with no name just now")
	}
	if f.Login != "" {
		fmt.Fprintf(&b, " login %s", f.Login)
	}
	return b.String()
}

func describeMail(o *smtp.MailOptions) string {
	var b strings.Builder
	if o.Body != "" {
		fmt.Fprintf(&b, " body=%s", o.Body)
	}
	if o.Size != 0 {
		fmt.Fprintf(&b, " size=%d", o.Size)
	}
	if o.RequireTLS {
		b.WriteString(" requiretls")
	}
	if o.UTF8 {
		b.WriteString(" utf8")
	}
	if o.Return != "" {
		fmt.Fprintf(&b, " ret=%s", o.Return)
	}
	if o.EnvelopeID != "" {
		fmt.Fprintf(&b, " envid=%q", o.EnvelopeID)
	}
	if o.Auth != nil {
		fmt.Fprintf(&b, " auth=%q", *o.Auth)
	}
	return b.String()
}

func describeRcpt(o *smtp.RcptOptions) string {
	var b strings.Builder
	if o.Notify != nil {
		fmt.Fprintf(&b, " notify=%v", o.Notify)
	}
	if o.OriginalRecipient != "" {
		fmt.Fprintf(&b, " orcpt=%s;%q", o.OriginalRecipientType, o.OriginalRecipient)
	}
	return b.String()
}
