// Package clients proves that clients which others wrote can talk to a node:
// swaks, Python's smtplib, grpcurl; and goes through the CLI as the README does.
package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const smtplib = `
import smtplib, ssl, sys
server, port, ident = sys.argv[1], int(sys.argv[2]), sys.argv[3]
text = "From: alice@example.test\r\nTo: olav@example.test\r\nMessage-ID: <%s>\r\nSubject: python\r\n\r\n.leading dot\r\nend\r\n" % ident
context = ssl._create_unverified_context()
with smtplib.SMTP(server, port, timeout=20) as s:
    s.ehlo()
    assert s.has_extn("pipelining") and s.has_extn("chunking") and s.has_extn("size"), s.esmtp_features
    assert not s.has_extn("auth"), "AUTH is offered in clear"
    s.starttls(context=context)
    s.ehlo()
    assert s.has_extn("auth"), s.esmtp_features
    try:
        s.login("alice", "wrong")
        sys.exit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as e:
        assert e.smtp_code == 535, e
    s.login("alice", "demo-password")
    refused = s.sendmail("alice@example.test", ["olav@example.test", "nobody@example.test"], text)
    assert list(refused) == ["nobody@example.test"] and refused["nobody@example.test"][0] == 550, refused
    code, _ = s.docmd("VRFY", "alice@example.test")
    assert code == 252, code
`

