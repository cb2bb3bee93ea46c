package harness

import (
	"fmt"
	"syscall"
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

// One that is stuck is killed, with all that it started.
func TestPostfixEnds(t *testing.T) {
	for name, stuck := range map[string]bool{"well": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			p := StartPostfix(t, "outside.test", nil)
			pids := p.Processes()
			master := pids[len(pids)-1]
			if stuck {
				for _, pid := range pids {
					if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
						t.Fatal(err)
					}
				}
			}
			within := 20 * time.Second
			if stuck {
				within = time.Second
			}
			if killed := p.stop(within); (killed > 0) != stuck {
				t.Errorf("%d killed", killed)
			}
			if n := p.alive(master); n > 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}
