package vserver

import (
	"errors"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

type refused mail.Reply

func (r refused) Error() string     { return "refused" }
func (r refused) Reply() mail.Reply { return mail.Reply(r) }

// What the Submitter refuses is counted as content, and loops for themselves: they
// want an administrator, not a sender.
func TestReasonsOfRefusedMessages(t *testing.T) {
	for status, want := range map[mail.Status]string{mail.StatusForwardingLoop: "loop", mail.StatusTooLarge: "content"} {
		var d *denial
		if err := answered(refused{Code: 554, Status: status, Lines: []string{"no"}}); !errors.As(err, &d) || d.reason != want || d.Code != 554 {
			t.Errorf("%s: %+v", status, d)
		}
	}
}
