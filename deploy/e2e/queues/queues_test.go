// Package queues proves what keeps mail in a queue, and what lets it go, with a
// Postfix as the next hop and fetchmail as the one who asks for mail: schedules, large
// messages, remote triggers, messages per connection, gateways of other address types.
package queues

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// hub sends everything to one Postfix. %[1]s is when the schedule is open, %[2]s the
// Postfix, %[3]s the drop directory.
const hub = `
kind: Organization
name: hub
spec: {linkState: {keepalive: 300ms, suspectAfter: 1500ms, refuteWithin: 1s, antiEntropy: 5s}}
---
{kind: RecipientPolicy, name: default, spec: {domains: [{domain: hub.test}]}}
---
{kind: RoutingGroup, name: hub, spec: {}}
---
kind: Server
name: hub-1
spec: {routingGroup: hub, fqdn: mx.hub.test, smtpAddress: "127.0.0.1:2501", gossipAddress: "127.0.0.1:6901", adminAddress: "127.0.0.1:6951"}
---
kind: VirtualServer
name: hub-1-smtp
spec:
  server: hub-1
  bindings: ["127.0.0.1:2501"]
  relay: {networks: [127.0.0.0/8]}
  outbound: {maxMessagesPerConnection: 3, maxConnectionsPerLink: 1}
---
{kind: Schedule, name: window, spec: {timeZone: Pacific/Kiritimati, open: ["%[1]s"]}}
---
kind: SMTPConnector
name: night
spec: {routingGroup: hub, addressSpaces: ["SMTP:night.test"], smartHosts: ["%[2]s"], schedule: window}
---
kind: SMTPConnector
name: large
spec: {routingGroup: hub, addressSpaces: ["SMTP:large.test"], smartHosts: ["%[2]s"], oversizeSchedule: never, oversizeThreshold: 10KB}
---
kind: SMTPConnector
name: branch
spec: {routingGroup: hub, addressSpaces: ["SMTP:a.test", "SMTP:b.test"], smartHosts: ["%[2]s"], remoteTriggered: true, etrnNetworks: [127.0.0.0/8]}
---
kind: ForeignConnector
name: fax
spec: {routingGroup: hub, addressSpaces: ["FAX:*"], dropDirectory: %[3]s, disabled: true}
---
{kind: Recipient, name: faxer, spec: {addresses: [faxer@hub.test], contact: {targetAddress: "FAX:+4712345678"}}}
`

// opening is a quarter of an hour in three days, by the clocks of the farthest time
// zone, and when that is.
func opening(t *testing.T) (written string, at time.Time) {
	t.Helper()
	zone, err := time.LoadLocation("Pacific/Kiritimati")
	if err != nil {
		t.Fatal(err)
	}
	d := time.Now().In(zone).AddDate(0, 0, 3)
	at = time.Date(d.Year(), d.Month(), d.Day(), 10, 15, 0, 0, zone)
	return at.Format("Mon") + " 10:15-10:30", at.UTC()
}

type site struct {
	*harness.Cluster
	t       *testing.T
	postfix *harness.Postfix
	smtp    string
}

// send hands in a message of some size; its Message-ID is id@.
func (s *site) send(t *testing.T, id string, size int, to ...string) {
	t.Helper()
	body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72)
	if err := harness.Send(t, s.smtp, "alice@outside.example", harness.Letter("alice@outside.example", to[0], id+"@hub.test", body), to...); err != nil {
		t.Fatal(err)
	}
}

// arrived counts the messages at the Postfix whose Message-ID begins so.
func (s *site) arrived(id string) (n int) {
	for _, m := range s.postfix.Mailbox("known") {
		if strings.Contains(m, "Message-ID: <"+id) {
			n++
		}
	}
	return n
}

func (s *site) wait(t *testing.T, id string, n int) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, func() error {
		if got := s.arrived(id); got != n {
			return fmt.Errorf("%d of %d messages %s have arrived; the queues:\n%s", got, n, id, s.Ctl("queue", "list").Stdout)
		}
		return nil
	})
}

// listed waits for the row of a queue that has all the words, and gives its ID.
func (s *site) listed(t *testing.T, words ...string) string {
	t.Helper()
	id := ""
	harness.Eventually(t, 20*time.Second, func() error {
		list := s.Ctl("queue", "list", "-o", "wide").OK(t).Stdout
		for line := range strings.Lines(list) {
			all := true
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				id, _, _ = strings.Cut(line, " ")
				return nil
			}
		}
		return fmt.Errorf("no queue has %q:\n%s", words, list)
	})
	return id
}

