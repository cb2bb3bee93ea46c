package mta

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const patience = 60 * time.Second

// peer is one of the other transports.
type peer struct {
	name, domain string
	address      string
	mailbox      func(local string) []string
	// What it offers and uses.
	utf8, tls bool
	unknown   string // its status for a recipient that does not exist
	// It logs in at the node over TLS.
	logsIn bool
}

const head = `
kind: Organization
name: example
spec: {postmaster: alice@example.test}
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
name: relay
spec:
  server: relay
  relay: {networks: [127.0.0.0/8]}
  limits: {maxMessageSize: 6MiB}
  retry: {first: 1s, second: 1s, third: 1s, subsequent: 1s}
---
kind: Recipient
name: alice
spec: {addresses: [alice@example.test], mailbox: {homeServer: relay}}
---
kind: Account
name: peer
spec: {password: node-password}
`

const connector = `---
kind: SMTPConnector
name: to-%[1]s
spec:
  routingGroup: here
  localBridgeheads: [relay]
  smartHosts: ["[%[2]s]:%[3]s"]
  addressSpaces: ["SMTP:%[1]s.test;1"]
  tls: %[4]s---
kind: SMTPConnector
name: to-clear-%[1]s
spec:
  routingGroup: here
  localBridgeheads: [relay]
  smartHosts: ["[%[2]s]:%[3]s"]
  addressSpaces: ["SMTP:clear.%[1]s.test;1"]
  tls: TLS_POLICY_NONE
`

// start runs the peers, each with the node as its way out, and then the node.
func start(t *testing.T) (*harness.Cluster, []peer) {
	t.Helper()
	base := harness.Ports(t, 64)
	const smtpPort = 2 // of the only node, after etcd
	login := harness.Login{User: "peer", Password: "node-password"}
	postfix := harness.StartPostfix(t, "postfix.test", map[string]string{"example.test": fmt.Sprintf("127.0.0.1:%d", base+smtpPort)})
	exim := harness.StartExim(t, "exim.test", base+smtpPort, login)
	opensmtpd := harness.StartOpenSMTPD(t, "opensmtpd.test", base+smtpPort, login)
	peers := []peer{
		{name: "postfix", domain: "postfix.test", address: postfix.Address(), mailbox: postfix.Mailbox, utf8: true, tls: true, unknown: "5.1.1"},
		{name: "exim", domain: "exim.test", address: exim.Address(), mailbox: exim.Mailbox, utf8: true, tls: true, logsIn: true, unknown: "5.1.1"},
		// OpenSMTPD 6.8 offers STARTTLS and fails each handshake on OpenSSL 3 (its issue
		// 1171): opportunistic TLS has to come down to none.
		{name: "opensmtpd", domain: "opensmtpd.test", address: opensmtpd.Address(), mailbox: opensmtpd.Mailbox, logsIn: true, unknown: "5.2.4"},
	}
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("peer-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	org := head
	for _, p := range peers {
		host, port, _ := strings.Cut(p.address, ":")
		security := "TLS_POLICY_OPPORTUNISTIC\n"
		if p.tls {
			security = "TLS_POLICY_REQUIRED\n"
		}
		if p.name == "exim" {
			security += "  credentials: {user: postroad, passwordFile: " + secret + "}\n"
		}
		org += fmt.Sprintf(connector, p.name, host, port, security)
	}
	return harness.Up(t, org, "--base-port", fmt.Sprint(base)), peers
}

// letter is a message whose content has what relays are known to spoil.
func letter(from, to, id string, body string) string {
	return harness.Letter(from, to, id, body)
}

// awkward is a body of 7-bit lines that relays are known to spoil.
var awkward = strings.Join([]string{
	".", "..", ".leading dot", "...", "From here on", "trailing space ", "trailing tab\t", "", "", strings.Repeat("x", 998), ". ", "end",
}, "\r\n")

// body is the content behind the header, with the line ends of the wire.
func body(message string) string {
	m := strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	_, b, _ := strings.Cut(m, "\r\n\r\n")
	return b
}

// bulk is a body of about n octets, each line different.
func bulk(n int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%09d .. the quick brown fox jumps over the lazy dog, and no line is like another\r\n", i)
	}
	return strings.TrimSuffix(b.String(), "\r\n")
}

func sum(s string) string { return fmt.Sprintf("%d octets, %x", len(s), sha256.Sum256([]byte(s))) }

// mail is one transaction of a client.
type mail struct {
	server, from string
	to           []string
	text         string
	options      smtp.MailOptions
	rcpt         *smtp.RcptOptions
}

func send(t *testing.T, m mail) {
	t.Helper()
	if err := try(m); err != nil {
		t.Fatal(err)
	}
}

func try(m mail) error {
	c, err := smtp.Dial(m.server)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(m.from, &m.options); err != nil {
		return err
	}
	for _, to := range m.to {
		if err := c.Rcpt(to, m.rcpt); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(m.text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// arrived waits for a message with text in a mailbox.
func arrived(t *testing.T, mailbox func() []string, text string) string {
	t.Helper()
	var found string
	harness.Eventually(t, patience, func() error {
		all := mailbox()
		for _, m := range all {
			if strings.Contains(fold(m), fold(text)) {
				found = m
				return nil
			}
		}
		return fmt.Errorf("none of %d messages contains %q", len(all), text)
	})
	return found
}

// fold evens out what writers of reports are free to choose: case, and the space
// after the type of a field (RFC 3464 section 2.1.2).
func fold(s string) string {
	// Exim 4.96 reports ENVID and ORCPT as they came, in xtext.
	s = strings.NewReplacer("+2B", "+", "+3D", "=").Replace(s)
	return strings.NewReplacer("rfc822; ", "rfc822;", "dns; ", "dns;", "smtp; ", "smtp;").Replace(strings.ToLower(s))
}

// has fails for each text that a message does not contain.
func has(t *testing.T, message string, texts ...string) {
	t.Helper()
	for _, w := range texts {
		if !strings.Contains(fold(message), fold(w)) {
			t.Errorf("the message has no %q:\n%.4000s", w, message)
		}
	}
}
