package vserver

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

func TestStranger(t *testing.T) {
	s := newSite(t, "", "")
	p := s.connect()
	p.say("EHLO c.example", "250-paris-1.example.test")
	p.say("MAIL FROM:<a@outside.test>", "250 2.1.0 a@outside.test....Sender OK")
	for to, want := range map[string]string{
		"bob@example.test":        "250 2.1.5 bob@example.test",
		"BOB@EXAMPLE.test":        "250 2.1.5 BOB@EXAMPLE.test",
		"bob@elsewhere.test":      "250 2.1.5",
		"nobody@example.test":     "550 5.1.1 User unknown: nobody@example.test",
		"x@shared.test":           "250 2.1.5",
		"x@outside.test":          "550 5.7.1 Unable to relay for x@outside.test",
		"joe@outside.test":        "550 5.7.1 Unable to relay for joe@outside.test",
		"x@a.partner.test":        "250 2.1.5",
		"x@partner.test":          "550 5.7.1",
		"postmaster":              "250 2.1.5",
		"pm@example.test":         "550 5.1.1",
		"Postmaster@example.test": "250 2.1.5",
		// Where reports come from.
		"postmaster@paris-1.example.test": "250 2.1.5",
		"bob@paris-1.example.test":        "550 5.7.1",
		"postmaster@outside.test":         "550 5.7.1",
	} {
		p.say("RCPT TO:<"+to+">", want)
	}
	p.say("DATA", "354")
	r := p.say("Subject: x\r\n\r\nhello\r\n.", "250 2.6.0 <x@y> [InternalId=")
	if !strings.HasSuffix(r, "] Queued mail for delivery") {
		t.Error(r)
	}
	sub := s.tray.got[0]
	e := sub.Envelope
	if e.ClientHost != "127.0.0.1" || e.ClientName != "c.example" || len(e.Recipients) != 8 || e.Account != "" || !e.FromNode.IsZero() {
		t.Errorf("envelope %+v", e)
	}
	if sub.By != "paris-1.example.test" || sub.With != "ESMTP" || sub.HopLimit != 30 || sub.MaxSize != 5000 || sub.Complete || sub.Cipher != "" {
		t.Errorf("submission %+v", sub)
	}
	p.say("QUIT", "221")
}

func TestParametersReachTheEnvelope(t *testing.T) {
	s := newSite(t, "", "")
	p := s.connect()
	p.say("EHLO c.example", "250")
	p.say("MAIL FROM:<> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb", "250 2.1.0 <>....Sender OK")
	p.say("RCPT TO:<bob@example.test> NOTIFY=SUCCESS,DELAY ORCPT=RFC822;b+2Bb+40x", "250")
	p.say("RCPT TO:<bob@elsewhere.test> NOTIFY=NEVER", "250")
	p.say("DATA", "354")
	p.say("\r\n.", "250")
	e := s.tray.got[0].Envelope
	r := e.Recipients
	if !e.Null() || e.Body != mail.Body8BitMIME || !e.UTF8 || e.Return != "HDRS" || e.EnvelopeID != "a+b" ||
		r[0].Notify != mail.NotifySuccess|mail.NotifyDelay || r[0].Original != "RFC822;b+2Bb+40x" || r[1].Notify != mail.NotifyNever {
		t.Errorf("envelope %+v", e)
	}
}

func TestSenderFilter(t *testing.T) {
	p := newSite(t, "", "").connect()
	p.say("EHLO c.example", "250")
	p.say("MAIL FROM:<Spam@bad.test>", "554 5.1.0 Sender denied")
	p.say("MAIL FROM:<x@Worse.test>", "554 5.1.0")
	p.say("MAIL FROM:<ham@bad.test>", "250")
}

func TestDirectoryDownIsNeverABounce(t *testing.T) {
	s := newSite(t, "", "")
	p := s.connect()
	p.say("EHLO c.example", "250")
	p.say("MAIL FROM:<a@outside.test>", "250")
	s.book.mu.Lock()
	s.book.err = errors.New("secret path")
	s.book.mu.Unlock()
	for _, to := range []string{"bob@example.test", "nobody@example.test", "x@outside.test"} {
		if r := p.say("RCPT TO:<"+to+">", "451 4.4.3 "); strings.Contains(r, "secret") {
			t.Error(r)
		}
	}
}

