package deliver

import (
	"bufio"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// certificate makes a self-signed certificate for a name.
func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// tlsFake is a fake that offers STARTTLS and AUTH.
type tlsFake struct {
	fake
	conf     *tls.Config
	auth     string // mechanisms offered after STARTTLS
	inject   string // said in the clear after the 220
	sasl     []string
	peerCert *x509.Certificate
	secure   bool
}

func (f *tlsFake) serve(_ int, c net.Conn) {
	f.one.Lock()
	defer f.one.Unlock()
	f.secure = false
	base := f.ext
	defer func() { f.ext = base }()
	f.ext = append(slices.Clone(base), "STARTTLS")
	inner := f.script
	defer func() { f.script = inner }()
	f.script = func(verb, line string) string {
		if inner != nil {
			if s := inner(verb, line); s != "" {
				return s
			}
		}
		if f.secure && verb == "CONNECT" {
			return "220 never seen"
		}
		if line == "STARTTLS" {
			return "220 go\r\n" + f.inject
		}
		return f.saslStep(line)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	f.r, f.w = bufio.NewReader(c), bufio.NewWriter(c)
	if !f.answer("CONNECT", "", "220 fake.example") {
		return
	}
	for {
		if f.r.Buffered() == 0 && f.w.Flush() != nil {
			return
		}
		line, err := f.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		f.lines = append(f.lines, line)
		if line == "STARTTLS" && !f.secure {
			if s := f.script("", line); !strings.HasPrefix(s, "220") {
				_, _ = f.w.WriteString(s + "\r\n")
				continue
			}
			_, _ = f.w.WriteString("220 go\r\n" + f.inject)
			_ = f.w.Flush()
			tc := tls.Server(c, f.conf)
			if tc.Handshake() != nil {
				return
			}
			if certs := tc.ConnectionState().PeerCertificates; len(certs) > 0 {
				f.peerCert = certs[0]
			}
			f.secure = true
			f.ext = append(slices.Clone(base), f.auth)
			f.r, f.w = bufio.NewReader(tc), bufio.NewWriter(tc)
			continue
		}
		if !f.command(line) {
			_ = f.w.Flush()
			return
		}
	}
}

func (f *tlsFake) saslStep(line string) string {
	verb, arg, _ := strings.Cut(line, " ")
	if verb != "AUTH" {
		return ""
	}
	f.sasl = append(f.sasl, arg)
	f.ext = append(slices.Clone(f.ext), "XPOSTROAD") // offered to whom it knows for a node
	return "235 2.7.0 welcome"
}

var server2 = mail.GUID{2}

func nodeHop() mail.Hop {
	return mail.Hop{Kind: mail.HopNode, Name: "paris-2", Server: server2, Hosts: []string{"192.0.2.2:25"}}
}

func TestNode(t *testing.T) {
	ours, theirs, stranger := certificate(t, "paris-1"), certificate(t, "paris-2"), certificate(t, "stranger")
	nodeTLS := func(o *Options) {
		o.NodeTLS = func(g mail.GUID) *tls.Config {
			if g != server2 {
				return nil
			}
			roots := x509.NewCertPool()
			roots.AddCert(theirs.Leaf)
			return &tls.Config{Certificates: []tls.Certificate{ours}, RootCAs: roots, ServerName: "paris-2"}
		}
		o.Passport = func(*mail.Envelope, mail.Hop) string { return "cGFzcw" }
	}
	conf := func(c tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, ClientAuth: tls.RequireAnyClientCert}
	}
	all := []string{"PIPELINING", "CHUNKING"}
	for name, c := range map[string]struct {
		f    *tlsFake
		hop  mail.Hop
		want string // words of the error; empty: delivered
	}{
		"delivers":         {&tlsFake{fake: fake{ext: all}, conf: conf(theirs), auth: "AUTH PLAIN EXTERNAL"}, nodeHop(), ""},
		"another server":   {&tlsFake{fake: fake{ext: all}, conf: conf(stranger), auth: "AUTH EXTERNAL"}, nodeHop(), "did not prove to be paris-2"},
		"no EXTERNAL":      {&tlsFake{fake: fake{ext: all}, conf: conf(theirs), auth: "AUTH PLAIN"}, nodeHop(), "does not offer AUTH EXTERNAL"},
		"refuses EXTERNAL": {&tlsFake{fake: fake{ext: all, script: refuseAuth}, conf: conf(theirs), auth: "AUTH EXTERNAL"}, nodeHop(), "refuses AUTH EXTERNAL"},
		"refuses STARTTLS": {&tlsFake{fake: fake{ext: all, script: refuseTLS}, conf: conf(theirs)}, nodeHop(), "refuses STARTTLS"},
		"talks before TLS": {&tlsFake{fake: fake{ext: all}, conf: conf(theirs), inject: "250 injected\r\n"}, nodeHop(), "in the clear after STARTTLS"},
		"unknown server":   {&tlsFake{fake: fake{ext: all}, conf: conf(theirs)}, mail.Hop{Kind: mail.HopNode, Name: "ghost", Server: mail.GUID{9}, Hosts: []string{"192.0.2.9:25"}}, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			feed := newFeed(t, many(3)...)
			err := serveBy(t, &pipeDialer{server: c.f.serve, tcp: true}, c.hop, feed, nodeTLS)
			if c.want != "" {
				e := connectError(t, err)
				if !strings.Contains(e.Error(), c.want) || !e.Temporary || len(feed.got) != 0 {
					t.Errorf("%v, temporary %v, %d outcomes; want %q", e, e.Temporary, len(feed.got), c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(c.f.bodies) != 3 || c.f.peerCert.Subject.CommonName != "paris-1" || !slices.Equal(c.f.sasl, []string{"EXTERNAL ="}) {
				t.Errorf("%d messages from %v, AUTH %q", len(c.f.bodies), c.f.peerCert, c.f.sasl)
			}
			i := slices.IndexFunc(c.f.lines, func(l string) bool { return strings.HasPrefix(l, "MAIL") })
			if c.f.lines[i] != "MAIL FROM:<a@a.example> XPOSTROAD=cGFzcw" {
				t.Errorf("%q", c.f.lines[i])
			}
		})
	}
}

func refuseAuth(_, line string) string {
	if strings.HasPrefix(line, "AUTH") {
		return "535 5.7.8 who are you?"
	}
	return ""
}

func refuseTLS(_, line string) string {
	if line == "STARTTLS" {
		return "454 4.7.0 no TLS today"
	}
	return ""
}

func TestTLSPolicies(t *testing.T) {
	cert := certificate(t, "mx.far.example")
	plain := func() *tlsFake { return &tlsFake{} }
	good := func() *tlsFake {
		return &tlsFake{conf: &tls.Config{Certificates: []tls.Certificate{cert}}}
	}
	broken := func() *tlsFake {
		return &tlsFake{conf: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}}
	}
	for name, c := range map[string]struct {
		policy  mail.TLSPolicy
		fake    *tlsFake
		offered bool
		trusted bool
		want    string // "clear", "tls", or the error's words
	}{
		"opportunistic, not offered": {mail.TLSOpportunistic, plain(), false, false, "clear"},
		"opportunistic, offered":     {mail.TLSOpportunistic, good(), true, false, "tls"},
		"opportunistic, broken":      {mail.TLSOpportunistic, broken(), true, false, "clear"},
		"none, offered":              {mail.TLSNone, good(), true, false, "clear"},
		"required, not offered":      {mail.TLSRequired, plain(), false, false, "does not offer STARTTLS"},
		"required, broken":           {mail.TLSRequired, broken(), true, false, "handshake failed"},
		"required, unknown issuer":   {mail.TLSRequired, good(), true, false, "tls"},
		"verified, unknown issuer":   {mail.TLSVerified, good(), true, false, "handshake failed"},
		"verified, known":            {mail.TLSVerified, good(), true, true, "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			hop := mail.Hop{Kind: mail.HopSmartHost, Name: "far", Hosts: []string{"mx.far.example"}, Options: mail.HopOptions{TLS: c.policy}}
			feed := newFeed(t, many(1)...)
			server := c.fake.serve
			if !c.offered {
				server = c.fake.fake.serve
			}
			err := serveBy(t, &pipeDialer{server: server, tcp: true}, hop, feed, func(o *Options) {
				roots := x509.NewCertPool()
				if c.trusted {
					roots.AddCert(cert.Leaf)
				}
				o.TLS = &tls.Config{RootCAs: roots}
			})
			if c.want != "clear" && c.want != "tls" {
				if e := connectError(t, err); !strings.Contains(e.Error(), c.want) || !e.Temporary {
					t.Errorf("%v; want %q, temporary", e, c.want)
				}
				return
			}
			if err != nil || len(c.fake.bodies) != 1 || c.fake.secure != (c.want == "tls") {
				t.Errorf("error %v, %d messages, TLS %v; want %s", err, len(c.fake.bodies), c.fake.secure, c.want)
			}
		})
	}
}

func TestAccount(t *testing.T) {
	cert := certificate(t, "smart.example")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		auth, file string
		policy     mail.TLSPolicy
		want       string // the AUTH argument, or the error's words
		ok         bool
	}{
		"PLAIN":       {"AUTH PLAIN LOGIN", file, mail.TLSRequired, "PLAIN AHVzZXIAczNjcmV0", true},
		"neither":     {"AUTH GSSAPI", file, mail.TLSRequired, "none of AUTH PLAIN, LOGIN and CRAM-MD5", false},
		"no TLS":      {"AUTH PLAIN", file, mail.TLSNone, "not sent in the clear", false},
		"no password": {"AUTH PLAIN", file + "x", mail.TLSRequired, "cannot be read", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &tlsFake{conf: &tls.Config{Certificates: []tls.Certificate{cert}}, auth: c.auth}
			hop := mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"smart.example"}, Options: mail.HopOptions{TLS: c.policy, Account: "user", PasswordFile: c.file}}
			feed := newFeed(t, many(1)...)
			err := serve(t, hop, feed, f.serve)
			if c.ok {
				if err != nil || !slices.Equal(f.sasl, []string{c.want}) {
					t.Errorf("%v, AUTH %q", err, f.sasl)
				}
				return
			}
			e := connectError(t, err)
			if !strings.Contains(e.Error(), c.want) || !e.Temporary || strings.Contains(e.Error(), "s3cret") {
				t.Errorf("%v; want %q", e, c.want)
			}
		})
	}
}

