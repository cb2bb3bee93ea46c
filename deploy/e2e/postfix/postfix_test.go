// Package postfix proves mail to and from the outside world, which is a Postfix.
package postfix

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

func TestMailWithTheOutsideWorld(t *testing.T) {
	// The outside knows our domain by the bridgehead's address, which is known
	// only once the ports are chosen; so the smart host's port is chosen here.
	org := harness.Demo(t)
	base := harness.Ports(t, 64)
	const parisSMTP = 2 + 4*3 // berlin-1, berlin-2, oslo-1, paris-1: sorted by name, after etcd
	postfix := harness.StartPostfix(t, "outside.test", map[string]string{"example.test": fmt.Sprintf("127.0.0.1:%d", base+parisSMTP)})
	org = strings.ReplaceAll(org, "[127.0.0.1]:2599", fmt.Sprintf("[127.0.0.1]:%d", postfix.Port))
	c := harness.Up(t, org, "--base-port", fmt.Sprint(base))

	t.Run("in", func(t *testing.T) {
		id := "in-1@outside.test"
		if err := harness.Send(t, postfix.Address(), "known@outside.test", harness.Letter("known@outside.test", "olav@example.test", id, "from outside"), "olav@example.test"); err != nil {
			t.Fatal(err)
		}
		m := c.WaitMail(20*time.Second, "oslo-1", "olav@example.test", id)
		for _, want := range []string{"Return-Path: <known@outside.test>", "from mx.outside.test", "by oslo-1.example.test"} {
			if !strings.Contains(m, want) {
				t.Errorf("message has no %q:\n%s", want, m)
			}
		}
	})

	t.Run("out from the far end", func(t *testing.T) {
		id := "out-1@example.test"
		send := harness.Command(t, "", harness.Program(t, "swaks"), "--server", c.Node("paris-1").SMTP, "--from", "alice@example.test", "--to", "known@outside.test",
			"--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "demo-password", "--header", "Message-Id: <"+id+">")
		send.OK(t)
		harness.Eventually(t, 20*time.Second, func() error {
			for _, m := range postfix.Mailbox("known") {
				if strings.Contains(m, id) {
					return nil
				}
			}
			return fmt.Errorf("not in the mailbox outside")
		})
	})

	t.Run("bounce comes home", func(t *testing.T) {
		id := "bounce-1@example.test"
		harness.Command(t, "", harness.Program(t, "swaks"), "--server", c.Node("paris-1").SMTP, "--from", "alice@example.test", "--to", "nobody@outside.test",
			"--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "demo-password", "--header", "Message-Id: <"+id+">").OK(t)
		m := c.WaitMail(20*time.Second, "paris-1", "alice@example.test", "nobody@outside.test")
		for _, want := range []string{"multipart/report", "message/delivery-status", "5.1.1", "Final-Recipient: rfc822;", "Return-Path: <>"} {
			if !strings.Contains(m, want) {
				t.Errorf("the report has no %q:\n%s", want, m)
			}
		}
	})

	t.Run("no relay for strangers", func(t *testing.T) {
		err := harness.Send(t, c.Node("paris-1").SMTP, "stranger@elsewhere.test", harness.Letter("stranger@elsewhere.test", "known@outside.test", "r@x", ""), "known@outside.test")
		var refused *smtp.SMTPError
		if !errors.As(err, &refused) || refused.Code != 550 || refused.EnhancedCode != (smtp.EnhancedCode{5, 7, 1}) {
			t.Errorf("relaying for a stranger: %v", err)
		}
	})

	t.Run("contact", func(t *testing.T) {
		harness.Command(t, "kind: Recipient\nname: outsider\nspec:\n  addresses: [outsider@example.test]\n  contact: {targetAddress: known@outside.test}\n",
			harness.Binary(t, "postroadctl"), "--data", c.Data, "apply", "-f", "-").OK(t)
		id := "contact-1@example.test"
		harness.Eventually(t, 5*time.Second, func() error {
			return harness.Send(t, c.Node("oslo-1").SMTP, "olav@example.test", harness.Letter("olav@example.test", "outsider@example.test", id, ""), "outsider@example.test")
		})
		harness.Eventually(t, 20*time.Second, func() error {
			for _, m := range postfix.Mailbox("known") {
				if strings.Contains(m, id) {
					return nil
				}
			}
			return fmt.Errorf("not in the mailbox outside")
		})
	})
}