func TestSubmitterWordsTheRefusal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{refusal{mail.Reply{Code: 452, Status: mail.StatusSystemFull, Lines: []string{"Insufficient system storage"}}}, "452 4.3.1 Insufficient system storage"},
		{fmt.Errorf("wrapped: %w", refusal{mail.Reply{Code: 554, Status: mail.StatusForwardingLoop, Lines: []string{"loop"}}}), "554 5.4.6 loop"},
		{errors.New("disk 7 is gone"), "451 4.3.0"},
	} {
		s := newSite(t, "", "")
		s.tray.err = c.err
		p := s.connect()
		p.say("EHLO c.example", "250")
		p.say("MAIL FROM:<a@outside.test>", "250")
		p.say("RCPT TO:<bob@example.test>", "250")
		p.say("DATA", "354")
		if r := p.say("x\r\n.", c.want); strings.Contains(r, "disk") {
			t.Error(r)
		}
		// The connection is good for the next message.
		p.say("MAIL FROM:<a@outside.test>", "250")
	}
}

func TestBackPressure(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	p := newSite(t, "", "", func(d *Deps) { d.Full = full.Load }).connect()
	p.say("EHLO c.example", "250")
	p.say("MAIL FROM:<a@outside.test>", "452 4.3.1 Insufficient system resources")
	full.Store(false)
	p.say("MAIL FROM:<a@outside.test>", "250")
}

// Mail from outside comes more slowly while the node is short of something, and
// not that of who is known.
func TestSlowedFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			client client
			slow   bool
			want   time.Duration
		}{
			"stranger":         {client{}, true, slowFor},
			"account":          {client{account: "ada"}, true, 0},
			"node":             {client{node: true}, true, 0},
			"nothing is short": {client{}, false, 0},
		} {
			s := &session{client: c.client, v: &virtual{deps: Deps{Slow: func() bool { return c.slow }}}}
			begun := time.Now()
			s.slow(t.Context())
			if got := time.Since(begun); got != c.want {
				t.Errorf("%s waited %s, want %s", name, got, c.want)
			}
		}
	})
}

func TestLimits(t *testing.T) {
	s := newSite(t, ", limits: {maxMessageSize: 100, maxSessionSize: 60, maxRecipients: 1, maxErrors: 3}", "")
	p := s.connect()
	if r := p.say("EHLO c.example", "250"); !strings.Contains(r, "SIZE 100|") {
		t.Error(r)
	}
	p.say("MAIL FROM:<a@outside.test> SIZE=101", "552")
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<bob@example.test>", "250")
	p.say("RCPT TO:<bob@elsewhere.test>", "452 4.5.3")
	p.say("DATA", "354")
	p.say(strings.Repeat("x", 70)+"\r\n.", "250")
	p.say("MAIL FROM:<a@outside.test>", "421 4.7.0 Session size limit")
}

func TestVerify(t *testing.T) {
	p := newSite(t, "", "").connect()
	p.say("EHLO c.example", "250")
	p.say("VRFY bob@example.test", "252")
	q := newSite(t, ", verifyRecipients: true", "").connect()
	if r := q.say("EHLO c.example", "250"); !strings.Contains(r, "VRFY") {
		t.Error(r)
	}
	q.say("VRFY <bob@example.test>", "250 2.1.5 Bob <bob@example.test>")
	q.say("VRFY nobody@example.test", "550 5.1.1")
	// RFC 5321 section 3.5.1: user names are understood, too.
	q.say("VRFY bob", "250 2.1.5 Bob <bob@example.test>")
	q.say("VRFY Postmaster", "250 2.1.5 <Postmaster>")
	q.say("VRFY nobody", "550 5.1.1")
	q.say("VRFY not a name", "501 5.1.3")
	two := "\n---\nkind: RecipientPolicy\nname: other\nspec: {domains: [{domain: other.test}]}\n---\nkind: Recipient\nname: bob2\nspec: {addresses: [bob@other.test], mailbox: {homeServer: paris-1}}\n"
	q = newSite(t, ", verifyRecipients: true", two).connect()
	q.say("EHLO c.example", "250")
	q.say("VRFY bob", "553-5.1.4 User ambiguous|553-5.1.4 Bob <bob@example.test>|553 5.1.4 <bob@other.test>")
}

