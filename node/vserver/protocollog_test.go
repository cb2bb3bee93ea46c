package vserver

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readLogs(t *testing.T, folder string) string {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(folder, "ex*.log"))
	var all strings.Builder
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

func TestProtocolLog(t *testing.T) {
	data := t.TempDir()
	const on = ", protocolLog: {enabled: true, fields: [c-ip, s-sitename, cs-username, x-account, cs-method, cs-uri-query, sc-status, cs-bytes, cs-version]}"
	s := newSite(t, on, accounts, func(d *Deps) { d.Data = data })
	p := s.connect()
	p.begin()
	p.say("MAIL FROM:<a@outside.test> BODY=8BITMIME", "250")
	p.say("RCPT TO:<nobody@example.test>", "550")
	p.say("RCPT TO:<bob@example.test>", "250")
	p.say("DATA", "354")
	p.say("Subject: x\r\n\r\nhello\r\n.", "250")
	p.startTLS()
	p.say("AUTH PLAIN", "334")
	p.say(plain("alice", "s3cret"), "235")
	p.say("AUTH PLAIN "+plain("alice", "s3cret"), "503")
	p.say("NOOP a b\x7f+%", "250")
	p.say("QUIT", "221")
	// Another folder takes over at once, and the old log is complete.
	s.book.set(t, base+strings.Replace(anyVirtualServer, "%s", ", protocolLog: {enabled: true, directory: "+filepath.Join(data, "other")+"}", 1))
	s.set.Update()
	text := readLogs(t, filepath.Join(data, "protocol", "default"))
	want := `#Software: Postroad
#Version: 1.0
#Date: TIME
#Fields: c-ip s-sitename cs-username x-account cs-method cs-uri-query sc-status cs-bytes cs-version
127.0.0.1 default c.example - EHLO c.example 250 16 ESMTP
127.0.0.1 default c.example - MAIL FROM:<a@outside.test>+BODY=8BITMIME 250 42 ESMTP
127.0.0.1 default c.example - RCPT TO:<nobody@example.test> 550 31 ESMTP
127.0.0.1 default c.example - RCPT TO:<bob@example.test> 250 28 ESMTP
127.0.0.1 default c.example - DATA - 250 30 ESMTP
127.0.0.1 default c.example - EHLO c.example 250 16 ESMTP
127.0.0.1 default c.example - STARTTLS - 220 10 ESMTP
127.0.0.1 default c.example - EHLO c.example 250 16 ESMTPS
127.0.0.1 default c.example alice AUTH PLAIN 235 34 ESMTPSA
127.0.0.1 default c.example alice AUTH PLAIN 503 33 ESMTPSA
127.0.0.1 default c.example alice NOOP a+b%7F%2B%25 250 13 ESMTPSA
127.0.0.1 default c.example alice QUIT - 221 6 ESMTPSA
`
	if got := regexp.MustCompile(`#Date: .*`).ReplaceAllString(text, "#Date: TIME"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(text, "s3cret") || strings.Contains(text, plain("alice", "s3cret")) {
		t.Error("a password is in the log")
	}
	s.connect().say("HELO x", "250")
	// Off: nothing more is written.
	s.book.set(t, base+strings.Replace(anyVirtualServer, "%s", "", 1))
	s.set.Update()
	other := readLogs(t, filepath.Join(data, "other"))
	if !strings.Contains(other, " HELO x 250 ") {
		t.Errorf("the other log: %s", other)
	}
	s.connect().say("HELO y", "250")
	if readLogs(t, filepath.Join(data, "other")) != other {
		t.Error("a log that is off was written")
	}
}

func TestRefusedConnectionIsLogged(t *testing.T) {
	data := t.TempDir()
	s := newSite(t, ", state: paused, protocolLog: {enabled: true, fields: [cs-method, sc-status]}", "", func(d *Deps) { d.Data = data })
	s.greeting()
	s.book.set(t, base+strings.Replace(anyVirtualServer, "%s", "", 1))
	s.set.Update()
	if text := readLogs(t, filepath.Join(data, "protocol", "default")); !strings.HasSuffix(text, "\nCONNECT 421\n") {
		t.Error(text)
	}
}

// A disk that fails later is told by the status, and so is that it works again.
func TestLogThatFailsLater(t *testing.T) {
	data := t.TempDir()
	folder := filepath.Join(data, "protocol", "default")
	s := newSite(t, ", protocolLog: {enabled: true, rotation: size, maxSize: 300}", "", func(d *Deps) { d.Data = data })
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // nothing can be made below it
		t.Fatal(err)
	}
	p := s.connect()
	p.begin()
	for range 10 { // past maxSize
		p.say("NOOP", "250")
	}
	s.set.lookAtLogs() // as Run does each second
	if st := s.set.Status()[0]; st.State != StateDegraded || !strings.Contains(st.Reason, "protocol log: ") {
		t.Errorf("%+v", st)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	p.say("NOOP again", "250")
	s.set.lookAtLogs()
	if st := s.set.Status()[0]; st.State != StateRunning || st.Reason != "" {
		t.Errorf("%+v", st)
	}
	s.book.set(t, base+strings.Replace(anyVirtualServer, "%s", "", 1))
	s.set.Update() // off, and written to its end
	if text := readLogs(t, folder); !strings.Contains(text, "NOOP again") {
		t.Error(text)
	}
}

// A log that cannot be written is told, and keeps nobody from sending mail.
func TestLogThatCannotBeWritten(t *testing.T) {
	s := newSite(t, ", protocolLog: {enabled: true, directory: /dev/null/x}", "")
	if st := s.set.Status()[0]; st.State != StateDegraded || !strings.Contains(st.Reason, "protocol log: mkdir /dev/null") {
		t.Errorf("%+v", st)
	}
	p := s.connect()
	p.begin()
	p.send("a@outside.test", "bob@example.test", "x")
}