func TestClients(t *testing.T) {
	c := harness.Up(t, harness.Demo(t))
	host, port, _ := strings.Cut(c.Node("berlin-1").SMTP, ":")

	t.Run("smtplib", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "send.py")
		if err := os.WriteFile(script, []byte(smtplib), 0o600); err != nil {
			t.Fatal(err)
		}
		id := "python-1@example.test"
		harness.Command(t, "", harness.Program(t, "python3"), script, host, port, id).OK(t)
		m := c.WaitMail(15*time.Second, "oslo-1", "olav@example.test", id)
		if !strings.Contains(m, "\n.leading dot\r\nend") && !strings.Contains(m, "\n.leading dot\nend") {
			t.Errorf("the dot was not restored:\n%s", m)
		}
	})

	t.Run("swaks", func(t *testing.T) {
		id := "swaks-1@example.test"
		harness.Command(t, "", harness.Program(t, "swaks"), "--server", c.Node("berlin-1").SMTP, "--from", "bruno@example.test",
			"--to", "everyone@example.test", "--tls-optional", "--header", "Message-Id: <"+id+">").OK(t)
		for name, node := range map[string]string{"alice": "paris-1", "antoine": "paris-2", "bruno": "berlin-1", "britta": "berlin-2", "olav": "oslo-1", "oda": "oslo-1"} {
			c.WaitMail(15*time.Second, node, name+"@example.test", id)
		}
		for name, node := range map[string]string{"alice": "paris-1", "bruno": "berlin-1", "olav": "oslo-1"} {
			n := 0
			for _, m := range c.Mailbox(node, name+"@example.test") {
				if strings.Contains(m, id) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s is in two groups and has %d copies", name, n)
			}
		}
		out := c.Ctl("track", "follow", "<"+id+">").OK(t).Stdout
		for _, want := range []string{"RECEIVE", "EXPAND", "DELIVER", "SEND", "oslo-1", "paris-1"} {
			if !strings.Contains(out, want) {
				t.Errorf("track follow has no %s:\n%s", want, out)
			}
		}
	})

	t.Run("postroadctl", func(t *testing.T) {
		for _, f := range []struct {
			args []string
			want []string
		}{
			{[]string{"topology", "show"}, []string{"paris", "berlin", "oslo", "10", "30", "UP", "internet", "paris-berlin"}},
			{[]string{"route", "explain", "olav@example.test", "--from", "paris-1"}, []string{"mailbox", "cost 20", "paris-oslo", "bridgehead", "berlin-1", "berlin-2"}},
			{[]string{"route", "explain", "x@elsewhere.example", "--from", "oslo-1"}, []string{"internet", "SMTP:*"}},
			{[]string{"route", "explain", "nobody@example.test"}, []string{"5.1.1"}},
			{[]string{"queue", "list", "--empty"}, []string{"Pre-submission", "Local delivery", "Final destination currently unreachable", "oslo-1", "paris-2"}},
			{[]string{"linkstate", "list"}, []string{"alive", "same", "DIGEST"}},
			{[]string{"node", "list"}, []string{"paris-1", "connected", "normal"}},
			{[]string{"get", "Recipient", "alice", "-o", "yaml"}, []string{"kind: Recipient", "homeServer: paris-1", "alice.martin@example.test"}},
			{[]string{"get", "-o", "name"}, []string{"Server/oslo-1", "Organization/example"}},
		} {
			out := c.Ctl(f.args...).OK(t).Stdout
			for _, w := range f.want {
				if !strings.Contains(out, w) {
					t.Errorf("postroadctl %s has no %q:\n%s", strings.Join(f.args, " "), w, out)
				}
			}
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(c.Ctl("topology", "show", "-o", "json").OK(t).Stdout), &v); err != nil {
			t.Errorf("topology show -o json: %v", err)
		}
		if out := c.Ctl("get", "Account", "alice", "-o", "yaml").OK(t).Stdout; strings.Contains(out, "storedKey") || strings.Contains(out, "demo-password") {
			t.Errorf("get shows secrets:\n%s", out)
		}
	})

	t.Run("exit codes", func(t *testing.T) {
		for _, f := range []struct {
			args []string
			code int
		}{
			{[]string{"get", "Server", "no-such"}, 3},
			{[]string{"track", "follow", "no-such@example.test"}, 3},
			{[]string{"no-such-noun"}, 2},
			{[]string{"--endpoint", "unix:/no/such.sock", "node", "list"}, 5},
			{[]string{"delete", "Server", "oslo-1"}, 1},
		} {
			if r := c.Ctl(f.args...); r.Code != f.code {
				t.Errorf("postroadctl %s: exit code %d, want %d\n%s%s", strings.Join(f.args, " "), r.Code, f.code, r.Stdout, r.Stderr)
			}
		}
	})

	t.Run("get, apply and diff agree", func(t *testing.T) {
		yaml := c.Ctl("get", "-o", "yaml").OK(t).Stdout
		ctl := harness.Binary(t, "postroadctl")
		if r := harness.Command(t, yaml, ctl, "--data", c.Data, "diff", "-f", "-"); r.Code != 0 {
			t.Errorf("diff of what get printed: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		changed := strings.Replace(yaml, "Head office", "Headquarters", 1)
		if r := harness.Command(t, changed, ctl, "--data", c.Data, "diff", "-f", "-"); r.Code != 1 || !strings.Contains(r.Stdout, "Headquarters") {
			t.Errorf("diff of a change: %+v", r)
		}
		if r := harness.Command(t, changed, ctl, "--data", c.Data, "apply", "-f", "-"); r.Code != 0 {
			t.Errorf("apply of a change: %+v", r)
		}
		if r := harness.Command(t, changed, ctl, "--data", c.Data, "apply", "-f", "-"); r.Code != 4 {
			t.Errorf("apply with an old revision: exit code %d, want 4\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	})

	t.Run("grpcurl", func(t *testing.T) {
		grpcurl := filepath.Join("tools", "grpcurl")
		n := c.Node("paris-1")
		over := func(args ...string) harness.Result {
			return harness.Command(t, "", harness.Binary(t, grpcurl), args...)
		}
		list := over("-plaintext", "-unix", n.AdminSocket, "list").OK(t).Stdout
		for _, s := range []string{"postroad.directory.v1.DirectoryService", "postroad.topology.v1.TopologyService", "postroad.queue.v1.QueueService",
			"postroad.tracking.v1.TrackingService", "postroad.linkstate.v1.LinkStateService", "postroad.node.v1.NodeService", "grpc.health.v1.Health"} {
			if !strings.Contains(list, s) {
				t.Errorf("reflection has no %s:\n%s", s, list)
			}
		}
		if out := over("-plaintext", "-unix", n.AdminSocket, "postroad.node.v1.NodeService/Nodes").OK(t).Stdout; !strings.Contains(out, "oslo-1") {
			t.Errorf("Nodes: %s", out)
		}
		f := c.Endpoints().Admin
		// Certificates of nodes carry 127.0.0.1, so an outside tool may check them in full.
		over("-cacert", f.CA, "-cert", f.Cert, "-key", f.Key, n.Admin, "list").OK(t)
		if out := over("-insecure", "-cert", f.Cert, "-key", f.Key, n.Admin, "list").OK(t).Stdout; !strings.Contains(out, "postroad.node.v1") {
			t.Errorf("over TCP with a certificate: %s", out)
		}
		if r := over("-insecure", n.Admin, "list"); r.Code == 0 {
			t.Error("the admin API answers over TCP without a certificate")
		}
	})
}