// change applies an object with something replaced.
func (s *site) change(t *testing.T, kind, name, old, replacement string) {
	t.Helper()
	text := s.Ctl("get", kind, name, "-o", "yaml").OK(t).Stdout
	if !strings.Contains(text, old) {
		t.Fatalf("%s/%s has no %q:\n%s", kind, name, old, text)
	}
	file := filepath.Join(t.TempDir(), "changed.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(text, old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Ctl("apply", "-f", file).OK(t)
}

func TestQueues(t *testing.T) {
	postfix := harness.StartPostfix(t, "outside.test", nil, "virtual_mailbox_domains = night.test, large.test, a.test, b.test")
	written, opens := opening(t)
	fax := filepath.Join(t.TempDir(), "fax")
	c := harness.Up(t, fmt.Sprintf(hub, written, fmt.Sprintf("[127.0.0.1]:%d", postfix.Port), fax))
	s := &site{c, t, postfix, c.Node("hub-1").SMTP}

	t.Run("a schedule", func(t *testing.T) {
		s.send(t, "night-1", 100, "known@night.test")
		id := s.listed(t, "night.test", "scheduled", "schedule window of connector night, which opens at "+opens.Format("2006-01-02 15:04:05Z"))
		if out := s.Ctl("queue", "messages", id, "-o", "wide").OK(t).Stdout; !strings.Contains(out, "scheduled") || !strings.Contains(out, " in ") {
			t.Errorf("the message does not say when it leaves:\n%s", out)
		}
		// To be shut is not to be down.
		if out := s.Ctl("linkstate", "list").OK(t).Stdout; strings.Contains(out, "DOWN") {
			t.Errorf("link state:\n%s", out)
		}
		s.Ctl("queue", "retry", id).OK(t)
		s.wait(t, "night-1", 1)
		for i := range 10 {
			s.send(t, fmt.Sprintf("night-2-%d", i), 100, "known@night.test")
		}
		s.listed(t, "night.test", "scheduled", " 10 ")
		if n := s.arrived("night-2"); n != 0 {
			t.Errorf("%d messages left while the connector is shut", n)
		}
		before := strings.Count(postfix.Log(), ": connect from")
		s.change(t, "SMTPConnector", "night", "schedule: window", "schedule: always")
		s.wait(t, "night-2", 10)
		// Three at most over one connection.
		if n := strings.Count(postfix.Log(), ": connect from") - before; n < 4 {
			t.Errorf("10 messages came over %d connections, want 4", n)
		}
	})

	t.Run("large messages", func(t *testing.T) {
		s.send(t, "large-1", 100, "known@large.test")
		s.send(t, "large-2", 20_000, "known@large.test")
		s.wait(t, "large-1", 1)
		s.listed(t, "large.test", "scheduled", "schedule never of connector large, which is never open")
		if n := s.arrived("large-2"); n != 0 {
			t.Error("the large message left")
		}
		s.change(t, "SMTPConnector", "large", "oversizeSchedule: never", "oversizeSchedule: always")
		s.wait(t, "large-2", 1)
	})

	t.Run("ETRN by fetchmail", func(t *testing.T) {
		s.send(t, "asked-1", 100, "known@a.test", "known@b.test")
		s.send(t, "asked-2", 100, "known@a.test")
		s.send(t, "asked-3", 100, "known@b.test")
		s.listed(t, "a.test", "remote", "ETRN, ATRN or TURN", " 2 ")
		s.listed(t, "b.test", "remote", " 2 ")
		fetchmail := func(domain string) {
			t.Helper()
			home := t.TempDir()
			rc := filepath.Join(home, "fetchmailrc")
			_, port, _ := strings.Cut(s.smtp, ":")
			text := fmt.Sprintf("poll 127.0.0.1 service %s protocol ETRN:\n  fetchdomains %s\n", port, domain)
			if err := os.WriteFile(rc, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("FETCHMAILHOME", home)
			out := harness.Command(t, "", harness.Program(t, "/usr/bin/fetchmail"), "-v", "--nodetach", "--nosyslog", "-f", rc)
			if !strings.Contains(out.Stdout+out.Stderr, "ETRN") || strings.Contains(out.Stdout+out.Stderr, "459") {
				t.Fatalf("fetchmail says:\n%s%s", out.Stdout, out.Stderr)
			}
		}
		fetchmail("a.test")
		// asked-1 for one of its recipients, and asked-2.
		s.wait(t, "asked-1", 1)
		s.wait(t, "asked-2", 1)
		s.listed(t, "b.test", "remote", " 2 ")
		if n := s.arrived("asked-3"); n != 0 {
			t.Error("mail for b.test left with that for a.test")
		}
		fetchmail("b.test")
		s.wait(t, "asked-1", 2)
		s.wait(t, "asked-3", 1)
	})

	t.Run("a gateway", func(t *testing.T) {
		s.send(t, "fax-1", 100, "faxer@hub.test")
		s.listed(t, "FAX:+4712345678", "Pending reroute", "disabled")
		if out := s.Ctl("queue", "messages", "reroute").OK(t).Stdout; !strings.Contains(out, "FAX:+4712345678") {
			t.Errorf("queue messages reroute:\n%s", out)
		}
		s.change(t, "ForeignConnector", "fax", "  disabled: true\n", "  schedule: never\n")
		id := s.listed(t, "FAX:+4712345678", "Next hop", "scheduled", "never open")
		s.Ctl("queue", "retry", id).OK(t)
		harness.Eventually(t, 20*time.Second, func() error {
			if list, _ := filepath.Glob(filepath.Join(fax, "*.json")); len(list) != 1 {
				return fmt.Errorf("%d messages in the drop directory", len(list))
			}
			return nil
		})
	})

	if out := s.Ctl("node", "ledger"); out.Code != 0 {
		t.Errorf("the ledger: %s%s", out.Stdout, out.Stderr)
	}
}