// CRAM-MD5 by the example of RFC 2195 section 2, and hosts that repeat what they were told.
func TestChallenges(t *testing.T) {
	cert := certificate(t, "smart.example")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("tanstaaftanstaaf\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
	const digest = "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
	long := strings.Repeat("tanstaaf", 60)
	longFile := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(longFile, []byte(long+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		auth   string
		answer func(line string) string
		says   string // of the failure; "": none
	}{
		"CRAM-MD5": {"AUTH CRAM-MD5", func(l string) string {
			return map[string]string{"AUTH CRAM-MD5": "334 " + challenge, digest: "235 2.7.0 hello tim"}[l]
		}, ""},
		"CRAM-MD5, repeated": {"AUTH CRAM-MD5", func(l string) string {
			return map[string]string{"AUTH CRAM-MD5": "334 " + challenge, digest: "535 5.7.8 not " + digest}[l]
		}, "535 5.7.8 not [hidden]"},
		"no challenge": {"AUTH CRAM-MD5", func(l string) string {
			return map[string]string{"AUTH CRAM-MD5": "334 %%%", "*": "501 5.7.0 cancelled"}[l]
		}, "501 5.7.0 cancelled"},
		"PLAIN, repeated": {"AUTH PLAIN", func(l string) string { return "535-5.7.8 what is\r\n535 5.7.8 " + l + "?" }, "AUTH PLAIN [hidden]?"},
		"PLAIN, read out": {"AUTH PLAIN", func(string) string { return "535 5.7.8 tim tanstaaftanstaaf is unknown" }, "tim [hidden] is unknown"},
		"LOGIN, repeated": {"AUTH LOGIN", func(l string) string {
			return map[string]string{"AUTH LOGIN dGlt": "334 UGFzc3dvcmQ6", "dGFuc3RhYWZ0YW5zdGFhZg==": "535 5.7.8 dGFuc3RhYWZ0YW5zdGFhZg== tanstaaftanstaaf"}[l]
		}, "535 5.7.8 [hidden] [hidden]"},
		"too long for one line": {"AUTH PLAIN", func(l string) string {
			return map[string]string{"AUTH PLAIN": "334 ", base64.StdEncoding.EncodeToString([]byte("\x00tim\x00" + long)): "235 2.7.0 welcome"}[l]
		}, ""},
		"an echo":   {"AUTH PLAIN", func(l string) string { return l }, "the answer to AUTH PLAIN is none"},
		"for ever":  {"AUTH LOGIN", func(string) string { return "334 VXNlcm5hbWU6" }, "AUTH without end"},
		"and again": {"AUTH CRAM-MD5", func(string) string { return "334 " + challenge }, "AUTH without end"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &tlsFake{conf: &tls.Config{Certificates: []tls.Certificate{cert}}, auth: c.auth}
			told := false
			f.script = func(_, line string) string {
				if told = told || strings.HasPrefix(line, "AUTH"); !told || strings.HasPrefix(line, "MAIL") {
					told = false
					return ""
				}
				return cmp.Or(c.answer(line), "504 5.5.4 not the line that was waited for")
			}
			hop := mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"smart.example"}, Options: mail.HopOptions{TLS: mail.TLSRequired, Account: "tim", PasswordFile: file}}
			if strings.HasPrefix(name, "too long") {
				hop.Options.PasswordFile = longFile
			}
			feed := newFeed(t, many(1)...)
			err := serve(t, hop, feed, f.serve)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0"})
				return
			}
			e := connectError(t, err)
			all := fmt.Sprintf("%v %+v %v", e, e.Outcome, e.Outcome.Reply)
			if !strings.Contains(all, c.says) || !e.Temporary {
				t.Errorf("%s; want %q", all, c.says)
			}
			for _, secret := range []string{"tanstaaf", digest, "dGFuc3RhYWZ0YW5zdGFhZg", "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"} {
				if strings.Contains(all, secret) {
					t.Errorf("%q gives %q away", all, secret)
				}
			}
		})
	}
}

