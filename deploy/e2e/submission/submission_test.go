// Package submission proves the ports for mail programs (RFC 6409 and RFC 8314)
// with the programs that people and scripts use: curl, msmtp, swaks, Python's
// smtplib and openssl s_client. One node; beside its port 25 stand two virtual
// servers with the presets SUBMISSION and SUBMISSIONS. Certificates are checked.
package submission

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const organization = `
kind: Organization
name: example
---
kind: RecipientPolicy
name: default
spec: {domains: [{domain: example.test}]}
---
kind: RoutingGroup
name: here
---
kind: Server
name: relay
spec: {routingGroup: here, fqdn: relay.example.net}
---
kind: VirtualServer
name: a-25
spec: {server: relay}
---
kind: VirtualServer
name: b-587
spec: {server: relay, preset: PRESET_SUBMISSION, bindings: ["127.0.0.1:587"]}
---
kind: VirtualServer
name: c-465
spec: {server: relay, preset: PRESET_SUBMISSIONS, bindings: ["127.0.0.1:465"]}
---
kind: Recipient
name: alice
spec: {addresses: [alice@example.test], mailbox: {homeServer: relay}}
---
kind: Recipient
name: bob
spec: {addresses: [bob@example.test], mailbox: {homeServer: relay}}
---
kind: Account
name: alice
spec: {password: "p w=1,é", sendAs: [alice@example.test]}
`

const (
	alice, bob = "alice@example.test", "bob@example.test"
	user       = "alice"
	// Characters that mechanisms have to escape or prepare (RFC 4616, RFC 5802
	// section 5.1, RFC 4013).
	password = "p w=1,é"
)

type rig struct {
	c        *harness.Cluster
	ca       string
	starttls string // "host:port"
	implicit string
}

func TestSubmission(t *testing.T) {
	base := harness.Ports(t, 64)
	c := harness.Up(t, organization, "--base-port", strconv.Itoa(base))
	at := func(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(base+n)) }
	r := &rig{c, c.Endpoints().Admin.CA, at(6), at(7)} // after etcd's two and the node's four
	t.Run("curl", r.curl)
	t.Run("msmtp", r.msmtp)
	t.Run("swaks", r.swaks)
	t.Run("smtplib", r.smtplib)
	t.Run("openssl s_client", r.typed)
	t.Run("injection before TLS", r.injection)
	t.Run("TLS 1.1", r.oldTLS)
}

func (r *rig) arrives(t *testing.T, id string) string {
	t.Helper()
	return r.c.WaitMail(20*time.Second, "relay", bob, "<"+id+">")
}

func (r *rig) curl(t *testing.T) {
	run := func(url, id string, args ...string) harness.Result {
		args = append([]string{"--silent", "--show-error", "--max-time", "20", "--url", url, "--cacert", r.ca,
			"--mail-from", alice, "--mail-rcpt", bob, "--upload-file", "-"}, args...)
		return harness.Command(t, harness.Letter(alice, bob, id, "from curl"), harness.Program(t, "curl"), args...)
	}
	for _, f := range []struct{ name, url, mechanism string }{
		{"starttls-plain", "smtp://" + r.starttls, "PLAIN"},
		{"starttls-login", "smtp://" + r.starttls, "LOGIN"},
		{"implicit-plain", "smtps://" + r.implicit, "PLAIN"},
		{"implicit-login", "smtps://" + r.implicit, "LOGIN"},
	} {
		id := "curl-" + f.name + "@example.test"
		run(f.url, id, "--ssl-reqd", "--user", user+":"+password, "--login-options", "AUTH="+f.mechanism).OK(t)
		if m := r.arrives(t, id); !strings.Contains(m, "with ESMTPSA") {
			t.Errorf("%s: the trace does not say ESMTPSA (RFC 3848):\n%s", f.name, m)
		}
	}
	for name, args := range map[string][]string{
		"a wrong password": {"--ssl-reqd", "--user", user + ":wrong"},
		"no TLS":           {"--user", user + ":" + password},
		"no login":         {"--ssl-reqd"},
		"another sender":   {"--ssl-reqd", "--user", user + ":" + password, "--mail-from", bob},
	} {
		if got := run("smtp://"+r.starttls, "curl-refused@example.test", args...); got.Code == 0 {
			t.Errorf("%s was taken:\n%s", name, got.Stderr)
		}
	}
}

func (r *rig) msmtp(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct{ name, address, mechanism, starttls string }{
		{"scram", r.starttls, "scram-sha-256", "on"},
		{"scram-implicit", r.implicit, "scram-sha-256", "off"},
		{"plain", r.starttls, "plain", "on"},
		{"login", r.implicit, "login", "off"},
	} {
		host, port, _ := strings.Cut(f.address, ":")
		id := "msmtp-" + f.name + "@example.test"
		harness.Command(t, harness.Letter(alice, bob, id, "from msmtp"), harness.Program(t, "msmtp"), "--file=/dev/null", "--host="+host, "--port="+port,
			"--tls=on", "--tls-starttls="+f.starttls, "--tls-trust-file="+r.ca, "--auth="+f.mechanism, "--user="+user, "--passwordeval=cat "+secret,
			"--from="+alice, "--dsn-notify=failure,delay", "--dsn-return=headers", bob).OK(t)
		r.arrives(t, id)
	}
}

