// Package actions proves what an administrator does to queues and messages, with
// the real postroadctl on real nodes that send to Postfixes.
package actions

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const (
	alice   = "alice@example.test"
	known   = "known@outside.test"
	witness = "known@clear.outside.test" // the same host, another queue
)

type world struct {
	*testing.T
	*harness.Cluster
	postfix, other *harness.Postfix
}

func (w *world) ctl(args ...string) string {
	w.Helper()
	r := w.Ctl(args...)
	return r.OK(w.T).Stdout
}

func (w *world) send(id, to string) {
	w.Helper()
	harness.Eventually(w.T, 30*time.Second, func() error {
		return harness.Send(w.T, w.Node("paris-1").SMTP, alice, harness.Letter(alice, to, id, "text"), to)
	})
}

func has(p *harness.Postfix, id string) bool {
	for _, m := range p.Mailbox("known") {
		if strings.Contains(m, "Message-ID: <"+id+">") {
			return true
		}
	}
	return false
}

func (w *world) wait(p *harness.Postfix, id string) {
	w.Helper()
	harness.Eventually(w.T, 60*time.Second, func() error {
		if !has(p, id) {
			return fmt.Errorf("%s is not in the mailbox outside", id)
		}
		return nil
	})
}

type queued struct {
	Node, ID, Destination, State string
	FrozenReason                 string `json:"frozen_reason"`
	Messages                     json.Number
}

// queue is the busy queue for outside.test, wherever it is.
func (w *world) queue() (q queued) {
	w.Helper()
	harness.Eventually(w.T, 30*time.Second, func() error {
		var list struct{ Queues []queued }
		if err := json.Unmarshal([]byte(w.ctl("queue", "list", "-o", "json")), &list); err != nil {
			w.Fatal(err)
		}
		for _, q = range list.Queues {
			if q.Messages != "0" && strings.Contains(q.Destination, ":outside.test") {
				return nil
			}
		}
		return fmt.Errorf("no mail waits for outside.test: %+v", list.Queues)
	})
	return q
}

func (w *world) hold() {
	w.Helper()
	w.ctl("node", "outbound", "disable", "--all-nodes", "--yes", "--reason", "test")
}

func (w *world) letGo() {
	w.Helper()
	w.ctl("node", "outbound", "enable", "--all-nodes", "--yes")
}

func TestActions(t *testing.T) {
	postfix := harness.StartPostfix(t, "outside.test", nil)
	other := harness.StartPostfix(t, "outside.test", nil)
	org := strings.ReplaceAll(harness.Demo(t), "[127.0.0.1]:2599", fmt.Sprintf("[127.0.0.1]:%d", postfix.Port))
	org = strings.Replace(org, "name: paris-1-smtp\nspec:\n", "name: paris-1-smtp\nspec:\n  relay: {networks: [127.0.0.0/8]}\n", 1)
	w := &world{t, harness.Up(t, org), postfix, other}

	// Outbound mail is disabled: it waits, and local mail goes on.
	w.hold()
	w.send("first@test", known)
	w.send("local@test", alice)
	w.WaitMail(30*time.Second, "paris-1", alice, "local@test")
	q := w.queue()
	if q.State != "STATE_FROZEN" || q.FrozenReason != "test" || has(postfix, "first@test") {
		t.Fatalf("%+v", q)
	}

	// The queue is frozen; others go on, and a kill changes nothing.
	w.ctl("queue", "freeze", "--node", q.Node, q.ID, "--yes", "--reason", "their host is ill")
	w.letGo()
	w.send("witness@test", witness)
	w.wait(postfix, "witness@test")
	w.Kill(q.Node)
	w.StartNode(q.Node)
	harness.Eventually(t, 60*time.Second, func() error {
		if r := w.Ctl("queue", "list", "--node", q.Node); r.Code != 0 {
			return fmt.Errorf("%s %s", r.Stdout, r.Stderr)
		}
		return nil
	})
	again := w.queue()
	if again.State != "STATE_FROZEN" || again.ID != q.ID || again.FrozenReason != "their host is ill" || has(postfix, "first@test") {
		t.Fatalf("after the kill %+v", again)
	}
	w.ctl("queue", "thaw", "--filter", "state = frozen", "--all-nodes", "--yes")
	w.wait(postfix, "first@test")

	// A deleted message is returned to its sender, once.
	w.hold()
	w.send("deleted@test", known)
	w.queue()
	w.ctl("message", "delete", "--filter", "message-id = deleted@test", "--all-nodes", "--ndr", "--reason", "not wanted", "--yes")
	ndr := w.WaitMail(30*time.Second, "paris-1", alice, "deleted@test")
	if !strings.Contains(ndr, "4.3.2") || !strings.Contains(ndr, "not wanted") {
		t.Errorf("the report does not say why:\n%s", ndr)
	}
	if track := w.ctl("track", "follow", "deleted@test", "-o", "wide"); !strings.Contains(track, "FAIL") || !strings.Contains(track, "not wanted") {
		t.Errorf("tracking does not show it:\n%s", track)
	}

	// What waits is sent elsewhere; what comes later is not.
	w.send("redirected@test", known)
	w.queue()
	w.ctl("queue", "redirect", "--filter", "recipient = "+known, "--all-nodes", "--to", fmt.Sprintf("127.0.0.1:%d", other.Port), "--reason", "their host moved", "--yes")
	w.send("later@test", known)
	w.letGo()
	w.wait(other, "redirected@test")
	w.wait(postfix, "later@test")

	// A standing rule holds what comes, and lets it go when it is deleted.
	rule := filepath.Join(t.TempDir(), "rule.yaml")
	if err := os.WriteFile(rule, []byte("kind: MailRule\nname: look\nspec:\n  match: recipient = "+known+"\n  action: hold\n  reason: audit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.ctl("apply", "-f", rule)
	harness.Eventually(t, 30*time.Second, func() error {
		if out := w.ctl("get", "mailrule", "-o", "wide"); !strings.Contains(out, "paris-1 holds 0, paris-2 holds 0") {
			return fmt.Errorf("not everywhere yet:\n%s", out)
		}
		return nil
	})
	w.send("held@test", known)
	if q := w.queue(); q.State != "STATE_FROZEN" {
		t.Errorf("the rule does not hold: %+v", q)
	}
	w.send("witness2@test", witness)
	w.wait(postfix, "witness2@test")
	if has(postfix, "held@test") {
		t.Error("what a rule holds was sent")
	}
	w.ctl("delete", "MailRule", "look")
	w.wait(postfix, "held@test")

	if has(postfix, "redirected@test") || has(other, "later@test") || has(postfix, "deleted@test") {
		t.Error("a message is where it should not be")
	}
}
