// Package badinput gives Postroad what it should never be given, and expects a
// clear answer each time: which thing, which rule, which cure. Nothing is lost
// and every process lives on.
package badinput

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

func TestOrganisationsThatCannotWork(t *testing.T) {
	demo := harness.Demo(t)
	for _, f := range []struct {
		name, org string
		want      []string
	}{
		{"malformed YAML", demo + "\n---\nkind: [unclosed\n", []string{"given.yaml"}},
		{"unknown field", demo + "\n---\nkind: RoutingGroup\nname: rome\nspec: {colour: red}\n", []string{"RoutingGroup", "rome", "colour"}},
		{"unknown kind", demo + "\n---\nkind: Teapot\nname: x\n", []string{"Teapot"}},
		{"connector to a missing group", strings.Replace(demo, "targetGroup: oslo", "targetGroup: atlantis", 1), []string{"RoutingGroupConnector", "atlantis"}},
		{"two recipients with one address", demo + "\n---\nkind: Recipient\nname: impostor\nspec:\n  addresses: [ALICE@example.test]\n  mailbox: {homeServer: oslo-1}\n",
			[]string{"impostor", "Recipient/alice", "ALICE@example.test"}},
		{"open relay", strings.Replace(demo, "  limits:\n", "  relay: {allExcept: true}\n  limits:\n", 1), []string{"VirtualServer", "open relay", "force"}},
		{"policy domain is a server's name", strings.Replace(demo, "- domain: example.test", "- domain: oslo-1.example.test", 1), []string{"RecipientPolicy", "oslo-1.example.test"}},
		{"smart host without brackets", strings.Replace(demo, `"[127.0.0.1]:2599"`, "127.0.0.1:2599", 1), []string{"internet", "bracket"}},
		{"no server", "kind: Organization\nname: empty\n", []string{"Server"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			data := t.TempDir()
			file := filepath.Join(data, "given.yaml")
			if err := os.WriteFile(file, []byte(f.org), 0o600); err != nil {
				t.Fatal(err)
			}
			r := harness.Command(t, "", harness.Binary(t, "postroad"), "up", "--once", "--file", file, "--data", data, "--base-port", fmt.Sprint(harness.Ports(t, 64)))
			if r.Code == 0 {
				t.Fatal("it started")
			}
			for _, w := range f.want {
				if !strings.Contains(r.Stderr, w) {
					t.Errorf("the error does not name %q:\n%s", w, r.Stderr)
				}
			}
		})
	}
}

func TestBusyPort(t *testing.T) {
	base := harness.Ports(t, 64)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+2))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := harness.Command(t, "", harness.Binary(t, "postroad"), "up", "--once", "--data", t.TempDir(), "--base-port", fmt.Sprint(base))
	if r.Code == 0 || !strings.Contains(r.Stderr, fmt.Sprint(base+2)) || !strings.Contains(r.Stderr, "--base-port") {
		t.Errorf("a busy port: %+v", r)
	}
}

func TestTwoOnOneFolder(t *testing.T) {
	c := harness.Up(t, harness.Demo(t))
	r := harness.Command(t, "", harness.Binary(t, "postroad"), "up", "--once", "--data", c.Data)
	if r.Code == 0 || !strings.Contains(r.Stderr, "another `postroad up`") {
		t.Errorf("a second up: %+v", r)
	}
	r = harness.Command(t, "", harness.Binary(t, "postroad"), "node", "--config", c.Node("oslo-1").Config)
	if r.Code == 0 {
		t.Errorf("a second node on one folder: %+v", r)
	}
}

