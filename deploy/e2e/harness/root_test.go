package harness

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestUnpackedPeersRun(t *testing.T) {
	exim := StartExim(t, "exim.test", 1, Login{})
	opensmtpd := StartOpenSMTPD(t, "opensmtpd.test", 1, Login{})
	for _, p := range []struct {
		domain  string
		address string
		mailbox func(string) []string
	}{{"exim.test", exim.Address(), exim.Mailbox}, {"opensmtpd.test", opensmtpd.Address(), opensmtpd.Mailbox}} {
		if err := Send(t, p.address, "a@example.test", Letter("a@example.test", "known@"+p.domain, "1@x", "hello"), "known@"+p.domain); err != nil {
			t.Fatal(err)
		}
		Eventually(t, 20*time.Second, func() error {
			if m := p.mailbox("known"); len(m) != 1 || !strings.Contains(m[0], "hello") {
				return fmt.Errorf("%s delivered %q", p.domain, m)
			}
			return nil
		})
		if err := Send(t, p.address, "a@example.test", "x", "nobody@"+p.domain); err == nil {
			t.Errorf("%s takes mail for somebody who is not there", p.domain)
		}
	}
}
