package smtpd_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/smtpd"
)

// RFC 8689 section 2: offered under TLS only, and then it reaches the session.
func TestRequireTLS(t *testing.T) {
	log := &eventLog{}
	_, address := serveTCP(t, smtpd.Config{Hostname: "mail1.example.com", TLS: serverTLS(t)}, &backend{log: log})
	d := dial(t, address)
	d.expect("", "220 ")
	d.expect("EHLO c.example\r\n", "250-")
	d.expect("MAIL FROM:<a@example.com> REQUIRETLS\r\n", "555 5.5.4")
	d.expect("STARTTLS\r\n", "220 ")
	d.handshake(&tls.Config{InsecureSkipVerify: true})
	d.expect("EHLO c.example\r\n", "250-")
	log.take()
	d.expect("MAIL FROM:<a@example.com> REQUIRETLS=yes\r\n", "501 5.5.4")
	d.expect("MAIL FROM:<a@example.com> requiretls\r\n", "250 ")
	if got := log.take(); len(got) != 1 || got[0] != `mail "a@example.com" requiretls` {
		t.Errorf("%q", got)
	}
}

// Half-open handshakes are bounded: STARTTLS then gets RFC 3207 section 4's 454.
func TestHandshakesBounded(t *testing.T) {
	config := smtpd.Config{Hostname: "mail1.example.com", TLS: serverTLS(t), MaxHandshakes: 2}
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(config, &backend{log: &eventLog{}}, nil)
		defer s.Close()
		a, b, c := piped(s), piped(s), piped(s)
		for _, l := range []*listener{a, b} {
			if got := ask(l, "EHLO c.example\r\nSTARTTLS\r\n"); got != "220 250 220" {
				t.Errorf("half open: %s", got)
			}
		}
		if got := ask(c, "EHLO c.example\r\nSTARTTLS\r\n"); got != "220 250 454" {
			t.Errorf("one too many: %s", got)
		}
		// The others have a minute for theirs; this connection goes on meanwhile.
		if got := ask(c, "NOOP\r\n"); got != "250" {
			t.Errorf("meanwhile: %s", got)
		}
		<-time.After(time.Minute + time.Second)
		if got := ask(c, "STARTTLS\r\n"); got != "220" {
			t.Errorf("later: %s", got)
		}
		for _, l := range []*listener{a, b, c} {
			l.Close()
			<-l.done
		}
	})
}

// What XCLIENT said in clear does not survive the handshake (RFC 3207 section
// 4.2): somebody in between could have put it in.
func TestSTARTTLSForgetsXClient(t *testing.T) {
	log := &eventLog{}
	config := smtpd.Config{Hostname: "mail1.example.com", TLS: serverTLS(t), XClients: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s, address := serveTCP(t, config, &backend{log: log, set: settings{client: netip.MustParseAddrPort("127.0.0.1:1")}})
	d := dial(t, address)
	d.expect("", "220 ")
	d.expect("XCLIENT ADDR=203.0.113.7 NAME=forged.example LOGIN=boss\r\n", "220 ")
	d.expect("EHLO c.example\r\n", "250-mail1.example.com Hello [203.0.113.7]")
	d.expect("STARTTLS\r\n", "220 ")
	d.handshake(&tls.Config{InsecureSkipVerify: true})
	d.expect("EHLO c.example\r\n", "250-mail1.example.com Hello [127.0.0.1]")
	got := log.take()
	last := got[len(got)-1]
	if !strings.HasPrefix(last, "session for c.example at 127.0.0.1:") || strings.Contains(last, "proxy") || strings.Contains(last, "boss") {
		t.Errorf("%q", got)
	}
	// Under TLS it may say so.
	d.expect("XCLIENT ADDR=203.0.113.8\r\n", "220 ")
	d.expect("EHLO c.example\r\n", "250-mail1.example.com Hello [203.0.113.8]")
	if n := s.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A certificate source at fault costs its connection only.
func TestHandshakePanic(t *testing.T) {
	broken := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("no certificate today") }}
	_, address := serveTCP(t, smtpd.Config{Hostname: "mail1.example.com", TLS: broken}, &backend{log: &eventLog{}})
	d := dial(t, address)
	d.expect("", "220 ")
	d.expect("EHLO c.example\r\n", "250-")
	d.expect("STARTTLS\r\n", "220 ")
	if err := tls.Client(d.Conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("a handshake without a certificate")
	}
	dial(t, address).expect("", "220 ")
}

