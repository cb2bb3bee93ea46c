package harness

import (
	"fmt"
	"testing"
	"time"
)

// A peer that does not work would make every scenario with it worthless.
func TestPostfixDelivers(t *testing.T) {
	p := StartPostfix(t, "outside.test", nil)
	if err := Send(t, p.Address(), "a@elsewhere.test", Letter("a@elsewhere.test", "known@outside.test", "x1@elsewhere.test", "hello"), "known@outside.test"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() error {
		if n := len(p.Mailbox("known")); n != 1 {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
}
