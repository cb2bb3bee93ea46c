package vserver

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func TestMessageFilterActions(t *testing.T) {
	var kept []string
	s := newSite(t, "", filterVirtualServers, func(d *Deps) {
		d.Archive = func(e *mail.Envelope, why string, content io.Reader) error {
			line, _ := bufio.NewReader(content).ReadString('\n')
			kept = append(kept, fmt.Sprintf("%s to %v, %s: %s", e.From, e.Recipients[0].Address, why, strings.TrimSpace(line)))
			return nil
		}
	})
	p := s.connect()
	p.begin()
	for _, c := range []struct{ from, want string }{
		{"a@kept.test", "554 5.1.0 Sender denied"},
		{"a@quiet.test", "250 2.6.0 <"},
		{"a@dropped.test", "250 2.6.0 <"},
		{"a@fine.test", "250 2.6.0 <x@y>"},
	} {
		if got := p.send(c.from, "bob@example.test", "Subject: "+c.from+"\r\n\r\nx"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.from, got)
		}
	}
	if want := []string{
		"a@kept.test to bob@example.test, message filter kept: Subject: a@kept.test",
		"a@quiet.test to bob@example.test, message filter quiet: Subject: a@quiet.test",
	}; strings.Join(kept, "|") != strings.Join(want, "|") {
		t.Errorf("kept %q", kept)
	}
	if len(s.tray.got) != 1 || s.tray.got[0].Envelope.From.Domain != "fine.test" {
		t.Errorf("accepted %v", s.tray.text)
	}
	p.say("MAIL FROM:<a@rude.test>", "554 5.1.0")
	if r := p.reply(); !strings.Contains(r, "EOF") {
		t.Errorf("still connected: %s", r)
	}
}

func TestWhichFiltersApply(t *testing.T) {
	const blank = "\n---\nkind: MessageFilter\nname: blank\nspec: {blankSenders: true}\n"
	for name, c := range map[string]struct {
		settings, extra, from, want string
	}{
		"all by default":   {"", "", "spam@bad.test", "554 5.1.0"},
		"none":             {", filtering: {disabled: true}", "", "spam@bad.test", "250"},
		"those named":      {", filtering: {filters: [blocked]}", blank, "spam@bad.test", "554"},
		"not the others":   {", filtering: {filters: [blank]}", blank, "spam@bad.test", "250"},
		"not this binding": {`, filtering: {unfilteredBindings: ["127.0.0.1:0"]}`, "", "spam@bad.test", "250"},
		"blank sender":     {"", blank, "", "554 5.1.0"},
		"blank is allowed": {"", "", "", "250"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t, c.settings, c.extra).connect()
			p.begin()
			p.say("MAIL FROM:<"+c.from+">", c.want)
		})
	}
}

func TestOwnDomainFromOutside(t *testing.T) {
	for name, c := range map[string]struct {
		settings, from, want string
	}{
		"allowed by default":  {"", "bob@example.test", "250"},
		"refused":             {", senderPolicy: {refuseOwnDomains: true}", "bob@Example.test", "550 5.7.1 bob@Example.test is a sender of this organization: authenticate"},
		"others may":          {", senderPolicy: {refuseOwnDomains: true}", "bob@outside.test", "250"},
		"shared domains may":  {", senderPolicy: {refuseOwnDomains: true}", "bob@shared.test", "250"},
		"reports may":         {", senderPolicy: {refuseOwnDomains: true}", "", "250"},
		"exempt networks may": {", senderPolicy: {refuseOwnDomains: true, ownDomainsFrom: [127.0.0.1]}", "bob@example.test", "250"},
		"relay clients may":   {", senderPolicy: {refuseOwnDomains: true}, relay: {networks: [127.0.0.1]}", "bob@example.test", "250"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t, c.settings, "").connect()
			p.begin()
			p.say("MAIL FROM:<"+c.from+">", c.want)
		})
	}
	p := newSite(t, ", senderPolicy: {refuseOwnDomains: true}", accounts).connect()
	p.startTLS()
	p.say("AUTH PLAIN "+plain("alice", "s3cret"), "235")
	p.say("MAIL FROM:<alice@example.test>", "250")
}

