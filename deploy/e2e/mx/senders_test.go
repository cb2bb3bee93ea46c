package mx

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// Three connectors of one node send by a virtual server each: to two real peers, from
// addresses and by names of their own, by two name servers and a smart host.
func TestVirtualServersSend(t *testing.T) {
	postfix := harness.StartPostfix(t, "partner.test", nil)
	exim := harness.StartExim(t, "archive.test", 9, harness.Login{})
	// Neither name server knows what the other one does.
	partners := serve(t, "partner.test. 60 IN MX 10 mx.partner.test.\nmx.partner.test. 60 IN A 127.0.0.1\n")
	others := serve(t, "clear.archive.test. 60 IN MX 10 mx.archive.test.\nmx.archive.test. 60 IN A 127.0.0.1\n")
	base := harness.Ports(t, 3)
	virtual := func(name string, n int, sending string) string {
		return fmt.Sprintf(`
---
kind: VirtualServer
name: %[1]s
spec:
  server: paris-1
  bindings: ["127.0.0.1:%[2]d"]
  connectorsOnly: true
  %[3]s, heloName: %[1]s.example.test, sourceAddresses: [127.0.0.2%[4]d]}
---
kind: SMTPConnector
name: to-%[1]s
`, name, base+n, sending, n)
	}
	partner := func(helo string) string {
		return strings.Replace(virtual("partner", 1, fmt.Sprintf("outbound: {maxMessagesPerConnection: 1, dnsServers: ['%s'], port: %d", partners, postfix.Port)),
			"partner.example.test", helo, 1) +
			"spec: {routingGroup: paris, localBridgeheads: [paris-1/partner], addressSpaces: [partner.test]}\n"
	}
	org := strings.ReplaceAll(harness.Demo(t), "  limits:\n", "  relay: {networks: [127.0.0.0/8]}\n  limits:\n") + partner("partner.example.test") +
		virtual("archive", 2, fmt.Sprintf("smartHost: '[127.0.0.1]:%d'\n  outbound: {tls: required", exim.Port)) +
		"spec: {routingGroup: paris, localBridgeheads: [paris-1/archive], addressSpaces: [archive.test]}\n" +
		virtual("other", 0, fmt.Sprintf("outbound: {dnsServers: ['%s'], port: %d, tls: none", others, exim.Port)) +
		"spec: {routingGroup: paris, localBridgeheads: [paris-1/other], addressSpaces: [clear.archive.test]}\n"
	c := harness.Up(t, org)

	arrives := func(id, to string, mailbox func(string) []string, want ...string) {
		t.Helper()
		if err := harness.Send(t, c.Node("paris-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", to, id, ""), to); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 30*time.Second, func() error {
			for _, m := range mailbox("known") {
				if !strings.Contains(m, id) {
					continue
				}
				for _, w := range want {
					if !strings.Contains(m, w) {
						t.Fatalf("%s has no %q:\n%s", id, w, m)
					}
				}
				return nil
			}
			return fmt.Errorf("%s is not there", id)
		})
	}
	arrives("by-partner@example.test", "known@partner.test", postfix.Mailbox, "from partner.example.test", "[127.0.0.21]")
	arrives("by-archive@example.test", "known@archive.test", exim.Mailbox, "from [127.0.0.22]", "helo=archive.example.test)", "with esmtps")
	arrives("by-other@example.test", "known@clear.archive.test", exim.Mailbox, "from [127.0.0.20]", "helo=other.example.test)", "with esmtp ")

	for to, by := range map[string]string{"known@partner.test": "partner", "known@archive.test": "archive", "x@elsewhere.test": "paris-1-smtp"} {
		if out := c.Ctl("route", "explain", to, "--from", "paris-1").OK(t).Stdout; !strings.Contains(out, "paris-1 sends it by virtual server "+by+"\n") {
			t.Errorf("%s is not explained to leave by %s:\n%s", to, by, out)
		}
	}
	if out := c.Ctl("route", "resolve", "partner.test", "--from", "paris-1", "--virtual-server", "partner").OK(t).Stdout; !strings.Contains(out, "from the cache") || !strings.Contains(out, partners) {
		t.Errorf("route resolve says:\n%s", out)
	}
	if r := c.Ctl("route", "resolve", "partner.test", "--from", "paris-1", "--virtual-server", "other"); r.Code != 1 || !strings.Contains(r.Stderr, "5.1.2") {
		t.Errorf("a name server that knows nothing of it: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if out := c.Ctl("topology", "show").OK(t).Stdout; !strings.Contains(out, "paris-1/archive") {
		t.Errorf("the map does not show who sends:\n%s", out)
	}
	if r := c.Ctl("delete", "VirtualServer", "partner"); r.Code == 0 || !strings.Contains(r.Stderr, "is still used by SMTPConnector/to-partner") {
		t.Errorf("deleted with exit code %d: %s", r.Code, r.Stderr)
	}

	// Another name holds for the next connection.
	file := filepath.Join(t.TempDir(), "partner.yaml")
	if err := os.WriteFile(file, []byte(partner("renamed.example.test")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := c.Ctl("apply", "-f", file).OK(t); strings.Contains(r.Stdout+r.Stderr, "is not used") {
		t.Errorf("apply warns of settings that are used:\n%s%s", r.Stdout, r.Stderr)
	}
	harness.Eventually(t, 40*time.Second, func() error {
		id := fmt.Sprintf("renamed-%d@example.test", time.Now().UnixNano())
		arrives(id, "known@partner.test", postfix.Mailbox)
		for _, m := range postfix.Mailbox("known") {
			if strings.Contains(m, id) && strings.Contains(m, "from renamed.example.test") {
				return nil
			}
		}
		return fmt.Errorf("the name before is still used")
	})
}