func TestHello(t *testing.T) {
	for name, c := range map[string]struct {
		script func(verb, line string) string
		helo   bool
		want   string // the last hello, or the error's words
		perm   bool
	}{
		"EHLO":          {nil, false, "EHLO me.example", false},
		"connector":     {nil, true, "HELO me.example", false},
		"old host":      {func(v, _ string) string { return map[string]string{"EHLO": "502 what?"}[v] }, false, "HELO me.example", false},
		"no SMTP here":  {func(v, _ string) string { return map[string]string{"CONNECT": "554 no"}[v] }, false, "greets with a refusal", false},
		"busy":          {func(v, _ string) string { return map[string]string{"EHLO": "421 busy"}[v] }, false, "refuses EHLO", false},
		"not SMTP":      {func(_, l string) string { return map[bool]string{true: "500 what?"}[strings.Contains(l, "LO ")] }, false, "refuses EHLO and HELO", true},
		"is ourselves":  {func(v, _ string) string { return map[string]string{"EHLO": "250 me.example"}[v] }, false, "loop back", true},
		"other service": {func(v, _ string) string { return map[string]string{"CONNECT": "SSH-2.0-OpenSSH"}[v] }, false, "not a reply line", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{script: c.script}
			hop := smartHost()
			hop.Options.UseHELO = c.helo
			feed := newFeed(t, many(1)...)
			err := serve(t, hop, feed, f.serve)
			if err == nil {
				i := slices.IndexFunc(f.lines, func(l string) bool { return strings.HasPrefix(l, "MAIL") })
				if f.lines[i-1] != c.want || f.lines[i] != "MAIL FROM:<a@a.example>" {
					t.Errorf("dialog %q", f.lines)
				}
				return
			}
			e := connectError(t, err)
			if !strings.Contains(e.Error(), c.want) || e.Temporary == c.perm || len(feed.got) != 0 {
				t.Errorf("%v, temporary %v; want %q", e, e.Temporary, c.want)
			}
		})
	}
}

