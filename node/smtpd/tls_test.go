package smtpd_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/smtpd"
)

// certificate makes a self-signed one.
func certificate(t testing.TB, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serverTLS(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate(t, "mail1.example.com")}, ClientAuth: tls.RequestClientCert}
}

// dialogue is a client that waits for each reply.
type dialogue struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, address string) *dialogue {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &dialogue{t, c, bufio.NewReader(c)}
}

// read returns one reply, its lines joined by "|".
func (d *dialogue) read() string {
	d.t.Helper()
	var lines []string
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return strings.Join(append(lines, "EOF"), "|")
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if len(line) > 3 && line[3] == ' ' {
			return strings.Join(lines, "|")
		}
	}
}

func (d *dialogue) expect(send, want string) {
	d.t.Helper()
	if send != "" {
		if _, err := d.Write([]byte(send)); err != nil {
			d.t.Fatal(err)
		}
	}
	if got := d.read(); !strings.HasPrefix(got, want) {
		d.t.Fatalf("after %q: %q, want %q", send, got, want)
	}
}

func (d *dialogue) handshake(config *tls.Config) {
	d.t.Helper()
	c := tls.Client(d.Conn, config)
	if err := c.Handshake(); err != nil {
		d.t.Fatal(err)
	}
	d.Conn, d.r = c, bufio.NewReader(c)
}

// serveTCP starts a server on loopback and stops it with the test.
func serveTCP(t *testing.T, config smtpd.Config, b smtpd.Backend) (*smtpd.Server, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtpd.New(config, b, nil)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != smtpd.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

func TestSTARTTLS(t *testing.T) {
	log := &eventLog{}
	b := &backend{log: log}
	conns := make(chan *smtpd.Conn, 2)
	watch := smtpd.BackendFunc(func(c *smtpd.Conn) (smtpd.Session, error) {
		conns <- c
		return b.NewSession(c)
	})
	_, address := serveTCP(t, smtpd.Config{Hostname: "mail1.example.com", TLS: serverTLS(t)}, watch)
	d := dial(t, address)
	d.expect("", "220 ")
	d.expect("EHLO clear.example\r\n", "250-mail1.example.com Hello [127.0.0.1]|250-SIZE|250-PIPELINING|250-DSN|250-ENHANCEDSTATUSCODES|250-8BITMIME|250-BINARYMIME|250-CHUNKING|250-SMTPUTF8|250-STARTTLS|250-AUTH X-LAST|250 HELP")
	c := <-conns
	if p := c.Protocol(false); p != "ESMTP" || c.ClientIP().String() != "127.0.0.1" {
		t.Errorf("in clear: %s from %s", p, c.ClientIP())
	}
	d.expect("STARTTLS\r\n", "220 2.0.0")
	d.handshake(&tls.Config{InsecureSkipVerify: true})
	// RFC 3207 section 4.2: as if nothing had been said.
	d.expect("MAIL FROM:<a@example.com>\r\n", "503 ")
	d.expect("EHLO tls.example\r\n", "250-mail1.example.com Hello [127.0.0.1]|250-SIZE|250-PIPELINING|250-DSN|250-ENHANCEDSTATUSCODES|250-8BITMIME|250-BINARYMIME|250-CHUNKING|250-SMTPUTF8|250-AUTH PLAIN LOGIN X-LAST|250-REQUIRETLS|250 HELP")
	if c = <-conns; c.Protocol(false) != "ESMTPS" || c.Hostname() != "tls.example" {
		t.Errorf("under TLS: %s %s", c.Protocol(false), c.Hostname())
	}
	d.expect("STARTTLS\r\n", "503 ")
	d.expect("AUTH EXTERNAL =\r\n", "504 ")
	d.expect("AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "235 ")
	if p := c.Protocol(true); p != "UTF8SMTPSA" || c.Mechanism() != "PLAIN" {
		t.Errorf("authenticated: %s %s", p, c.Mechanism())
	}
	d.expect("QUIT\r\n", "221 ")
	d.expect("", "EOF")
	if got := strings.Join(log.take(), ","); got != "session for clear.example,logout,session for tls.example,authenticated user,logout" {
		t.Error(got)
	}
}

func TestExternalNeedsCertificate(t *testing.T) {
	_, address := serveTCP(t, smtpd.Config{Hostname: "mail1.example.com", TLS: serverTLS(t), ImplicitTLS: true}, &backend{log: &eventLog{}})
	d := dial(t, address)
	d.handshake(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate(t, "node2")}})
	d.expect("", "220 ")
	d.expect("EHLO node2\r\n", "250-mail1.example.com Hello [127.0.0.1]|250-SIZE|250-PIPELINING|250-DSN|250-ENHANCEDSTATUSCODES|250-8BITMIME|250-BINARYMIME|250-CHUNKING|250-SMTPUTF8|250-AUTH PLAIN LOGIN EXTERNAL X-LAST|")
	d.expect("AUTH EXTERNAL\r\n", "334 ")
	d.expect("bm9kZTI=\r\n", "235 ")
	// A message whose content comes in several TLS records.
	d.expect("MAIL FROM:<a@example.com>\r\n", "250 ")
	d.expect("RCPT TO:<b@example.com>\r\n", "250 ")
	d.expect("DATA\r\n", "354 ")
	d.expect(strings.Repeat(strings.Repeat("x", 78)+"\r\n", 1250)+".\r\n", "250 2.6.0 <100000>")
}