// A stranger to whom nothing could be sent back is refused (RFC 7505 section 4.2).
func TestSenderWithoutMail(t *testing.T) {
	const on = ", senderPolicy: {refuseNullMx: true}"
	refused := "550 5.7.27 The domain null.test takes no mail, so nothing could be sent back"
	for name, c := range map[string]struct {
		settings, from, want string
		silent               bool
		asked                int
	}{
		"accepted by default": {"", "bob@null.test", "250", false, 0},
		"refused":             {on, "bob@null.test", refused, false, 1},
		"others may":          {on, "bob@outside.test", "250", false, 1},
		"reports may":         {on, "", "250", false, 0},
		"while DNS is silent": {on, "bob@null.test", "250", true, 1},
		"relay clients may":   {on + ", relay: {networks: [127.0.0.1]}", "bob@null.test", "250", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			z := &zone{null: map[string]bool{"null.test": true}, silent: c.silent}
			p := newSite(t, c.settings, "", with(z)).connect()
			p.begin()
			p.say("MAIL FROM:<"+c.from+">", c.want)
			if n := z.questions(); n != c.asked {
				t.Errorf("DNS was asked %d times, want %d", n, c.asked)
			}
		})
	}
}

func TestSubmissionPreset(t *testing.T) {
	const people = `
---
kind: Account
name: bob
spec: {password: s3cret}
---
kind: Account
name: bob@elsewhere.test
spec: {password: s3cret}
---
kind: Account
name: robert
spec: {password: s3cret, recipient: bob}
---
kind: Account
name: joe2
spec: {password: s3cret}
---
kind: Account
name: listed
spec: {password: s3cret, sendAs: ["@news.test", x@y.test]}
---
kind: Account
name: former
spec: {password: s3cret, disabled: true}
`
	s := newSite(t, ", preset: submission", people)
	p := s.connect()
	p.begin()
	p.say("MAIL FROM:<bob@example.test>", "530 5.7.0 Must issue a STARTTLS")
	p.startTLS(serial(t, nodeSerial))
	if r := p.say("EHLO c.example", "250"); strings.Contains(r, "EXTERNAL") {
		t.Errorf("nodes deliver elsewhere: %s", r)
	}
	p.say("MAIL FROM:<bob@example.test>", "530 5.7.0 Authentication required")
	p.say("AUTH PLAIN "+plain("former", "s3cret"), "535")

	for _, c := range []struct{ account, from, want string }{
		{"bob", "bob@example.test", "250"}, {"bob", "Bob@elsewhere.test", "250"}, {"bob", "", "250"},
		{"bob", "other@example.test", "550 5.7.1 Account bob does not have permission to send as other@example.test"}, {"bob", "joe@outside.test", "550"},
		{"bob@elsewhere.test", "bob@example.test", "250"},
		{"robert", "bob@example.test", "250"}, {"robert", "robert@example.test", "550"},
		{"joe2", "joe@outside.test", "550"}, {"joe2", "bob@example.test", "550"},
		{"listed", "any@news.test", "250"}, {"listed", "x@y.test", "250"}, {"listed", "bob@example.test", "550"},
	} {
		p := s.connect()
		p.startTLS()
		p.say("AUTH PLAIN "+plain(c.account, "s3cret"), "235")
		p.say("MAIL FROM:<"+c.from+">", c.want)
		if c.want == "250" {
			p.say("RCPT TO:<x@outside.test>", "250")
		}
	}
}

func TestRecipientFilter(t *testing.T) {
	p := newSite(t, `, recipientFilter: {refused: [bob@example.test, "@shared.test"]}`, accounts).connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<Bob@example.test>", "550 5.7.1 Bob@example.test takes no mail from outside")
	p.say("RCPT TO:<x@shared.test>", "550 5.7.1")
	p.say("RCPT TO:<bob@elsewhere.test>", "250")
	p.say("RSET", "250")
	p.startTLS()
	p.say("AUTH PLAIN "+plain("alice", "s3cret"), "235")
	p.say("MAIL FROM:<alice@example.test>", "250")
	p.say("RCPT TO:<bob@example.test>", "250")

	for settings, want := range map[string]string{
		"": "550 5.1.1", ", recipientFilter: {acceptUnknown: true}": "250", ", unresolvedHost: unix.example.test": "250",
	} {
		p := newSite(t, settings, "").connect()
		p.begin()
		p.say("MAIL FROM:<a@outside.test>", "250")
		p.say("RCPT TO:<nobody@example.test>", want)
		p.say("RCPT TO:<x@outside.test>", "550 5.7.1")
	}
}

