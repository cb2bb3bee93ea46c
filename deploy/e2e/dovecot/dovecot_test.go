// Package dovecot proves delivery by LMTP into a mailbox store of others.
package dovecot

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

func TestDeliveryByLMTP(t *testing.T) {
	store := harness.StartDovecot(t, "olav@example.test") // oda is missing on purpose
	org := strings.ReplaceAll(harness.Demo(t), "fqdn: oslo-1.example.test", "fqdn: oslo-1.example.test\n  localDelivery: {lmtp: {address: '"+store.Address()+"'}}")
	c := harness.Up(t, org)

	id := "lmtp-1@example.test"
	if err := harness.Send(t, c.Node("paris-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", "olav@example.test", id, "to the store"), "olav@example.test", "oda@example.test"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, func() error {
		m := store.Mailbox("olav@example.test")
		if len(m) != 1 || !strings.Contains(m[0], id) {
			return fmt.Errorf("olav's mailbox in the store holds %d messages", len(m))
		}
		return nil
	})
	// LMTP answers for each recipient: olav has his copy, oda's refusal is reported.
	report := c.WaitMail(20*time.Second, "paris-1", "alice@example.test", "message/delivery-status")
	if !strings.Contains(report, "oda@example.test") || strings.Contains(report, "Final-Recipient: rfc822; olav@") || strings.Contains(report, "Final-Recipient: rfc822;olav@") {
		t.Errorf("the report must be about oda alone:\n%s", report)
	}
}

// A mailbox that is full in the store is told by LMTP, for that recipient alone, after
// the content: returned at once with 5.2.2, while the other one has his copy.
func TestQuotaOfTheStore(t *testing.T) {
	store := harness.StartDovecot(t, "olav@example.test", harness.WithQuota("oda@example.test", 3000))
	org := strings.ReplaceAll(harness.Demo(t), "fqdn: oslo-1.example.test", "fqdn: oslo-1.example.test\n  localDelivery: {lmtp: {address: '"+store.Address()+"'}}")
	c := harness.Up(t, org)
	send := func(id, text string) {
		t.Helper()
		if err := harness.Send(t, c.Node("paris-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", "olav@example.test", id, text), "olav@example.test", "oda@example.test"); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func(olav, oda int) {
		t.Helper()
		harness.Eventually(t, 20*time.Second, func() error {
			if a, b := len(store.Mailbox("olav@example.test")), len(store.Mailbox("oda@example.test")); a != olav || b != oda {
				return fmt.Errorf("olav has %d messages, want %d; oda %d, want %d", a, olav, b, oda)
			}
			return nil
		})
	}
	send("quota-1@example.test", "fits")
	arrived(1, 1)
	send("quota-2@example.test", strings.Repeat(strings.Repeat("x", 70)+"\r\n", 60))
	arrived(2, 1)
	report := c.WaitMail(20*time.Second, "paris-1", "alice@example.test", "message/delivery-status")
	for _, want := range []string{"oda@example.test", "Status: 5.2.2", "quota-2@example.test"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report has no %q:\n%s", want, report)
		}
	}
	if strings.Contains(report, "Final-Recipient: rfc822; olav@") || strings.Contains(report, "Final-Recipient: rfc822;olav@") {
		t.Errorf("the report must be about oda alone:\n%s", report)
	}
}

func TestStoreAwayMeansRetry(t *testing.T) {
	port := harness.Ports(t, 1)
	org := strings.ReplaceAll(harness.Demo(t), "fqdn: oslo-1.example.test", fmt.Sprintf("fqdn: oslo-1.example.test\n  localDelivery: {lmtp: {address: '127.0.0.1:%d'}}", port))
	c := harness.Up(t, org)
	id := "lmtp-2@example.test"
	if err := harness.Send(t, c.Node("oslo-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", "olav@example.test", id, ""), "olav@example.test"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, func() error {
		out := c.Ctl("queue", "list", "--busy").OK(t).Stdout
		if !strings.Contains(out, "oslo-1") || !strings.Contains(out, "retry") {
			return fmt.Errorf("no queue in retry:\n%s", out)
		}
		return nil
	})
	store := harness.StartDovecotAt(t, port, "olav@example.test")
	harness.Eventually(t, 30*time.Second, func() error {
		if n := len(store.Mailbox("olav@example.test")); n != 1 {
			return fmt.Errorf("%d messages in the store", n)
		}
		return nil
	})
}
