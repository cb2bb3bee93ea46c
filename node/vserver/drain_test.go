package vserver

import (
	"fmt"
	"strings"
	"testing"
)

// A server that is drained hard sends clients away, by the word of the moment;
// other nodes still bring what is for its own mailboxes. Softly drained it takes
// everything.
func TestDrained(t *testing.T) {
	s := newSite(t, "", "")
	drain := func(mode string) {
		s.book.set(t, strings.Replace(base, "fqdn: paris-1.example.test", "fqdn: paris-1.example.test"+mode, 1)+fmt.Sprintf(anyVirtualServer, ""))
	}
	early := s.connect()
	early.say("EHLO c.example", "250")
	early.say("MAIL FROM:<a@outside.test>", "250")
	drain(", drain: hard")
	early.say("RCPT TO:<bob@example.test>", "250") // a transaction that was begun is finished
	early.say("DATA", "354")
	early.say("x\r\n.", "250")
	early.say("MAIL FROM:<a@outside.test>", "421 4.3.2")
	if r := early.reply(); !strings.Contains(r, "EOF") {
		t.Errorf("the connection goes on after 421: %s", r)
	}

	node := s.connect()
	node.startTLS(serial(t, nodeSerial))
	node.say("AUTH EXTERNAL "+b64("paris-2"), "235")
	node.say("MAIL FROM:<a@outside.test>", "250")

	// Where no node comes in the greeting says so.
	for _, settings := range []string{"", ", authentication: {noIntegrated: true}", ", preset: submission"} {
		site := newSite(t, settings, "")
		site.book.set(t, strings.Replace(base, "fqdn: paris-1.example.test", "fqdn: paris-1.example.test, drain: hard", 1)+fmt.Sprintf(anyVirtualServer, settings))
		want := "421 4.3.2"
		if settings == "" {
			want = "220 "
		}
		if got := site.greeting(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: greeted with %q", settings, got)
		}
	}

	drain(", drain: soft")
	late := s.connect()
	late.say("EHLO c.example", "250")
	late.say("MAIL FROM:<a@outside.test>", "250")
}
