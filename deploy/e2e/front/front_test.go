// Package front proves Postroad behind others: a load balancer that speaks the
// PROXY protocol, a mail proxy that speaks XCLIENT, and a transport that hands
// over by LMTP. Swaks and Python's smtplib play them. One node with a virtual
// server for each; who comes by the wrong door is tried too.
package front

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const organization = `
kind: Organization
name: example
---
kind: RecipientPolicy
name: default
spec: {domains: [{domain: example.test}]}
---
kind: RoutingGroup
name: here
---
kind: Server
name: relay
spec: {routingGroup: here, fqdn: relay.example.net}
---
kind: VirtualServer
name: a-plain
spec: {server: relay}
---
kind: VirtualServer
name: b-proxy
spec: {server: relay, bindings: ["127.0.0.1:26"], protocol: {proxyNetworks: [127.0.0.0/8]}}
---
kind: VirtualServer
name: c-xclient
spec: {server: relay, bindings: ["127.0.0.1:27"], protocol: {xclientNetworks: [127.0.0.0/8]}}
---
kind: VirtualServer
name: d-lmtp
spec: {server: relay, bindings: ["127.0.0.1:24"], protocol: {lmtp: true}}
---
kind: Recipient
name: alice
spec: {addresses: [alice@example.test], mailbox: {homeServer: relay}}
`

const alice = "alice@example.test"

func TestFront(t *testing.T) {
	base := harness.Ports(t, 64)
	c := harness.Up(t, organization, "--base-port", strconv.Itoa(base))
	at := func(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(base+n)) }
	plain, proxy, xclient, lmtp := c.Node("relay").SMTP, at(6), at(7), at(8) // after etcd's two ports and the node's four

	// The client's own address, as each protocol tells it, has to reach the trace.
	for _, f := range []struct {
		name, server, client string
		args                 []string
	}{
		{"PROXY 1", proxy, "[192.0.2.9]", []string{"--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "192.0.2.9", "--proxy-source-port", "4711", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"}},
		{"PROXY 2", proxy, "[192.0.2.10]", []string{"--proxy-version", "2", "--proxy-family", "AF_INET", "--proxy-command", "PROXY", "--proxy-protocol", "STREAM", "--proxy-source", "192.0.2.10", "--proxy-source-port", "4711", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"}},
		{"PROXY 2, IPv6", proxy, "[IPv6:2001:db8::9]", []string{"--proxy-version", "2", "--proxy-family", "AF_INET6", "--proxy-command", "PROXY", "--proxy-protocol", "STREAM", "--proxy-source", "2001:db8::9", "--proxy-source-port", "4711", "--proxy-dest", "2001:db8::1", "--proxy-dest-port", "25"}},
		{"XCLIENT", xclient, "[192.0.2.11]", []string{"--xclient-addr", "192.0.2.11", "--xclient-name", "client.outside.test", "--xclient-helo", "helo.outside.test"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			id := strings.NewReplacer(" ", "-", ",", "").Replace(f.name) + "@outside.test"
			swaks(t, f.server, id, f.args...).OK(t)
			m := c.WaitMail(20*time.Second, "relay", alice, "<"+id+">")
			if !strings.Contains(m, f.client) || strings.Contains(m, "[127.0.0.1]") {
				t.Errorf("the trace does not name %s:\n%s", f.client, m)
			}
		})
	}

	for _, f := range []struct {
		name, server string
		args         []string
	}{
		{"XCLIENT from a stranger", plain, []string{"--xclient-addr", "192.0.2.11"}},
		{"PROXY from a stranger", plain, []string{"--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "192.0.2.9", "--proxy-source-port", "4711", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			if r := swaks(t, f.server, "refused@outside.test", f.args...); r.Code == 0 {
				t.Errorf("was believed:\n%s", r.Stdout)
			}
		})
	}

	t.Run("LMTP", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "lmtp.py")
		if err := os.WriteFile(script, []byte(handOver), 0o600); err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(lmtp, ":")
		harness.Command(t, "", harness.Program(t, "python3"), script, host, port).OK(t)
		c.WaitMail(20*time.Second, "relay", alice, "<lmtp@outside.test>")
	})
}

func swaks(t *testing.T, server, id string, args ...string) harness.Result {
	t.Helper()
	args = append([]string{"--server", server, "--from", "a@outside.test", "--to", alice, "--header", fmt.Sprintf("Message-Id: <%s>", id)}, args...)
	return harness.Command(t, "", harness.Program(t, "swaks"), args...)
}

const handOver = `
import smtplib, sys
with smtplib.LMTP(sys.argv[1], int(sys.argv[2])) as s:
    code, text = s.docmd("EHLO", "x.test")
    assert code == 500, (code, text)
    s.ehlo() # says LHLO
    refused = s.sendmail("a@outside.test", ["nobody@example.test", "alice@example.test"],
        "From: a@outside.test\r\nMessage-ID: <lmtp@outside.test>\r\n\r\nx\r\n")
    assert list(refused) == ["nobody@example.test"], refused
`
