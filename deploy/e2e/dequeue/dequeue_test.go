// Package dequeue fetches mail from providers: another Postroad, by ATRN and TURN,
// and a Postfix, by ETRN.
package dequeue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// provider holds mail for branch.test until the account "branch" asks for it.
const provider = `
kind: Organization
name: provider
spec: {linkState: {keepalive: 300ms, suspectAfter: 1500ms, refuteWithin: 1s, antiEntropy: 5s}}
---
{kind: RecipientPolicy, name: default, spec: {domains: [{domain: provider.test}]}}
---
{kind: RoutingGroup, name: hub, spec: {}}
---
kind: Server
name: hub-1
spec: {routingGroup: hub, fqdn: mx.provider.test, smtpAddress: "127.0.0.1:2501", gossipAddress: "127.0.0.1:6901", adminAddress: "127.0.0.1:6951"}
---
kind: VirtualServer
name: hub-1-smtp
spec: {server: hub-1, bindings: ["127.0.0.1:2501"], relay: {networks: [127.0.0.0/8]}}
---
kind: SMTPConnector
name: branch
spec: {routingGroup: hub, addressSpaces: ["SMTP:branch.test"], remoteTriggered: true, triggerAccounts: [branch]}
---
{kind: Account, name: branch, spec: {password: secret}}
---
{kind: Recipient, name: postmaster, spec: {addresses: [postmaster@provider.test], mailbox: {homeServer: hub-1}}}
`

// customer is branch.test, with two bridgeheads. %[1]s is the provider, %[2]s the
// password file, %[3]s a Postfix.
const customer = `
kind: Organization
name: branch
spec: {linkState: {keepalive: 300ms, suspectAfter: 1500ms, refuteWithin: 1s, antiEntropy: 5s}}
---
{kind: RecipientPolicy, name: default, spec: {domains: [{domain: branch.test}]}}
---
{kind: RoutingGroup, name: site, spec: {}}
---
kind: Server
name: site-1
spec: {routingGroup: site, fqdn: site-1.branch.test, smtpAddress: "127.0.0.1:2501", gossipAddress: "127.0.0.1:6901", adminAddress: "127.0.0.1:6951"}
---
kind: Server
name: site-2
spec: {routingGroup: site, fqdn: site-2.branch.test, smtpAddress: "127.0.0.1:2502", gossipAddress: "127.0.0.1:6902", adminAddress: "127.0.0.1:6952"}
---
{kind: VirtualServer, name: site-1-smtp, spec: {server: site-1, bindings: ["127.0.0.1:2501"], relay: {networks: [127.0.0.0/8]}}}
---
{kind: VirtualServer, name: site-2-smtp, spec: {server: site-2, bindings: ["127.0.0.1:2502"]}}
---
# Its mail is fetched before strangers are let in: the provider need not prove itself.
kind: VirtualServer
name: fetched
spec: {server: site-1, bindings: ["127.0.0.1:2503"], authentication: {required: true}, connectionControl: {only: true, networks: [192.0.2.1]}}
---
{kind: Recipient, name: bob, spec: {addresses: [bob@branch.test], mailbox: {homeServer: site-1}}}
---
{kind: Recipient, name: eve, spec: {addresses: [eve@branch.test], mailbox: {homeServer: site-2}}}
---
kind: SMTPConnector
name: out
spec:
  routingGroup: site
  localBridgeheads: [site-1]
  smartHosts: ["%[1]s"]
  addressSpaces: ["SMTP:provider.test"]
  credentials: {user: branch, passwordFile: %[2]s}
  dequeue: {method: ATRN, host: "%[1]s", domains: [branch.test], withDelivery: true, virtualServer: fetched}
---
kind: SMTPConnector
name: old
spec:
  routingGroup: site
  localBridgeheads: [site-1]
  smartHosts: ["%[1]s"]
  addressSpaces: ["SMTP:old.test"]
  credentials: {user: branch, passwordFile: %[2]s}
  dequeue: {method: TURN}
---
kind: SMTPConnector
name: nobody
spec:
  routingGroup: site
  localBridgeheads: [site-1]
  smartHosts: ["%[1]s"]
  addressSpaces: ["SMTP:nobody.test"]
  credentials: {user: branch, passwordFile: %[2]s.wrong}
  dequeue: {method: ATRN, host: "%[1]s"}
---
kind: SMTPConnector
name: postfix
spec:
  routingGroup: site
  localBridgeheads: [site-1]
  smartHosts: ["%[3]s"]
  addressSpaces: ["SMTP:outside.test"]
  dequeue: {method: ETRN, domains: [branch.test]}
`

