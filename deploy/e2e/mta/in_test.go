package mta

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// in sends through the peer to the node: the peer's queue runner is the client.
func in(t *testing.T, c *harness.Cluster, p peer) {
	known := "known@" + p.domain
	there := func() []string { return p.mailbox("known") }
	home := func() []string { return c.Mailbox("relay", alice) }
	id := func(name string) string { return name + "-in@" + p.domain }

	t.Run("in", func(t *testing.T) {
		send(t, mail{server: p.address, from: known, to: []string{alice}, text: letter(known, alice, id("octet"), awkward)})
		m := arrived(t, home, id("octet"))
		if got := body(m); got != awkward+"\r\n" {
			t.Errorf("the body became\n%q", got)
		}
		// RFC 3848: what was used, in the trace.
		want := "with ESMTPS"
		if p.logsIn {
			want = "with ESMTPSA"
		}
		has(t, m, "Return-Path: <"+known+">", want, "TLS1.3", "from mx."+p.domain)
	})

	t.Run("in, 8-bit and large", func(t *testing.T) {
		content := "Grüße\r\n" + bulk(4<<20)
		send(t, mail{server: p.address, from: known, to: []string{alice}, text: letter(known, alice, id("big"), content), options: smtp.MailOptions{Body: smtp.Body8BitMIME}})
		if got := body(arrived(t, home, id("big"))); sum(got) != sum(content+"\r\n") {
			t.Errorf("sent %s, arrived %s", sum(content+"\r\n"), sum(got))
		}
	})

	t.Run("in, DSN", func(t *testing.T) {
		send(t, mail{server: p.address, from: known, to: []string{alice}, text: letter(known, alice, id("dsn"), ""),
			options: smtp.MailOptions{EnvelopeID: "inwards-1"},
			rcpt:    &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess}}})
		has(t, arrived(t, there, "Reporting-MTA: dns;relay.example.net"),
			"Action: delivered", "Original-Envelope-Id: inwards-1", "Final-Recipient: rfc822;"+alice)
	})

	t.Run("in, UTF-8", func(t *testing.T) {
		if !p.utf8 {
			return // it takes none either
		}
		text := letter("søren@"+p.domain, alice, id("utf8"), "")
		send(t, mail{server: p.address, from: known, to: []string{alice}, text: text, options: smtp.MailOptions{UTF8: true}})
		has(t, arrived(t, home, id("utf8")), "From: <søren@"+p.domain+">")
	})

	t.Run("in, unknown recipient", func(t *testing.T) {
		const nobody = "nobody@example.test"
		send(t, mail{server: p.address, from: known, to: []string{nobody, alice}, text: letter(known, nobody, id("bounce"), "")})
		arrived(t, home, id("bounce"))
		// The node refuses at RCPT; the peer bounces.
		report := arrived(t, there, "Reporting-MTA: dns; mx."+p.domain)
		has(t, report, "5.1.1", "Final-Recipient: rfc822;"+nobody, "Action: failed")
	})

	t.Run("in, too big", func(t *testing.T) {
		send(t, mail{server: p.address, from: known, to: []string{alice}, text: letter(known, alice, id("huge"), bulk(7<<20))})
		harness.Eventually(t, patience, func() error {
			for _, m := range there() {
				if strings.Contains(m, id("huge")) && strings.Contains(m, "Action: failed") {
					return nil
				}
			}
			return fmt.Errorf("no bounce for a message beyond the node's SIZE")
		})
		for _, m := range home() {
			if strings.Contains(m, id("huge")) {
				t.Error("a message beyond the limit was delivered")
			}
		}
	})

	t.Run("in, many", func(t *testing.T) {
		const n = 10
		for i := range n {
			send(t, mail{server: p.address, from: known, to: []string{alice}, text: letter(known, alice, fmt.Sprintf("many-%d-in@%s", i, p.domain), "one of many")})
		}
		counted(t, home, "-in@"+p.domain, n)
	})
}
