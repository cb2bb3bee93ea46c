// Package failover proves that mail finds its way when things die: a
// bridgehead, a whole site, etcd.
package failover

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// letters counts messages so that each has an ID of its own.
type letters struct {
	t *testing.T
	c *harness.Cluster
	n int
}

func (l *letters) send(from, sender, to string) string {
	l.t.Helper()
	l.n++
	id := fmt.Sprintf("%s-%d@example.test", strings.ReplaceAll(l.t.Name(), "/", "-"), l.n)
	if err := harness.Send(l.t, l.c.Node(from).SMTP, sender, harness.Letter(sender, to, id, "x"), to); err != nil {
		l.t.Fatal(err)
	}
	return id
}

// path is the nodes that received a message, by its tracking.
func path(t *testing.T, c *harness.Cluster, id string) string {
	t.Helper()
	out := c.Ctl("track", "follow", id).Stdout
	var nodes []string
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) > 5 && f[5] == "RECEIVE" || len(f) > 4 && f[4] == "RECEIVE" {
			for _, w := range f {
				if strings.HasPrefix(w, "paris-") || strings.HasPrefix(w, "berlin-") || strings.HasPrefix(w, "oslo-") {
					nodes = append(nodes, w)
					break
				}
			}
		}
	}
	return strings.Join(nodes, " ")
}

func TestBridgeheadDies(t *testing.T) {
	c := harness.Up(t, harness.Demo(t), "--restart-delay", "15s")
	l := &letters{t: t, c: c}
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", l.send("paris-1", "alice@example.test", "olav@example.test"))

	t.Log("one of berlin's two bridgeheads dies")
	c.Kill("berlin-1")
	id := l.send("paris-1", "alice@example.test", "olav@example.test")
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", id)
	if p := path(t, c, id); !strings.Contains(p, "berlin-2") {
		t.Errorf("the message went %q, not by berlin-2", p)
	}

	t.Log("the other one dies too: the direct way is left")
	c.Kill("berlin-2")
	id = l.send("paris-1", "alice@example.test", "olav@example.test")
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", id)
	if p := path(t, c, id); strings.Contains(p, "berlin") || !strings.Contains(p, "oslo-1") {
		t.Errorf("the message went %q, not the direct way", p)
	}
	harness.Eventually(t, 10*time.Second, func() error {
		out := c.Ctl("route", "explain", "olav@example.test", "--from", "paris-1").Stdout
		if !strings.Contains(out, "cost 30") || !strings.Contains(out, "paris-oslo") {
			return fmt.Errorf("route explain does not say why:\n%s", out)
		}
		return nil
	})
	harness.Eventually(t, 10*time.Second, func() error {
		out := c.Ctl("linkstate", "list").Stdout
		if !strings.Contains(out, "down") {
			return fmt.Errorf("linkstate list shows nothing down:\n%s", out)
		}
		return nil
	})

	t.Log("mail for the dead site waits, and is delivered when the site is back")
	held := l.send("paris-1", "alice@example.test", "bruno@example.test")
	harness.Eventually(t, 10*time.Second, func() error {
		out := c.Ctl("queue", "list", "--busy").Stdout
		if !strings.Contains(out, "unreachable") {
			return fmt.Errorf("no unreachable queue:\n%s", out)
		}
		return nil
	})
	c.WaitMail(45*time.Second, "berlin-1", "bruno@example.test", held)

	t.Log("traffic returns to the cheap way")
	harness.Eventually(t, 20*time.Second, func() error {
		out := c.Ctl("route", "explain", "olav@example.test", "--from", "paris-1").Stdout
		if !strings.Contains(out, "cost 20") {
			return fmt.Errorf("still the dear way:\n%s", out)
		}
		return nil
	})
	id = l.send("paris-1", "alice@example.test", "olav@example.test")
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", id)
	if p := path(t, c, id); !strings.Contains(p, "berlin") {
		t.Errorf("the message went %q, not by berlin again", p)
	}
	harness.Eventually(t, 20*time.Second, func() error {
		out := c.Ctl("linkstate", "list").Stdout
		if strings.Contains(out, "DIFFERS") || strings.Contains(out, "DOWN") {
			return fmt.Errorf("the nodes do not agree:\n%s", out)
		}
		return nil
	})
}

func TestEtcdStops(t *testing.T) {
	c := harness.Up(t, harness.Demo(t), "--no-restart")
	l := &letters{t: t, c: c}
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", l.send("paris-1", "alice@example.test", "olav@example.test"))

	c.Signal(c.Endpoints().Etcd.PID, syscall.SIGKILL)
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", l.send("paris-2", "alice@example.test", "olav@example.test"))

	t.Log("a node that starts without etcd lives from its catalog")
	c.Kill("oslo-1")
	c.StartNode("oslo-1")
	c.WaitMail(30*time.Second, "oslo-1", "olav@example.test", l.send("berlin-1", "bruno@example.test", "olav@example.test"))
	c.WaitMail(20*time.Second, "paris-1", "alice@example.test", l.send("oslo-1", "olav@example.test", "alice@example.test"))

	harness.Eventually(t, 20*time.Second, func() error {
		if out := c.Ctl("node", "list").Stdout; !strings.Contains(out, "AWAY") || !strings.Contains(out, "oslo-1") {
			return fmt.Errorf("node list does not show that etcd is away:\n%s", out)
		}
		return nil
	})
	if r := c.Ctl("get", "Server", "paris-1"); r.Code != 0 || !strings.Contains(r.Stderr, "catalog") {
		t.Errorf("get does not answer from the catalog: %+v", r)
	}
	change := harness.Command(t, "kind: RoutingGroup\nname: rome\n", harness.Binary(t, "postroadctl"), "--data", c.Data, "apply", "-f", "-")
	if change.Code != 5 {
		t.Errorf("apply without etcd: %+v, want exit code 5", change)
	}
}