func TestCorruptFolder(t *testing.T) {
	c := harness.Up(t, harness.Demo(t))
	config := c.Node("oslo-1").Config
	id := "kept@example.test"
	if err := harness.Send(t, c.Node("oslo-1").SMTP, "olav@example.test", harness.Letter("olav@example.test", "x", id, ""), "oda@example.test"); err != nil {
		t.Fatal(err)
	}
	c.WaitMail(10*time.Second, "oslo-1", "oda@example.test", id)
	dir := filepath.Dir(config)
	c.Stop()
	for _, part := range []string{"spool", "catalog"} {
		t.Run(part, func(t *testing.T) {
			manifests, err := filepath.Glob(filepath.Join(dir, part, "*", "MANIFEST-*"))
			if err != nil || len(manifests) == 0 {
				t.Fatalf("no manifest below %s (%v)", filepath.Join(dir, part), err)
			}
			good, err := os.ReadFile(manifests[len(manifests)-1])
			if err != nil {
				t.Fatal(err)
			}
			bad := append([]byte(nil), good...)
			for i := range bad {
				bad[i] ^= 0x5a
			}
			if err := os.WriteFile(manifests[len(manifests)-1], bad, 0o600); err != nil {
				t.Fatal(err)
			}
			r := harness.Command(t, "", harness.Binary(t, "postroad"), "node", "--config", config)
			if r.Code == 0 || !strings.Contains(r.Stderr, part) {
				t.Errorf("a corrupt %s: exit code %d\n%s", part, r.Code, r.Stderr)
			}
			if now, err := os.ReadFile(manifests[len(manifests)-1]); err != nil || string(now) != string(bad) {
				t.Errorf("the damaged file was changed (%v)", err)
			}
			if err := os.WriteFile(manifests[len(manifests)-1], good, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestGarbageAndGiants(t *testing.T) {
	c := harness.Up(t, harness.Demo(t), "--no-restart")

	t.Run("garbage to every listener", func(t *testing.T) {
		f := c.Endpoints()
		r := rand.New(rand.NewPCG(1, 2))
		addresses := []string{"tcp " + f.Etcd.Address}
		for _, n := range f.Nodes {
			addresses = append(addresses, "tcp "+n.SMTP, "tcp "+n.Gossip, "tcp "+n.Admin, "tcp "+n.Metrics, "unix "+n.AdminSocket)
		}
		for _, a := range addresses {
			network, address, _ := strings.Cut(a, " ")
			for range 5 {
				conn, err := net.Dial(network, address)
				if err != nil {
					t.Fatalf("%s: %v", a, err)
				}
				junk := make([]byte, 1+r.IntN(64<<10))
				for i := range junk {
					junk[i] = byte(r.Uint32())
				}
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = conn.Write(junk)
				conn.Close()
			}
		}
	})

	t.Run("a message above the limit", func(t *testing.T) {
		conn, err := net.Dial("tcp", c.Node("paris-1").SMTP)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		r := bufio.NewReader(conn)
		say := func(line, code string) {
			t.Helper()
			if line != "" {
				fmt.Fprintf(conn, "%s\r\n", line)
			}
			for {
				reply, err := r.ReadString('\n')
				if err != nil {
					t.Fatalf("after %q: %v", line, err)
				}
				if len(reply) > 3 && reply[3] == '-' {
					continue
				}
				if !strings.HasPrefix(reply, code) {
					t.Fatalf("%q was answered %q, want %s", line, reply, code)
				}
				return
			}
		}
		say("", "220")
		say("EHLO client.test", "250")
		say(fmt.Sprintf("MAIL FROM:<alice@example.test> SIZE=%d", 60<<20), "552")
		say("MAIL FROM:<alice@example.test>", "250")
		say("RCPT TO:<olav@example.test>", "250")
		say("DATA", "354")
		w := bufio.NewWriter(conn)
		line := strings.Repeat("x", 76) + "\r\n"
		for n := 0; n < 60<<20; n += len(line) {
			_, _ = w.WriteString(line)
		}
		_ = w.Flush()
		say(".", "552")
		say("NOOP", "250")
	})

	t.Run("a message just below it", func(t *testing.T) {
		id := "giant@example.test"
		body := strings.Repeat(strings.Repeat("y", 76)+"\r\n", 45<<20/78)
		if err := harness.Send(t, c.Node("paris-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", "olav@example.test", id, body), "olav@example.test"); err != nil {
			t.Fatal(err)
		}
		c.WaitMail(30*time.Second, "oslo-1", "olav@example.test", id)
	})

	// What overflowed the original, MS05-021: pieces of a table from anybody.
	t.Run("link state from a stranger", func(t *testing.T) {
		conn, err := net.Dial("tcp", c.Node("paris-1").SMTP)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(conn)
		reply, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "EHLO client.test\r\n")
		for ; err == nil && !strings.HasPrefix(reply, "250 "); reply, err = r.ReadString('\n') {
			if strings.Contains(reply, "LINK2STATE") {
				t.Errorf("a stranger is offered %q", reply)
			}
		}
		for _, line := range []string{"X-LINK2STATE", "X-LINK2STATE FIRST CHUNK=" + strings.Repeat("A", 1000), "X-LINK2STATE CHUNK=" + strings.Repeat("B", 50_000), "X-LINK2STATE LAST CHUNK=C"} {
			fmt.Fprintf(conn, "%s\r\n", line)
			if reply, err = r.ReadString('\n'); err != nil || !strings.HasPrefix(reply, "530 5.7.0") && !strings.HasPrefix(reply, "500 5.5.2") {
				t.Errorf("%.40s was answered %q (%v)", line, reply, err)
			}
		}
	})

	t.Run("pipelined STARTTLS injection", func(t *testing.T) {
		conn, err := net.Dial("tcp", c.Node("paris-1").SMTP)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(conn)
		_, _ = r.ReadString('\n')
		fmt.Fprint(conn, "STARTTLS\r\nMAIL FROM:<injected@example.test>\r\n")
		reply, _ := r.ReadString('\n')
		if strings.HasPrefix(reply, "220") {
			if tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() == nil {
				t.Error("the handshake went on after injected plaintext")
			}
		}
	})

	// After all that every node lives, in the process in which it began, and
	// mail flows.
	for _, n := range c.Endpoints().Nodes {
		if err := syscall.Kill(n.PID, 0); err != nil {
			t.Errorf("%s did not survive: %v", n.Name, err)
		}
	}
	id := "after@example.test"
	if err := harness.Send(t, c.Node("paris-2").SMTP, "alice@example.test", harness.Letter("alice@example.test", "olav@example.test", id, ""), "olav@example.test"); err != nil {
		t.Fatal(err)
	}
	c.WaitMail(10*time.Second, "oslo-1", "olav@example.test", id)
}