func TestTarpit(t *testing.T) {
	const wait = 300 * time.Millisecond
	for settings, patient := range map[string]bool{
		", recipientFilter: {tarpit: 300ms}":                                 true,
		", recipientFilter: {tarpit: 300ms}, relay: {networks: [127.0.0.1]}": false,
		"": false,
	} {
		p := newSite(t, settings, "").connect()
		p.begin()
		p.say("MAIL FROM:<a@outside.test>", "250")
		start := time.Now()
		p.say("RCPT TO:<nobody@example.test>", "550")
		if took := time.Since(start); patient != (took >= wait) {
			t.Errorf("%q: %v", settings, took)
		}
		start = time.Now()
		p.say("RCPT TO:<bob@example.test>", "250")
		if took := time.Since(start); took >= wait {
			t.Errorf("%q: a good recipient waited %v", settings, took)
		}
	}
}

func TestBlockLists(t *testing.T) {
	z := &zone{a: map[string]string{"1.0.0.127.bl.test": "127.0.0.4", "1.0.0.127.other.test": "127.0.0.2", "1.0.0.127.broken.test": "127.255.255.254"}}
	const listed = "550 5.7.1 127.0.0.1 is listed by bl.test"
	silent := &zone{silent: true}
	for name, c := range map[string]struct {
		settings string
		zone     *zone
		to, want string
	}{
		"listed":            {"lists: [{zone: bl.test}]", z, "bob@example.test", listed},
		"own words":         {`lists: [{zone: bl.test, reply: "go to https://{zone}/?ip={address}"}]`, z, "bob@example.test", "550 5.7.1 go to https://bl.test/?ip=127.0.0.1"},
		"code":              {"lists: [{zone: bl.test, codes: [127.0.0.4]}]", z, "bob@example.test", listed},
		"other code":        {"lists: [{zone: bl.test, codes: [127.0.0.2]}]", z, "bob@example.test", "250"},
		"first that counts": {"lists: [{zone: bl.test, dryRun: true}, {zone: none.test}, {zone: other.test}]", z, "bob@example.test", "550 5.7.1 127.0.0.1 is listed by other.test"},
		"dry run":           {"lists: [{zone: bl.test, dryRun: true}]", z, "bob@example.test", "250"},
		"error of the list": {"lists: [{zone: broken.test}]", z, "bob@example.test", "250"},
		"not listed":        {"lists: [{zone: none.test}]", z, "bob@example.test", "250"},
		"silent":            {"lists: [{zone: bl.test}]", silent, "bob@example.test", "250"},
		"exempt network":    {"lists: [{zone: bl.test}], exemptNetworks: [127.0.0.0/8]", z, "bob@example.test", "250"},
		"exempt recipient":  {"lists: [{zone: bl.test}], exemptRecipients: [BOB@example.test]", z, "bob@example.test", "250"},
		"postmaster":        {"lists: [{zone: bl.test}]", z, "postmaster@example.test", "250"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t, ", blockLists: {"+c.settings+"}", "", with(c.zone)).connect()
			p.begin()
			p.say("MAIL FROM:<a@outside.test>", "250")
			p.say("RCPT TO:<"+c.to+">", c.want)
		})
	}
	// Users and trusted networks are not looked up at all.
	z = &zone{}
	p := newSite(t, ", relay: {networks: [127.0.0.1]}, blockLists: {lists: [{zone: bl.test}]}", "", with(z)).connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test>", "250")
	p.say("RCPT TO:<bob@example.test>", "250")
	q := newSite(t, ", blockLists: {lists: [{zone: bl.test}]}", accounts, with(z)).connect()
	q.startTLS()
	q.say("AUTH PLAIN "+plain("alice", "s3cret"), "235")
	q.say("MAIL FROM:<alice@example.test>", "250")
	q.say("RCPT TO:<bob@example.test>", "250")
	if n := z.questions(); n != 0 {
		t.Errorf("%d questions about clients who may", n)
	}
}
