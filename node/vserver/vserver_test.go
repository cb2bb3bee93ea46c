package vserver

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = `
kind: Organization
name: example
spec: {maxMessageSize: 5000}
---
kind: RoutingGroup
name: paris
spec: {}
---
kind: Server
name: paris-1
spec: {routingGroup: paris, fqdn: paris-1.example.test}
---
kind: Server
name: paris-2
spec: {routingGroup: paris, fqdn: paris-2.example.test}
---
kind: RecipientPolicy
name: default
spec: {domains: [{domain: example.test}, {domain: shared.test, shared: true}]}
---
kind: SMTPConnector
name: partners
spec: {routingGroup: paris, addressSpaces: ["SMTP:*.partner.test"], allowRelay: true}
---
kind: MessageFilter
name: blocked
spec: {senders: [spam@bad.test, "@worse.test"]}
---
kind: Recipient
name: bob
spec: {addresses: [bob@example.test, bob@elsewhere.test], displayName: Bob, mailbox: {homeServer: paris-1}}
---
kind: Recipient
name: joe
spec: {addresses: [joe@outside.test], contact: {targetAddress: joe@outside.test}}
`

const anyVirtualServer = `
---
kind: VirtualServer
name: default
spec: {server: paris-1, bindings: ["127.0.0.1:0"]%s}
`

func guid(n int) mail.GUID { return mail.GUID{0xaa, 15: byte(n)} }

var otherNode = guid(3) // paris-2, by its place in base

// book is a directory in memory.
type book struct {
	mu    sync.Mutex
	conf  *directory.Configuration
	byKey map[string]*directoryv1.Object
	err   error
}

func (b *book) Config() *directory.Configuration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conf
}

func (b *book) Lookup(key string) (*directoryv1.Object, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.byKey[key]
	return o, ok, b.err
}

func (b *book) set(t testing.TB, yaml string) {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader(yaml), "test")
	if err != nil {
		t.Fatal(err)
	}
	byKey := map[string]*directoryv1.Object{}
	for i, o := range objs {
		o.Metadata.Guid = guid(i).String()
		if o.Metadata.Guid == guid(0).String() {
			o.Metadata.Guid = guid(200).String()
		}
		if a := o.GetAccount(); a != nil {
			if a.Keys, err = directory.HashPassword(a.Password); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range o.GetRecipient().GetAddresses() {
			byKey[directory.AddressKey(a)] = o
		}
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conf, b.byKey = conf, byKey
}

// tray takes messages as a Submitter.
type tray struct {
	mu   sync.Mutex
	got  []*mail.Submission
	text []string
	err  error
}

func (tr *tray) Submit(s *mail.Submission, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.err != nil {
		return tr.err
	}
	s.Envelope.ID, s.Envelope.MessageID, s.Envelope.Size = mail.ID{}, "x@y", int64(len(b))
	tr.got, tr.text = append(tr.got, s), append(tr.text, string(b))
	return nil
}

type refusal struct{ r mail.Reply }

func (r refusal) Error() string     { return "disk 7 is gone" }
func (r refusal) Reply() mail.Reply { return r.r }

// site is a running set with one virtual server.
type site struct {
	t    testing.TB
	book *book
	tray *tray
	set  *Set
}

func newSite(t testing.TB, virtualServer, extra string, change ...func(*Deps)) *site {
	t.Helper()
	s := &site{t: t, book: &book{}, tray: &tray{}}
	s.book.set(t, base+fmt.Sprintf(anyVirtualServer, virtualServer)+extra)
	deps := Deps{
		Self: guid(2), Directory: s.book, Submitter: s.tray, TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}, ClientAuth: tls.RequestClientCert},
		Node: func(c tls.ConnectionState) (mail.GUID, bool) {
			return otherNode, c.PeerCertificates[0].SerialNumber.Int64() == nodeSerial
		},
	}
	for _, f := range change {
		f(&deps)
	}
	s.set = NewSet(deps)
	if err := s.set.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.set.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client is the other end, typing and reading whole replies.
type typist struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func (s *site) connect() *typist {
	s.t.Helper()
	return dial(s.t, s.set.Addresses()[0].Addr.String())
}

func dial(t testing.TB, address string) *typist {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	p := &typist{t, c, bufio.NewReader(c)}
	p.expect("220 ")
	return p
}

// reply reads one reply; lines are joined by "|".
func (p *typist) reply() string {
	var lines []string
	for {
		l, err := p.in.ReadString('\n')
		if err != nil {
			return strings.Join(append(lines, err.Error()), "|")
		}
		lines = append(lines, strings.TrimRight(l, "\r\n"))
		if len(l) < 4 || l[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

func (p *typist) expect(prefix string) string {
	p.t.Helper()
	r := p.reply()
	if !strings.HasPrefix(r, prefix) {
		p.t.Fatalf("got %q, want %q", r, prefix)
	}
	return r
}

func (p *typist) say(line, want string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, line+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
	r := p.reply()
	if !strings.HasPrefix(r, want) {
		p.t.Fatalf("%s: got %q, want %q", line, r, want)
	}
	return r
}

const (
	nodeSerial     = 42
	strangerSerial = 43
)

func (p *typist) startTLS(certs ...tls.Certificate) {
	p.t.Helper()
	p.say("EHLO c.example", "250")
	p.say("STARTTLS", "220")
	c := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, Certificates: certs})
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.conn, p.in = c, bufio.NewReader(c)
	p.say("EHLO c.example", "250")
}

func certificate(t testing.TB) tls.Certificate { return serial(t, 1) }

func serial(t testing.TB, n int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(n), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

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
		"postmaster@outside.test": "550 5.7.1",
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
	if e.ClientHost != "127.0.0.1" || e.ClientName != "c.example" || len(e.Recipients) != 7 || e.Account != "" || !e.FromNode.IsZero() {
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
	p.say("RCPT TO:<bob@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bb@x", "250")
	p.say("RCPT TO:<bob@elsewhere.test> NOTIFY=NEVER", "250")
	p.say("DATA", "354")
	p.say("\r\n.", "250")
	e := s.tray.got[0].Envelope
	r := e.Recipients
	if !e.Null() || e.Body != mail.Body8BitMIME || !e.UTF8 || e.Return != "HDRS" || e.EnvelopeID != "a+b" ||
		r[0].Notify != mail.NotifySuccess|mail.NotifyDelay || r[0].Original != "rfc822;b+2Bb@x" || r[1].Notify != mail.NotifyNever {
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
	if r := p.say("EHLO c.example", "250"); !strings.Contains(r, "AUTH PLAIN LOGIN") || strings.Contains(r, "EXTERNAL") {
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
		Priority: mail.PriorityHigh, System: true, Account: "alice",
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
	q.say("VRFY bob", "501")
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
