package vserver

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

const pulled = `
---
kind: SMTPConnector
name: branch
spec: {routingGroup: paris, addressSpaces: ["SMTP:branch.test", "SMTP:*.branch.test"], remoteTriggered: true, triggerAccounts: [branch], etrnNetworks: [%s]}
---
kind: SMTPConnector
name: other
spec: {routingGroup: paris, addressSpaces: ["SMTP:other.test"], remoteTriggered: true, triggerAccounts: [other]}
---
kind: Account
name: branch
spec: {password: secret}
---
kind: Account
name: guest
spec: {password: secret}
`

// heap has mail for these domains behind the connector "branch" alone.
type heap struct {
	branch  mail.GUID
	mail    []string
	stopped string // the domain whose mail an administrator has stopped
}

func (h *heap) Stopped(connectors []mail.GUID, domain func(string) bool) bool {
	return slices.Contains(connectors, h.branch) && domain(h.stopped)
}

func (h *heap) of(connectors []mail.GUID, domain func(string) bool) (n int) {
	for _, d := range h.mail {
		if slices.Contains(connectors, h.branch) && domain(d) {
			n++
		}
	}
	return n
}

func (h *heap) Start(connectors []mail.GUID, domain func(string) bool) int {
	return h.of(connectors, domain)
}

func (h *heap) Hand(connectors []mail.GUID, domain func(string) bool) (func(context.Context, net.Conn), bool) {
	n := h.of(connectors, domain)
	return func(_ context.Context, c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("mail\r\n", n)) }, n > 0
}

func triggered(t *testing.T, networks string) *site {
	t.Helper()
	h := &heap{mail: []string{"branch.test", "a.branch.test", "branch.test"}, stopped: "ill.branch.test"}
	s := newSite(t, ", authentication: {basicInClear: true}", strings.ReplaceAll(pulled, "%s", networks), func(d *Deps) { d.Triggers = h })
	c, _ := s.book.Config().SMTPConnector("branch")
	h.branch = mail.GUID(c.GUID)
	return s
}

func (p *typist) login(account string) {
	p.t.Helper()
	p.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+account+"\x00secret")), "235")
}

// RFC 1985: who may start which queue.
func TestETRN(t *testing.T) {
	s := triggered(t, "127.0.0.0/8")
	p := s.connect()
	if r := p.say("EHLO c.test", "250"); !strings.Contains(r, "250-ETRN") {
		t.Errorf("%s", r)
	}
	for _, c := range [][2]string{
		{"ETRN branch.test", "253 2.0.0 OK, 2 pending messages"},
		{"ETRN @branch.test", "253 2.0.0 OK, 3 pending messages"},
		{"ETRN ill.branch.test", "458 4.3.2 Unable to queue messages for node ill.branch.test: its mail is stopped for the time being"},
		{"ETRN b.branch.test", "251 2.0.0 OK, no messages waiting"},
		{"ETRN #Branch", "253 2.0.0 OK, 3 pending messages"},
		{"ETRN other.test", "459 4.7.1"}, // another connector's
		{"ETRN #other", "459 4.7.1"},
		{"ETRN example.test", "459 4.7.1"},
	} {
		p.say(c[0], c[1])
	}
	s = triggered(t, "192.0.2.0/24")
	p = s.connect()
	if r := p.say("EHLO c.test", "250"); strings.Contains(r, "ETRN") {
		t.Errorf("offered to strangers: %s", r)
	}
	p.say("ETRN branch.test", "459 4.7.1")
	p.login("branch")
	p.say("ETRN branch.test", "253 2.0.0")
}

// RFC 2645: by account only, wherever one is.
func TestATRN(t *testing.T) {
	s := triggered(t, "127.0.0.0/8")
	p := s.connect()
	// Section 8: offered before AUTH, or clients do not go on.
	if r := p.say("EHLO c.test", "250"); !strings.Contains(r, "ATRN") || strings.Contains(r, "TURN") {
		t.Errorf("%s", r)
	}
	p.say("ATRN branch.test", "530 5.7.0")
	p.login("guest")
	if r := p.say("EHLO c.test", "250"); strings.Contains(r, "ATRN") {
		t.Errorf("offered to who may not: %s", r)
	}
	p.say("ATRN branch.test", "450 4.7.1")
	for command, want := range map[string]string{
		"ATRN other.test":             "450 4.7.1",
		"ATRN branch.test,other.test": "450 4.7.1",
		"ATRN ill.branch.test":        "451 4.3.2 Unable to process the request now: your mail is stopped for the time being",
		"ATRN b.branch.test":          "453 4.2.0 You have no mail",
		"ATRN branch.test":            "250 2.0.0|mail|mail",
		"ATRN":                        "250 2.0.0|mail|mail|mail",
		"TURN":                        "250 2.0.0|mail|mail|mail",
	} {
		p := s.connect()
		p.say("EHLO c.test", "250")
		p.login("branch")
		lines := strings.Split(want, "|")
		p.say(command, lines[0])
		if lines[0][0] != '2' {
			continue
		}
		_ = p.conn.SetDeadline(time.Now().Add(10 * time.Second))
		rest, err := io.ReadAll(p.in)
		if got := strings.Fields(string(rest)); err != nil || !slices.Equal(got, lines[1:]) {
			t.Errorf("%s: got %q, %v", command, got, err)
		}
	}
}

// Anybody may wait; to go before others is for those who are known.
func TestGrantedPriority(t *testing.T) {
	s := triggered(t, "127.0.0.0/8")
	for _, c := range []struct {
		account, asked string
		want           mail.MTPriority
		class          mail.Priority
	}{
		{"", "9", 0, mail.PriorityNormal}, {"", "-4", -4, mail.PriorityLow},
		{"branch", "9", 9, mail.PriorityHigh}, {"branch", "0", 0, mail.PriorityNormal},
	} {
		p := s.connect()
		p.say("EHLO c.test", "250")
		if c.account != "" {
			p.login(c.account)
		}
		p.say("MAIL FROM:<a@elsewhere.test> MT-PRIORITY="+c.asked+" BY=60;RT", "250")
		p.say("RCPT TO:<bob@example.test>", "250")
		p.say("DATA", "354")
		reply := "250 2.6.0 <"
		if c.asked != strconv.Itoa(int(c.want)) {
			reply = "250 2.3.6 0 is the new priority. <" // RFC 6710
		}
		p.say("Subject: x\r\n\r\nx\r\n.", reply)
		s.tray.mu.Lock()
		e := s.tray.got[len(s.tray.got)-1].Envelope
		s.tray.mu.Unlock()
		if e.MTPriority != c.want || e.Priority != c.class {
			t.Errorf("%q asked for %s: got %d, %s", c.account, c.asked, e.MTPriority, e.Priority)
		}
		if left := time.Until(e.DeliverBy.Deadline); !e.DeliverBy.Return || !e.DeliverBy.Trace || left > time.Minute || left < 30*time.Second {
			t.Errorf("deliver by %+v", e.DeliverBy)
		}
	}
}
