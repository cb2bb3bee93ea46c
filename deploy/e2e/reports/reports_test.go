package reports

import (
	"fmt"
	"net/textproto"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const (
	patience = 60 * time.Second
	sender   = "known@postfix.test"
	victim   = "known@clear.postfix.test" // whose address is forged
)

const organization = `
kind: Organization
name: example
spec: {postmaster: alice@example.test, reports: {perSender: 3}}
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
  badmailDirectory: %[3]s
---
kind: SMTPConnector
name: out
spec:
  routingGroup: here
  localBridgeheads: [relay]
  smartHosts: ["[%[1]s]:%[2]s"]
  addressSpaces: ["SMTP:postfix.test;1", "SMTP:clear.postfix.test;1", "SMTP:loop.test;1"]
---
kind: Recipient
name: alice
spec: {addresses: [alice@example.test], mailbox: {homeServer: relay}}
---
kind: Recipient
name: bruno
spec: {addresses: [bruno@example.test], mailbox: {homeServer: relay}}
---
kind: Recipient
name: clara
spec: {addresses: [clara@example.test], mailbox: {homeServer: relay}}
---
kind: Recipient
name: lost
spec: {addresses: [lost@example.test], contact: {targetAddress: nobody@postfix.test}}
---
kind: Recipient
name: team
spec: {addresses: [team@example.test], group: {members: [alice, bruno, clara]}}
---
kind: Recipient
name: mixed
spec: {addresses: [mixed@example.test], group: {members: [alice, lost]}}
`

func TestReports(t *testing.T) {
	base := harness.Ports(t, 64)
	node := fmt.Sprintf("127.0.0.1:%d", base+2) // of the only node, after etcd
	postfix := harness.StartPostfix(t, "postfix.test", map[string]string{"example.test": node, "loop.test": node})
	host, port, _ := strings.Cut(postfix.Address(), ":")
	bad := filepath.Join(t.TempDir(), "bad")
	c := harness.Up(t, fmt.Sprintf(organization, host, port, bad), "--base-port", fmt.Sprint(base))
	// about are the reports of a reporting host that hold a text.
	about := func(mta, text string) (list []*report) {
		for _, m := range postfix.Mailbox("known") {
			if !strings.Contains(m, "multipart/report") || !strings.Contains(m, text) || !strings.Contains(strings.ReplaceAll(m, "dns; ", "dns;"), "Reporting-MTA: dns;"+mta) {
				continue
			}
			r, err := parse(m)
			if err != nil {
				t.Fatalf("%v in\n%s", err, m)
			}
			list = append(list, r)
		}
		return list
	}
	one := func(mta, text string, n int) []*report {
		t.Helper()
		harness.Eventually(t, patience, func() error {
			if got := len(about(mta, text)); got < n {
				return fmt.Errorf("%d reports of %s about %s", got, mta, text)
			}
			return nil
		})
		return about(mta, text)
	}
	badmail := func() int {
		list, err := filepath.Glob(filepath.Join(bad, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}

	t.Run("expanded", func(t *testing.T) {
		send(t, postfix.Address(), sender, "team@example.test", "expanded@x", &smtp.MailOptions{EnvelopeID: "group+1", Return: smtp.DSNReturnFull},
			smtp.DSNNotifySuccess)
		for _, member := range []string{"alice", "bruno", "clara"} {
			c.WaitMail(patience, "relay", member+"@example.test", "<expanded@x>")
		}
		list := one("relay.example.net", "expanded@x", 1)
		r := list[0]
		is(t, r.message, map[string]string{"Original-Envelope-Id": "group+1", "Received-From-Mta": "dns; mx.postfix.test (127.0.0.1)"})
		is(t, r.rcpts[0], map[string]string{"Action": "expanded", "Final-Recipient": "rfc822; team@example.test", "X-Actual-Recipient": "",
			"Original-Recipient": "RFC822; team@example.test", "Diagnostic-Code": ""}) // in the case in which the client gave it
		// RFC 3461 section 4.3: no failure, so the header only, whatever RET says.
		if len(list) != 1 || len(r.rcpts) != 1 || r.third != "text/rfc822-headers" || !strings.Contains(r.words, "distribution list") {
			t.Errorf("%d reports, %d recipients, %s:\n%s", len(list), len(r.rcpts), r.third, r.words)
		}
	})

	t.Run("expanded, and a member fails", func(t *testing.T) {
		send(t, postfix.Address(), sender, "mixed@example.test", "mixed@x", &smtp.MailOptions{Return: smtp.DSNReturnFull}, smtp.DSNNotifySuccess, smtp.DSNNotifyFailure)
		list := one("relay.example.net", "mixed@x", 2)
		slices.SortFunc(list, func(a, b *report) int { return strings.Compare(a.rcpts[0].Get("Action"), b.rcpts[0].Get("Action")) })
		is(t, list[0].rcpts[0], map[string]string{"Action": "expanded", "Final-Recipient": "rfc822; mixed@example.test"})
		is(t, list[1].rcpts[0], map[string]string{"Action": "failed", "Status": "5.1.1", "Final-Recipient": "rfc822; mixed@example.test",
			"X-Actual-Recipient": "rfc822; nobody@postfix.test", "Remote-Mta": "dns; [127.0.0.1]"})
		if len(list) != 2 || list[1].third != "message/rfc822" || !strings.HasPrefix(list[1].rcpts[0].Get("Diagnostic-Code"), "smtp; 550") {
			t.Errorf("%d reports, %s, %v", len(list), list[1].third, list[1].rcpts)
		}
	})

	t.Run("loop", func(t *testing.T) {
		send(t, postfix.Address(), sender, "x@loop.test", "loop@x", &smtp.MailOptions{}, smtp.DSNNotifyFailure)
		r := one("mx.postfix.test", "loop@x", 1)[0]
		is(t, r.rcpts[0], map[string]string{"Action": "failed", "Status": "5.4.6"})
		if d := r.rcpts[0].Get("Diagnostic-Code"); !strings.Contains(d, "554 5.4.6 Mail loop: the message has been at this server 5 times before") {
			t.Errorf("it said %s", d)
		}
	})

	// The last subtest: the node is another process afterwards.
	t.Run("bounds", func(t *testing.T) {
		forge := func(n int) {
			send(t, postfix.Address(), victim, "lost@example.test", fmt.Sprintf("forged-%d@x", n), &smtp.MailOptions{})
		}
		kept := func(n int) {
			t.Helper()
			harness.Eventually(t, patience, func() error {
				if got := badmail(); got != n {
					return fmt.Errorf("%d messages of badmail, want %d", got, n)
				}
				return nil
			})
		}
		for i := range 5 {
			forge(i)
		}
		one("relay.example.net", "forged-", 3)
		kept(2)
		c.Stop()
		c = harness.UpAgain(t, c.Data, "--base-port", fmt.Sprint(base))
		forge(5)
		kept(3)
		if list := about("relay.example.net", "forged-"); len(list) != 3 {
			t.Errorf("%d reports after the restart, the bound is 3", len(list))
		}
	})
}

// is compares fields; "" stands for one that is not there.
func is(t *testing.T, h textproto.MIMEHeader, want map[string]string) {
	t.Helper()
	for name, v := range want {
		if got := h.Get(name); got != v {
			t.Errorf("%s: %q, want %q", name, got, v)
		}
	}
}

func send(t *testing.T, server, from, to, id string, options *smtp.MailOptions, notify ...smtp.DSNNotify) {
	t.Helper()
	c, err := smtp.Dial(server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rcpt := &smtp.RcptOptions{Notify: notify}
	if len(notify) > 0 {
		rcpt.OriginalRecipientType, rcpt.OriginalRecipient = smtp.DSNAddressTypeRFC822, to
	}
	if err := c.Mail(from, options); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to, rcpt); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(harness.Letter(from, to, id, "hello"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