func (r *rig) swaks(t *testing.T) {
	for _, f := range []struct{ name, address, tls, mechanism string }{
		{"pipelined", r.starttls, "--tls", "PLAIN"},
		{"on-connect", r.implicit, "--tls-on-connect", "LOGIN"},
	} {
		id := "swaks-" + f.name + "@example.test"
		harness.Command(t, "", harness.Program(t, "swaks"), "--server", f.address, f.tls, "--tls-verify", "--tls-ca-path", r.ca, "--pipeline",
			"--auth", f.mechanism, "--auth-user", user, "--auth-password", password, "--from", alice, "--to", bob, "--header", "Message-Id: <"+id+">").OK(t)
		r.arrives(t, id)
	}
}

const smtplib = `
import smtplib, ssl, sys
from email.message import EmailMessage
starttls, implicit, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)

def message(ident, body, sender="alice@example.test"):
    m = EmailMessage()
    m["From"], m["To"], m["Message-ID"] = sender, "bob@example.test", "<%s>" % ident
    m["Subject"] = "Grüße"
    m.set_content(body, cte="8bit")
    return m

host, port = starttls.split(":")
with smtplib.SMTP(host, int(port), timeout=20) as s:
    s.ehlo()
    try:
        s.sendmail("alice@example.test", ["bob@example.test"], "x")
        sys.exit("MAIL was taken without TLS")
    except smtplib.SMTPSenderRefused as e:
        assert e.smtp_code == 530, e
    s.rset()
    s.starttls(context=context)
    s.ehlo()
    for wanted in "8bitmime", "smtputf8", "size", "pipelining", "chunking", "dsn", "auth":
        assert s.has_extn(wanted), s.esmtp_features
    assert not s.has_extn("starttls"), "STARTTLS is offered under TLS"
    s.login(user, password)
    s.send_message(message("smtplib-8bit@example.test", "Straße\n"))
    # SMTPUTF8: the sender's own address stays ASCII, a header field is not.
    s.send_message(message("smtplib-utf8@example.test", "x\n"), mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    code, text = s.docmd("AUTH", "PLAIN")
    assert code == 503, (code, text)
host, port = implicit.split(":")
with smtplib.SMTP_SSL(host, int(port), timeout=20, context=context) as s:
    s.user, s.password = user, password
    s.ehlo()
    code, text = s.auth("LOGIN", s.auth_login)
    assert code == 235, (code, text)
    s.send_message(message("smtplib-implicit@example.test", "x\n"))
`

func (r *rig) smtplib(t *testing.T) {
	script := filepath.Join(t.TempDir(), "submit.py")
	if err := os.WriteFile(script, []byte(smtplib), 0o600); err != nil {
		t.Fatal(err)
	}
	// smtplib sends passwords as ASCII only; so this account has one of its own.
	harness.Command(t, "kind: Account\nname: scripts\nspec: {password: ascii-only, sendAs: [alice@example.test]}\n",
		harness.Binary(t, "postroadctl"), "--data", r.c.Data, "apply", "-f", "-").OK(t)
	run := func() harness.Result {
		return harness.Command(t, "", harness.Program(t, "python3"), script, r.starttls, r.implicit, r.ca, "scripts", "ascii-only")
	}
	harness.Eventually(t, 10*time.Second, func() error { // until the node knows the account
		if res := run(); res.Code != 0 {
			return fmt.Errorf("exit code %d\n%s%s", res.Code, res.Stdout, res.Stderr)
		}
		return nil
	})
	if m := r.arrives(t, "smtplib-8bit@example.test"); !strings.Contains(m, "Straße") {
		t.Errorf("8-bit content changed:\n%s", m)
	}
	r.arrives(t, "smtplib-utf8@example.test")
	r.arrives(t, "smtplib-implicit@example.test")
}

// typed is the dialogue that an administrator types.
func (r *rig) typed(t *testing.T) {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	lines := []string{
		"EHLO typed.example.test", "AUTH PLAIN " + plain, "MAIL FROM:<" + alice + ">", "RCPT TO:<" + bob + ">", "DATA",
		"Message-ID: <typed-1@example.test>", "", "typed", ".", "QUIT", "",
	}
	for name, args := range map[string][]string{
		"STARTTLS": {"-starttls", "smtp", "-connect", r.starttls},
		"implicit": {"-connect", r.implicit},
	} {
		args = append([]string{"s_client", "-quiet", "-crlf", "-verify_return_error", "-CAfile", r.ca}, args...)
		out := harness.Command(t, strings.Join(lines, "\n"), harness.Program(t, "openssl"), args...).OK(t).Stdout
		rest := out
		for _, want := range []string{"250-relay.example.net", "235 2.7.0", "250 2.1.0", "250 2.1.5", "354", "250 2.6.0 <typed-1@example.test>", "221 2.0.0"} {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%s: no %q in its place:\n%s", name, want, out)
				break
			}
			rest = after
		}
	}
	r.arrives(t, "typed-1@example.test")
}

// injection sends commands in the same segment as STARTTLS (RFC 3207 section 6,
// CVE-2011-0411): they must not be there after the handshake, nor before it.
func (r *rig) injection(t *testing.T) {
	conn, err := net.Dial("tcp", r.starttls)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "EHLO evil.example.test\r\nSTARTTLS\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n", alice, bob)
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n")
	if end := last[len(last)-1]; !strings.HasPrefix(end, "501 5.5.1") {
		t.Errorf("the connection ended with %q", end)
	}
	if strings.Contains(string(b), "\r\n220 ") {
		t.Errorf("the server went on to TLS with commands already in its hands:\n%s", b)
	}
}

// oldTLS is forbidden by RFC 8996.
func (r *rig) oldTLS(t *testing.T) {
	for version, taken := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", r.implicit, &tls.Config{MinVersion: version, MaxVersion: version, InsecureSkipVerify: true})
		if (err == nil) != taken {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