// RFC 1123 section 5.2.17: a host knows itself by its address.
func TestOwnLiteral(t *testing.T) {
	s := newSite(t, "", "")
	p := s.connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<bob@[127.0.0.1]>", "250 2.1.5 bob@[127.0.0.1]")
	p.say("RCPT TO:<bob@[IPv6:::ffff:127.0.0.1]> ORCPT=rfc822;robert@x.test", "250")
	p.say("RCPT TO:<postmaster@[127.0.0.1]>", "250")
	p.say("RCPT TO:<bob@[IPv6:::1]>", "550 5.7.1")
	p.say("DATA", "354")
	p.say("\r\n.", "250")
	var got []string
	for _, r := range s.tray.got[0].Envelope.Recipients {
		got = append(got, r.Address.String()+" "+r.Original)
	}
	want := "bob@example.test rfc822;bob@[127.0.0.1]|bob@example.test rfc822;robert@x.test|postmaster@example.test rfc822;postmaster@[127.0.0.1]"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

// The organisation's limit for senders is told at RCPT; nodes pass on what others took.
func TestOrganizationRecipients(t *testing.T) {
	small := strings.Replace(base, "{maxMessageSize: 5000}", "{maxRecipients: 2}", 1)
	for limits, want := range map[string]string{"": "RCPTMAX=2", ", limits: {maxRecipients: 3}": "RCPTMAX=2", ", limits: {maxRecipients: 1}": "RCPTMAX=1"} {
		s := newSite(t, limits, "")
		s.book.set(t, small+fmt.Sprintf(anyVirtualServer, limits))
		s.set.Update()
		p := s.connect()
		if r := p.say("EHLO c.example", "250"); !strings.Contains(r, "LIMITS "+want+"|") {
			t.Errorf("%s: %s", limits, r)
		}
		p.say("MAIL FROM:<a@outside.test>", "250")
		p.say("RCPT TO:<bob@example.test>", "250")
		if limits != ", limits: {maxRecipients: 1}" {
			p.say("RCPT TO:<bob@elsewhere.test>", "250")
		}
		p.say("RCPT TO:<postmaster>", "452 4.5.3 Too many recipients")
	}
	s := newSite(t, "", "")
	s.book.set(t, small+fmt.Sprintf(anyVirtualServer, ""))
	s.set.Update()
	node := s.connect()
	node.startTLS(serial(t, nodeSerial))
	node.say("AUTH EXTERNAL =", "235")
	if r := node.say("EHLO c.example", "250"); !strings.Contains(r, "LIMITS RCPTMAX=64000|") {
		t.Errorf("a node: %s", r)
	}
}

// Where TLS or authentication is demanded, that comes first.
func TestDemandsComeFirst(t *testing.T) {
	p := newSite(t, ", preset: submission, verifyRecipients: true", accounts).connect()
	p.say("VRFY bob@example.test", "530 5.7.0 Must issue a STARTTLS")
	p.startTLS()
	p.say("VRFY bob@example.test", "530 5.7.0 Authentication required")
	p.say("AUTH PLAIN "+plain("alice", "s3cret"), "235")
	p.say("VRFY bob@example.test", "250 2.1.5")
}

func TestNoOrganizationYet(t *testing.T) {
	s := newSite(t, "", "")
	address := s.set.Addresses()[0].Addr.String()
	s.book.mu.Lock()
	s.book.conf = &directory.Configuration{}
	s.book.mu.Unlock()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if l, _ := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(l, "421 4.3.2 ") {
		t.Errorf("greeted with %q", l)
	}
}
