package vserver

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
)

const accounts = `
---
kind: Account
name: alice
spec: {password: s3cret, sendAs: [alice@example.test]}
`

func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAuthenticatedUser(t *testing.T) {
	s := newSite(t, "", accounts)
	clear := s.connect()
	if r := clear.say("EHLO c.example", "250"); strings.Contains(r, "AUTH") || !strings.Contains(r, "STARTTLS") {
		t.Errorf("in clear: %s", r)
	}
	clear.say("AUTH PLAIN "+plain("alice", "s3cret"), "538 5.7.11")

	p := s.connect()
	p.startTLS()
	if r := p.say("EHLO c.example", "250"); !strings.Contains(r, "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN|") || strings.Contains(r, "EXTERNAL") {
		t.Errorf("under TLS: %s", r)
	}
	p.say("AUTH PLAIN "+plain("alice", "wrong"), "535 5.7.8")
	p.say("AUTH PLAIN "+plain("nobody", ""), "535 5.7.8")
	p.say("AUTH PLAIN "+b64("bob\x00alice\x00s3cret"), "535 5.7.8")
	p.say("AUTH PLAIN "+plain("ALICE", "s3cret"), "235 2.7.0")
	p.say("MAIL FROM:<bob@example.test>", "550 5.7.1")
	p.say("MAIL FROM:<Alice@example.test>", "250")
	p.say("RCPT TO:<x@outside.test>", "250")
	p.say("DATA", "354")
	p.say("\r\n.", "250")
	sub := s.tray.got[0]
	if sub.Envelope.Account != "alice" || sub.With != "ESMTPSA" || !sub.Complete || !strings.HasPrefix(sub.Cipher, "TLS1.3 TLS_") {
		t.Errorf("%+v %+v", sub, sub.Envelope)
	}
	s.book.set(t, base+fmt.Sprintf(anyVirtualServer, ""))
	p.say("MAIL FROM:<alice@example.test>", "530 5.7.0") // the account is gone
}

func TestLogin(t *testing.T) {
	p := newSite(t, "", accounts).connect()
	p.startTLS()
	p.say("AUTH LOGIN", "334 "+b64("Username:"))
	p.say(b64("alice"), "334 "+b64("Password:"))
	p.say(b64("no"), "535 5.7.8")
	p.say("AUTH LOGIN "+b64("alice"), "334 "+b64("Password:"))
	p.say(b64("s3cret"), "235")
}

func TestRequirements(t *testing.T) {
	p := newSite(t, ", tls: {required: true}, authentication: {required: true, noBasic: true}", accounts).connect()
	p.say("EHLO c.example", "250")
	p.say("MAIL FROM:<a@outside.test>", "530 5.7.0 Must issue a STARTTLS command first")
	p.startTLS()
	p.say("MAIL FROM:<a@outside.test>", "530 5.7.0 Authentication required")
	p.say("AUTH PLAIN "+plain("alice", "s3cret"), "5")
}

func TestRelayNetworkIsTrustedLikeAUser(t *testing.T) {
	s := newSite(t, `, relay: {networks: [127.0.0.0/8]}`, "")
	p := s.connect()
	p.say("EHLO c.example", "250")
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<x@outside.test>", "250")
	p.say("DATA", "354")
	p.say("\r\n.", "250")
	if !s.tray.got[0].Complete {
		t.Error("what the user's program left out is not added")
	}
}

func TestNode(t *testing.T) {
	s := newSite(t, ", limits: {maxMessageSize: 10}, authentication: {required: true}", "")
	pass := codec.Passport{
		Origin: mail.ID{9}, Created: time.UnixMilli(1_700_000_000_000).UTC(), Visited: []mail.GUID{{5}}, Connector: mail.GUID{6},
		Priority: mail.PriorityHigh, System: true, Account: "alice", Notified: true,
	}
	xp := " XPOSTROAD=" + codec.EncodePassport(pass)

	stranger := s.connect()
	stranger.startTLS(serial(t, strangerSerial))
	stranger.say("AUTH EXTERNAL =", "504")
	stranger.say("MAIL FROM:<a@outside.test>"+xp, "555")

	p := s.connect()
	p.startTLS(serial(t, nodeSerial))
	p.say("AUTH EXTERNAL "+b64("paris-1"), "535")
	p.say("AUTH EXTERNAL "+b64("paris-2"), "235")
	if r := p.say("EHLO paris-2", "250"); !strings.Contains(r, "XPOSTROAD") {
		t.Error(r)
	}
	p.say("MAIL FROM:<spam@bad.test> XPOSTROAD=AAAA", "501 5.5.4")
	p.say("MAIL FROM:<spam@bad.test> SIZE=10000"+xp, "250")
	p.say("RCPT TO:<x@outside.test>", "250")
	p.say("RCPT TO:<nobody@example.test>", "550 5.1.1")
	p.say("DATA", "354")
	p.say("more than ten octets\r\n.", "250")
	p.say("MAIL FROM:<>", "250")
	p.say("RCPT TO:<bob@example.test>", "250")
	p.say("DATA", "354")
	p.say("\r\n.", "250")

	e := s.tray.got[0].Envelope
	if got := codec.PassportOf(e); fmt.Sprint(got) != fmt.Sprint(pass) || e.FromNode != otherNode {
		t.Errorf("from node %v, passport %+v", e.FromNode, got)
	}
	if s.tray.got[0].MaxSize != 0 || s.tray.got[0].Complete {
		t.Errorf("%+v", s.tray.got[0])
	}
	if next := s.tray.got[1].Envelope; !next.Origin.IsZero() || next.System || next.Visited != nil {
		t.Errorf("the passport of one message is on the next: %+v", next)
	}
}

// A mailbox that was made a moment ago may be known to the node before and not
// here yet; that must not bounce.
func TestNodeWithANewerDirectory(t *testing.T) {
	s := newSite(t, "", "")
	p := s.connect()
	p.startTLS(serial(t, nodeSerial))
	p.say("AUTH EXTERNAL =", "235")
	p.say("EHLO paris-2", "250")
	p.say("MAIL FROM:<bob@example.test> XPOSTROAD="+codec.EncodePassport(codec.Passport{Revision: 1 << 40}), "250")
	p.say("RCPT TO:<new@example.test>", "451 4.4.3")
	p.say("RSET", "250")
	p.say("MAIL FROM:<bob@example.test> XPOSTROAD="+codec.EncodePassport(codec.Passport{System: true}), "250")
	p.say("RCPT TO:<new@example.test>", "550 5.1.1")
}