func TestFailover(t *testing.T) {
	f := &fake{}
	server := func(n int, c net.Conn) {
		if n > 0 {
			f.serve(n, c)
		}
	}
	hop := smartHost()
	hop.Hosts = []string{"192.0.2.1", "192.0.2.2", "[IPv6:2001:db8::1]:2525"}
	feed := newFeed(t, many(1)...)
	if err := serve(t, hop, feed, server); err != nil {
		t.Fatal(err)
	}
	feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0"})
	if o := feed.got["u0@x.example"]; o.Remote != "[192.0.2.2]:25" || !o.Relayed {
		t.Errorf("outcome %+v", o)
	}
}

func TestProbe(t *testing.T) {
	f := &fake{}
	d := &pipeDialer{server: f.serve}
	a := New(Options{Hostname: "me.example", Dialer: d})
	if err := a.Probe(t.Context(), smartHost()); err != nil {
		t.Fatal(err)
	}
	d.wg.Wait()
	if !slices.Equal(f.lines, []string{"EHLO me.example", "QUIT"}) {
		t.Errorf("dialog %q", f.lines)
	}
	if err := a.Probe(t.Context(), mail.Hop{Kind: mail.HopDrop}); err != nil {
		t.Error(err)
	}
	d.server = func(int, net.Conn) {}
	if e := connectError(t, a.Probe(t.Context(), smartHost())); !e.Temporary {
		t.Errorf("%+v", e)
	}
	d.wg.Wait()
}
