package vserver

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
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

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