// PROXY comes before TLS, in the same packet too.
func TestProxyBeforeTLS(t *testing.T) {
	log := &eventLog{}
	config := smtpd.Config{Hostname: "mail1.example.com", TLS: serverTLS(t), ImplicitTLS: true, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	_, address := serveTCP(t, config, &backend{log: log, set: settings{client: netip.MustParseAddrPort("127.0.0.1:1")}})
	d := dial(t, address)
	c := tls.Client(&prefixing{Conn: d.Conn, prefix: "PROXY TCP4 203.0.113.7 198.51.100.7 56324 465\r\n"}, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	d.Conn, d.r = c, bufio.NewReader(c)
	d.expect("", "220 ")
	d.expect("EHLO c.example\r\n", "250-mail1.example.com Hello [203.0.113.7]")
	if got := log.take(); len(got) != 1 || got[0] != "session for c.example at 203.0.113.7:56324, to 198.51.100.7:465 by proxy 127.0.0.1" {
		t.Errorf("%q", got)
	}
}

// prefixing sends something in front of the first write, in one write.
type prefixing struct {
	net.Conn
	prefix string
}

func (p *prefixing) Write(b []byte) (int, error) {
	if p.prefix == "" {
		return p.Conn.Write(b)
	}
	n, err := p.Conn.Write(append([]byte(p.prefix), b...))
	n -= len(p.prefix)
	p.prefix = ""
	return max(n, 0), err
}

// Clients behind a proxy are counted by their own address, the proxy is not.
func TestProxiedClientsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := smtpd.Config{Hostname: "mail1.example.com", MaxConnectionsPerClient: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}}
		s := smtpd.New(config, &backend{log: &eventLog{}}, nil)
		connect := func(client string) *listener {
			ours, theirs := net.Pipe()
			l := listen(ours)
			go s.ServeConn(from{theirs, netip.MustParseAddrPort("192.0.2.9:4711")})
			io.WriteString(l, "PROXY TCP6 "+client+" 2001:db8::25 56324 25\r\n")
			return l
		}
		end := func(l *listener) { l.Close(); <-l.done }
		one := connect("2001:db8:1::1")
		if got := ask(one, ""); got != "220" {
			t.Errorf("first: %s", got)
		}
		neighbour := connect("2001:db8:1::2") // of the same /64
		if got := ask(neighbour, ""); got != "421" {
			t.Errorf("second of the network: %s", got)
		}
		other := connect("2001:db8:2::1")
		if got := ask(other, ""); got != "220" {
			t.Errorf("another: %s", got)
		}
		end(one)
		end(neighbour)
		synctest.Wait()
		again := connect("2001:db8:1::2")
		if got := ask(again, ""); got != "220" {
			t.Errorf("after the first has gone: %s", got)
		}
		end(other)
		end(again)
		s.Close()
	})
}

// Failures count across connections, and Shutdown does not wait for the delay.
func TestAuthFailuresAcrossConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := smtpd.Config{Hostname: "mail1.example.com", AllowInsecureAuth: true, MaxAuthFailuresPerClient: 3, AuthFailureDelay: 4 * time.Minute}
		s := smtpd.New(config, &backend{log: &eventLog{}}, nil)
		const guess = "EHLO c.example\r\nAUTH PLAIN AHVzZXIAd3Jvbmc=\r\n"
		first, second := piped(s), piped(s)
		if got := ask(first, guess); got != "220 250 535" {
			t.Errorf("first: %s", got)
		}
		if got := ask(second, guess); got != "220 250" {
			t.Errorf("second is not held back: %s", got)
		}
		if n := s.AuthFailures(netip.Addr{}); n != 2 {
			t.Errorf("%d failures", n)
		}
		began := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("shutdown took %s", took)
		}
		for _, l := range []*listener{first, second} {
			l.Close()
			<-l.done
		}
	})
}
