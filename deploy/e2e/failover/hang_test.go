package failover

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// A process that hangs is worse than a dead one: its connections stay open, the
// kernel goes on accepting for it, and nothing ever answers. Mail flows around
// it, also what was in flight to it, and is in its mailbox once.
func TestBridgeheadHangs(t *testing.T) {
	c := harness.Up(t, harness.Demo(t), "--no-restart")
	l := &letters{t: t, c: c}
	first := l.send("paris-1", "alice@example.test", "olav@example.test")
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", first)
	victim := ""
	for _, name := range []string{"berlin-1", "berlin-2"} {
		if strings.Contains(path(t, c, first), name) {
			victim = name
		}
	}
	if victim == "" {
		t.Fatalf("the first message went %q, not by berlin", path(t, c, first))
	}

	var stop atomic.Bool
	sent := make(chan []string, 1)
	go func() {
		var ids []string
		for n := 0; !stop.Load(); n++ {
			id := fmt.Sprintf("stream-%d@example.test", n)
			if err := harness.Send(t, c.Node("paris-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", "x", id, "x"), "olav@example.test"); err != nil {
				t.Error(err)
				break
			}
			ids = append(ids, id)
		}
		sent <- ids
	}()
	pid := c.Node(victim).PID
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	<-time.After(500 * time.Millisecond) // while mail flows
	t.Logf("%s hangs", victim)
	c.Signal(pid, syscall.SIGSTOP)
	hung := time.Now()
	<-time.After(time.Second) // mail goes on coming in before anybody knows
	stop.Store(true)
	ids := <-sent
	var held int
	harness.Eventually(t, 10*time.Second-time.Since(hung), func() error {
		held = 0
		for id, n := range l.notOnce("oslo-1", "olav@example.test", ids) {
			// What the hanging process had acknowledged can only wait for it.
			if n != 0 || !l.handedTo(victim, id) {
				return fmt.Errorf("%s is in the mailbox %d times", id, n)
			}
			held++
		}
		return nil
	})
	t.Logf("%d messages arrived within %v, %d are with %s", len(ids)-held, time.Since(hung).Round(100*time.Millisecond), held, victim)
	if held > len(ids)/10 {
		t.Errorf("%s took %d messages that it did not hand on", victim, held)
	}

	out := c.Ctl("route", "explain", "olav@example.test", "--from", "paris-1").OK(t).Stdout
	if !strings.Contains(out, victim) || !strings.Contains(out, "down") {
		t.Errorf("route explain does not say that %s is down:\n%s", victim, out)
	}

	t.Logf("%s goes on, and hands on what it had taken", victim)
	c.Signal(pid, syscall.SIGCONT)
	home := map[string]string{"berlin-1": "bruno@example.test", "berlin-2": "britta@example.test"}[victim]
	c.WaitMail(10*time.Second, victim, home, l.send("paris-1", "alice@example.test", home))
	harness.Eventually(t, 20*time.Second, func() error {
		if out := c.Ctl("linkstate", "list").Stdout; strings.Contains(out, "DIFFERS") || strings.Contains(out, "DOWN") || strings.Contains(out, " down ") {
			return fmt.Errorf("the nodes do not agree that all is well:\n%s", out)
		}
		if out := c.Ctl("queue", "list", "--busy").Stdout; strings.Count(out, "\n") > 1 {
			return fmt.Errorf("queues are not empty:\n%s", out)
		}
		for id, n := range l.notOnce("oslo-1", "olav@example.test", ids) {
			return fmt.Errorf("%s is in the mailbox %d times", id, n)
		}
		return nil
	})
}

// notOnce counts the copies of the messages that are not in the mailbox exactly once.
func (l *letters) notOnce(node, address string, ids []string) map[string]int {
	count := make(map[string]int)
	for _, m := range l.c.Mailbox(node, address) {
		_, rest, _ := strings.Cut(m, "Message-ID: <")
		id, _, _ := strings.Cut(rest, ">")
		count[id]++
	}
	wrong := make(map[string]int)
	for _, id := range ids {
		if count[id] != 1 {
			wrong[id] = count[id]
		}
	}
	return wrong
}

// handedTo says whether the tracking of the other nodes tells that one of them
// was told 250 by node.
func (l *letters) handedTo(node, id string) bool {
	r := l.c.Ctl("track", "follow", id, "-o", "wide")
	return slices.ContainsFunc(strings.Split(r.Stdout, "\n"), func(line string) bool {
		return strings.Contains(line, "SEND") && strings.Contains(line, node)
	})
}
