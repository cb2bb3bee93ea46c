package mta

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const alice = "alice@example.test"

func TestPeers(t *testing.T) {
	c, peers := start(t)
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			out(t, c, p)
			in(t, c, p)
		})
	}
}

// out sends through the node to the peer.
func out(t *testing.T, c *harness.Cluster, p peer) {
	known, node := "known@"+p.domain, c.Node("relay").SMTP
	there := func() []string { return p.mailbox("known") }
	home := func() []string { return c.Mailbox("relay", alice) }
	id := func(name string) string { return name + "-out@" + p.domain }

	t.Run("to the octet", func(t *testing.T) {
		send(t, mail{server: node, from: alice, to: []string{known}, text: letter(alice, known, id("octet"), awkward)})
		m := arrived(t, there, id("octet"))
		if got := body(m); got != awkward+"\r\n" {
			t.Errorf("the body became\n%q", got)
		}
		if p.tls && !strings.Contains(m, "TLS") {
			t.Errorf("no TLS in the peer's trace:\n%.2000s", m)
		}
		if p.name == "exim" && !strings.Contains(m, "with esmtpsa") {
			t.Errorf("the node did not log in:\n%.2000s", m)
		}
	})

	t.Run("without TLS", func(t *testing.T) {
		to := "known@clear." + p.domain
		send(t, mail{server: node, from: alice, to: []string{to}, text: letter(alice, to, id("clear"), "plain")})
		m := arrived(t, there, id("clear"))
		trace, _, _ := strings.Cut(m, "by relay.example.net")
		if strings.Contains(trace, "TLS") {
			t.Errorf("the node used TLS where the connector says none:\n%.2000s", trace)
		}
	})

	t.Run("8-bit", func(t *testing.T) {
		text := letter(alice, known, id("eight"), "Grüße aus Köln \xff\xfe")
		send(t, mail{server: node, from: alice, to: []string{known}, text: text, options: smtp.MailOptions{Body: smtp.Body8BitMIME}})
		if got := body(arrived(t, there, id("eight"))); got != "Grüße aus Köln \xff\xfe\r\n" {
			t.Errorf("the body became %q", got)
		}
	})

	t.Run("large", func(t *testing.T) {
		content := bulk(4 << 20)
		send(t, mail{server: node, from: alice, to: []string{known}, text: letter(alice, known, id("big"), content)})
		if got := body(arrived(t, there, id("big"))); sum(got) != sum(content+"\r\n") {
			t.Errorf("sent %s, arrived %s", sum(content+"\r\n"), sum(got))
		}
	})

	t.Run("DSN", func(t *testing.T) {
		send(t, mail{server: node, from: alice, to: []string{known}, text: letter(alice, known, id("dsn"), "secret body"),
			options: smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "envelope+1=" + p.name},
			rcpt:    &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "first+1@" + p.domain}})
		arrived(t, there, id("dsn"))
		report := arrived(t, home, "Reporting-MTA: dns;mx."+p.domain)
		has(t, report, "Action: delivered", "Status: 2.", "Final-Recipient: rfc822;"+known)
		if p.name != "opensmtpd" { // it takes ENVID and ORCPT, and leaves them out of its reports
			has(t, report, "Original-Envelope-Id: envelope+1="+p.name, "Original-Recipient: rfc822;first+1@"+p.domain)
		}
		if strings.Contains(report, "secret body") {
			t.Errorf("RET=HDRS, and the report returns the body:\n%s", report)
		}
	})

	t.Run("bounce", func(t *testing.T) {
		nobody := "nobody@" + p.domain
		send(t, mail{server: node, from: alice, to: []string{known, nobody}, text: letter(alice, known, id("bounce"), "")})
		arrived(t, there, id("bounce"))
		report := arrived(t, home, "Final-Recipient: rfc822;"+nobody)
		has(t, report, "Action: failed", "Status: "+p.unknown, "Diagnostic-Code: smtp;", "Remote-MTA: dns;", "Return-Path: <>", id("bounce"))
		if strings.Contains(report, "Final-Recipient: rfc822;"+known) {
			t.Errorf("the report names a recipient that was delivered:\n%s", report)
		}
	})

	t.Run("UTF-8", func(t *testing.T) {
		text := letter("søren@example.test", known, id("utf8"), "")
		send(t, mail{server: node, from: alice, to: []string{known}, text: text, options: smtp.MailOptions{UTF8: true}})
		if !p.utf8 {
			has(t, arrived(t, home, "Status: 5.6.9"), id("utf8"), "Action: failed")
			return
		}
		has(t, arrived(t, there, id("utf8")), "From: <søren@example.test>")
	})

	t.Run("many", func(t *testing.T) {
		const n = 20
		for i := range n {
			send(t, mail{server: node, from: alice, to: []string{known}, text: letter(alice, known, fmt.Sprintf("many-%d-out@%s", i, p.domain), "one of many")})
		}
		counted(t, there, "-out@"+p.domain, n)
	})
}

// counted waits for n messages with a Message-ID that starts with "many-", and
// fails when one comes twice.
func counted(t *testing.T, mailbox func() []string, suffix string, n int) {
	t.Helper()
	harness.Eventually(t, patience, func() error {
		seen := make(map[string]int)
		for _, m := range mailbox() {
			if _, rest, ok := strings.Cut(m, "Message-ID: <many-"); ok {
				if number, _, ok := strings.Cut(rest, suffix); ok && len(number) < 4 {
					seen[number]++
				}
			}
		}
		for number, times := range seen {
			if times > 1 {
				t.Fatalf("number %s arrived %d times", number, times)
			}
		}
		if len(seen) != n {
			return fmt.Errorf("%d of %d arrived", len(seen), n)
		}
		return nil
	})
}
