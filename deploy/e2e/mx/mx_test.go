// Package mx proves delivery by DNS: MX records in order of preference, the
// implicit MX, null MX and names that do not exist. The name server is a real
// one on loopback, with a zone made for the test.
package mx

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

const zone = `
outside.test.      60 IN MX 10 dead.outside.test.
outside.test.      60 IN MX 20 mx.outside.test.
dead.outside.test. 60 IN A 127.0.0.9
mx.outside.test.   60 IN A 127.0.0.1
null.test.         60 IN MX 0 .
`

func TestDeliveryByDNS(t *testing.T) {
	postfix := harness.StartPostfix(t, "outside.test", nil)
	server := serve(t, zone)
	org := harness.Demo(t)
	// No connector: external mail goes out by the virtual server itself, by DNS.
	docs := slices.DeleteFunc(strings.Split(org, "\n---\n"), func(d string) bool { return strings.Contains(d, "kind: SMTPConnector") })
	org = strings.Join(docs, "\n---\n")
	org = strings.ReplaceAll(org, "  limits:\n", fmt.Sprintf("  outbound: {dnsServers: ['%s'], port: %d}\n  relay: {networks: [127.0.0.0/8]}\n  limits:\n", server, postfix.Port))
	c := harness.Up(t, org)
	send := func(id, to string) {
		t.Helper()
		if err := harness.Send(t, c.Node("paris-1").SMTP, "alice@example.test", harness.Letter("alice@example.test", to, id, ""), to); err != nil {
			t.Fatal(err)
		}
	}

	send("mx-1@example.test", "known@outside.test")
	harness.Eventually(t, 20*time.Second, func() error {
		if m := postfix.Mailbox("known"); len(m) != 1 || !strings.Contains(m[0], "mx-1@example.test") {
			return fmt.Errorf("%d messages outside", len(m))
		}
		return nil
	})

	// What was just used is in the cache of the node that sent it.
	if out := c.Ctl("route", "resolve", "outside.test", "--from", "paris-1").OK(t).Stdout; !strings.Contains(out, "MX 10    dead.outside.test  127.0.0.9") ||
		!strings.Contains(out, "MX 20    mx.outside.test  127.0.0.1") || !strings.Contains(out, "from the cache") || !strings.Contains(out, server) {
		t.Errorf("route resolve says:\n%s", out)
	}
	if r := c.Ctl("route", "resolve", "null.test", "--from", "oslo-1"); r.Code != 1 || !strings.Contains(r.Stderr, "5.1.10") {
		t.Errorf("route resolve of a null MX: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}

	for _, f := range []struct{ id, to, status string }{
		{"mx-2@example.test", "x@null.test", "5.1.10"},
		{"mx-3@example.test", "x@no-such-name.test", "5.1.2"},
	} {
		send(f.id, f.to)
		report := c.WaitMail(20*time.Second, "paris-1", "alice@example.test", f.id)
		if !strings.Contains(report, f.status) {
			t.Errorf("%s: the report has no %s:\n%s", f.to, f.status, report)
		}
	}
}

// serve answers from a zone until the test ends.
func serve(t *testing.T, zone string) string {
	t.Helper()
	records := make(map[string][]dns.RR)
	p := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		records[rr.Header().Name] = append(records[rr.Header().Name], rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative = true
		name := strings.ToLower(q.Question[0].Name)
		if records[name] == nil {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range records[name] {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return conn.LocalAddr().String()
}