func TestDequeue(t *testing.T) {
	far := harness.Up(t, provider)
	hub := far.Node("hub-1").SMTP
	// The port of the customer's mail, after those of its etcd: Postfix has to know it beforehand.
	base := harness.Ports(t, 64)
	port := base + 2
	postfix := harness.StartPostfix(t, "outside.test", map[string]string{"branch.test": fmt.Sprintf("127.0.0.1:%d", port)},
		"queue_run_delay = 1000s", "minimal_backoff_time = 1000s", "maximal_backoff_time = 2000s")
	secret := filepath.Join(t.TempDir(), "password")
	for file, text := range map[string]string{secret: "secret\n", secret + ".wrong": "guess\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	postfixHost := fmt.Sprintf("[127.0.0.1]:%d", postfix.Port)
	providerHost := "[127.0.0.1]:" + hub[strings.LastIndexByte(hub, ':')+1:]
	near := harness.Up(t, fmt.Sprintf(customer, providerHost, secret, postfixHost), "--base-port", fmt.Sprint(base))
	site := near.Node("site-1").SMTP
	if !strings.HasSuffix(site, fmt.Sprintf(":%d", port)) {
		t.Fatalf("site-1 is at %s, not at port %d", site, port)
	}

	hold := func(t *testing.T, id string, to ...string) {
		t.Helper()
		if err := harness.Send(t, hub, "alice@outside.example", harness.Letter("alice@outside.example", to[0], id, "x"), to...); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, func() error {
			if list := far.Ctl("queue", "list").OK(t).Stdout; !strings.Contains(list, "ETRN, ATRN or TURN") {
				return fmt.Errorf("nothing waits to be asked for:\n%s", list)
			}
			return nil
		})
	}
	// ask wants the mail that the provider holds; it is queued a moment after it was taken.
	ask := func(t *testing.T, connector, want string, node ...string) string {
		t.Helper()
		var out string
		harness.Eventually(t, 30*time.Second, func() error {
			out = near.Ctl(append([]string{"connector", "dequeue", connector, "--timeout", "20s"}, node...)...).OK(t).Stdout
			if !strings.Contains(out, want) {
				return fmt.Errorf("no %q in:\n%s", want, out)
			}
			return nil
		})
		return out
	}

	t.Run("with a delivery", func(t *testing.T) {
		hold(t, "with-1@outside.example", "bob@branch.test")
		if err := harness.Send(t, site, "bob@branch.test", harness.Letter("bob@branch.test", "postmaster@provider.test", "with-2@branch.test", "x"), "postmaster@provider.test"); err != nil {
			t.Fatal(err)
		}
		near.WaitMail(20*time.Second, "site-1", "bob@branch.test", "with-1@")
	})

	t.Run("ATRN, asked at the other bridgehead", func(t *testing.T) {
		hold(t, "atrn-1@outside.example", "bob@branch.test", "eve@branch.test")
		out := ask(t, "out", "message came", "--node", "site-2")
		if !strings.Contains(out, "site-1 asks [127.0.0.1]:") || !strings.Contains(out, "branch.test: 250") {
			t.Errorf("it says:\n%s", out)
		}
		m := near.WaitMail(20*time.Second, "site-1", "bob@branch.test", "atrn-1@")
		near.WaitMail(20*time.Second, "site-2", "eve@branch.test", "atrn-1@")
		if !strings.Contains(m, "from mx.provider.test") || !strings.Contains(m, "with ESMTPS") {
			t.Errorf("it did not come from the provider over TLS:\n%s", m)
		}
		ask(t, "out", "453")
		if list := far.Ctl("queue", "list", "--busy").OK(t).Stdout; strings.Contains(list, "branch.test") {
			t.Errorf("the provider still holds it:\n%s", list)
		}
	})

	t.Run("TURN", func(t *testing.T) {
		hold(t, "turn-1@outside.example", "bob@branch.test")
		ask(t, "old", "1 message came")
		near.WaitMail(20*time.Second, "site-1", "bob@branch.test", "turn-1@")
	})

	t.Run("wrong password", func(t *testing.T) {
		r := near.Ctl("connector", "dequeue", "nobody")
		if r.Code != 1 || !strings.Contains(r.Stderr, "AUTH") || strings.Contains(r.Stdout+r.Stderr, "guess") {
			t.Errorf("exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		if yaml := near.Ctl("get", "SMTPConnector", "out", "-o", "yaml").OK(t).Stdout; strings.Contains(yaml, "secret\n") || !strings.Contains(yaml, "passwordFile: "+secret) {
			t.Errorf("the connector is shown as:\n%s", yaml)
		}
	})

	t.Run("ETRN", func(t *testing.T) {
		near.Ctl("virtualserver", "pause", "site-1-smtp").OK(t)
		if err := harness.Send(t, postfix.Address(), "alice@outside.example", harness.Letter("alice@outside.example", "bob@branch.test", "etrn-1@outside.example", "x"), "bob@branch.test"); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, func() error {
			if !strings.Contains(postfix.Log(), "status=deferred") {
				return fmt.Errorf("Postfix has not tried")
			}
			return nil
		})
		near.Ctl("virtualserver", "start", "site-1-smtp").OK(t)
		if out := ask(t, "postfix", "branch.test: 250"); !strings.Contains(out, "by ETRN") {
			t.Errorf("it says:\n%s", out)
		}
		near.WaitMail(20*time.Second, "site-1", "bob@branch.test", "etrn-1@")
	})
}
