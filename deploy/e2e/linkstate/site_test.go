// Package linkstate proves that what is known of links and servers is true, on
// real nodes, and that the CLI says it.
package linkstate

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// A whole site of two servers dies at once: nobody in it is left to say so, and
// the servers at the other end of its connectors do, after four times the
// patience (six seconds in the demo) and the time to refute (one).
func TestSiteDies(t *testing.T) {
	c := harness.Up(t, harness.Demo(t), "--restart-delay", "25s")
	harness.Eventually(t, 10*time.Second, func() error {
		if r := c.Ctl("linkstate", "validate"); r.Code != 0 || strings.Contains(r.Stdout, "FAIL") {
			return fmt.Errorf("a healthy organisation fails:\n%s%s", r.Stdout, r.Stderr)
		}
		return nil
	})
	if r := c.Ctl("linkstate", "diff", "paris-1", "oslo-1").OK(t); !strings.Contains(r.Stdout, "same table") {
		t.Errorf("nodes that agree differ:\n%s", r.Stdout)
	}

	c.Kill("berlin-1")
	c.Kill("berlin-2")
	down := regexp.MustCompile(`state +down, says (paris-[12]|oslo-1)`)
	for _, server := range []string{"berlin-1", "berlin-2"} {
		harness.Eventually(t, 15*time.Second, func() error {
			if r := c.Ctl("linkstate", "get", server); !down.MatchString(r.Stdout) {
				return fmt.Errorf("%s is not down:\n%s%s", server, r.Stdout, r.Stderr)
			}
			return nil
		})
	}
	r := c.Ctl("linkstate", "validate")
	for _, want := range []string{
		"FAIL  every server lives", "FAIL  no island", "oslo does not reach berlin", "PASS  all link state tables are the same",
	} {
		if r.Code != 1 || !strings.Contains(r.Stdout, want) {
			t.Errorf("validate, exit code %d, does not say %q:\n%s", r.Code, want, r.Stdout)
		}
	}
	if r := c.Ctl("linkstate", "diff", "paris-1", "berlin-1"); r.Code != 5 {
		t.Errorf("comparing with a dead node: exit code %d, want 5: %s", r.Code, r.Stderr)
	}

	t.Log("the site returns and refutes")
	harness.Eventually(t, 60*time.Second, func() error {
		if r := c.Ctl("linkstate", "validate"); r.Code != 0 {
			return fmt.Errorf("not whole again:\n%s%s", r.Stdout, r.Stderr)
		}
		return nil
	})
}

// A link that fails at once is suppressed by settings that damp the first
// change, and the table says until when.
func TestDampingIsVisible(t *testing.T) {
	c := harness.Up(t, harness.Demo(t), "--restart-delay", "2s")
	old := c.Ctl("get", "RoutingGroupConnector", "paris-oslo", "-o", "yaml").OK(t).Stdout
	damped := strings.Replace(old, "probeInterval: 1s", "probeInterval: 1s\n    damping: {suppress: 900, reuse: 100, halfLife: 4s, maximum: 12s}", 1)
	if r := harness.Command(t, strings.Replace(damped, "reuse: 100", "reuse: 1000", 1), harness.Binary(t, "postroadctl"),
		"--data", c.Data, "apply", "-f", "-"); r.Code == 0 || !strings.Contains(r.Stderr, "must be below suppress") {
		t.Errorf("reuse above suppress is taken: exit code %d, %s", r.Code, r.Stderr)
	}
	harness.Command(t, damped, harness.Binary(t, "postroadctl"), "--data", c.Data, "apply", "-f", "-").OK(t)
	harness.Eventually(t, 5*time.Second, func() error {
		if r := c.Ctl("linkstate", "validate"); r.Code != 0 {
			return fmt.Errorf("%s%s", r.Stdout, r.Stderr)
		}
		return nil
	})

	c.Kill("oslo-1")
	harness.Eventually(t, 10*time.Second, func() error {
		if r := c.Ctl("linkstate", "get", "paris-1"); !strings.Contains(r.Stdout, "flapping, may return at") {
			return fmt.Errorf("the damping is not shown:\n%s%s", r.Stdout, r.Stderr)
		}
		return nil
	})
	t.Log("oslo-1 is back soon; the link is not, until its suppression ends")
	harness.Eventually(t, 15*time.Second, func() error {
		if r := c.Ctl("linkstate", "get", "oslo-1"); !strings.Contains(r.Stdout, "alive") {
			return fmt.Errorf("oslo-1 does not return:\n%s%s", r.Stdout, r.Stderr)
		}
		return nil
	})
	if r := c.Ctl("linkstate", "get", "paris-1"); !strings.Contains(r.Stdout, "flapping, may return at") {
		t.Errorf("the link returned at once:\n%s", r.Stdout)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if r := c.Ctl("linkstate", "validate"); r.Code != 0 {
			return fmt.Errorf("the link does not return:\n%s%s", r.Stdout, r.Stderr)
		}
		return nil
	})
}
