package vserver

import (
	"fmt"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// What could only be returned is refused while the client is there to be told, but
// not from a node, and not where unknown recipients are let in on purpose.
func TestHopelessRecipients(t *testing.T) {
	verdicts := map[string]mail.Outcome{
		"ping@example.test":  mail.Fail(mail.StatusForwardingLoop, "redirected in a loop"),
		"small@example.test": mail.Fail(mail.StatusTooLarge, "too large"),
		"brim@example.test":  mail.Fail(mail.StatusMailboxFull, "the mailbox is full"),
		"late@example.test":  mail.Defer(mail.StatusDirectory, "nobody knows"),
		"gone@example.test":  mail.Fail(mail.StatusUnknownUser, "does not exist"),
	}
	foresee := func(d *Deps) {
		d.Foresee = func(from, to mail.Address, size int64) *mail.Outcome {
			if from.String() != "a@outside.test" || size != 1234 {
				t.Errorf("asked about %s, %d octets", from, size)
			}
			if o, ok := verdicts[to.String()]; ok {
				return &o
			}
			return nil
		}
	}
	for filter, want := range map[string]map[string]string{
		"": {"bob@example.test": "250", "ping@example.test": "550 5.4.6 redirected in a loop", "small@example.test": "552 5.2.3", "brim@example.test": "552 5.2.2 the mailbox is full", "late@example.test": "250", "gone@example.test": "550 5.1.1"},
		", recipientFilter: {acceptUnknown: true}": {"ping@example.test": "550 5.4.6", "gone@example.test": "250"},
	} {
		more := ""
		for i, name := range []string{"ping", "small", "late", "gone", "brim"} {
			more += fmt.Sprintf("---\nkind: Recipient\nname: r%d\nspec: {addresses: [%s@example.test], mailbox: {homeServer: paris-1}}\n", i, name)
		}
		s := newSite(t, filter, more, foresee)
		p := s.connect()
		p.say("EHLO c.example", "250-paris-1.example.test")
		p.say("MAIL FROM:<a@outside.test> SIZE=1234", "250")
		for to, reply := range want {
			p.say("RCPT TO:<"+to+">", reply)
		}
		p.say("QUIT", "221")
	}
}
