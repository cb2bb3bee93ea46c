package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/pickup"
)

// sendmail runs `postroad sendmail` and gives what it left in the folder.
func sendmail(t *testing.T, input string, args ...string) (*pickup.Letter, error) {
	t.Helper()
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, pickup.Folder), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := sendmailCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetIn(strings.NewReader(input))
	cmd.SetArgs(append([]string{"--data", data}, args...))
	err := cmd.Execute()
	entries, _ := os.ReadDir(filepath.Join(data, pickup.Folder))
	if err != nil {
		if len(entries) > 0 {
			t.Errorf("%v, and yet it left %v", err, entries)
		}
		return nil, err
	}
	if len(entries) != 1 {
		t.Fatalf("left %v", entries)
	}
	b, err := os.ReadFile(filepath.Join(data, pickup.Folder, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return pickup.Read(strings.NewReader(string(b)))
}

func TestSendmail(t *testing.T) {
	for _, c := range []struct {
		name, input string
		args        []string
		to          string
		content     string
	}{
		{"arguments", "Subject: s\n\nhello\n", []string{"-f", "a@x.test", "b@x.test", "c@x.test"},
			"b@x.test c@x.test", "Subject: s\r\nFrom: a@x.test\r\n\r\nhello\r\n"},
		{"header", "From: z@x.test\nTo: b@x.test\nBcc: c@x.test\n\nhello\n", []string{"-t", "-f", "a@x.test"},
			"b@x.test c@x.test", "From: z@x.test\r\nTo: b@x.test\r\n\r\nhello\r\n"},
		{"dot ends", "Subject: s\n\none\n.\ntwo\n", []string{"-f", "a@x.test", "-F", "Ada L", "b@x.test"},
			"b@x.test", "Subject: s\r\nFrom: Ada L <a@x.test>\r\n\r\none\r\n"},
		{"dot stays", "Subject: s\n\none\n.\ntwo\n", []string{"-oi", "-f", "a@x.test", "b@x.test"},
			"b@x.test", "Subject: s\r\nFrom: a@x.test\r\n\r\none\r\n.\r\ntwo\r\n"},
		{"no header", "just text\n", []string{"-bm", "-i", "-f", "a@x.test", "b@x.test"},
			"b@x.test", "From: a@x.test\r\n\r\njust text\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := sendmail(t, c.input, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			var to []string
			for _, r := range l.Envelope.Recipients {
				to = append(to, r.Address.String())
			}
			var content strings.Builder
			if _, err := io.Copy(&content, l.Content); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(to, " "); got != c.to || content.String() != c.content || l.Envelope.From.String() != "a@x.test" {
				t.Errorf("from %s to %s: %q", l.Envelope.From, got, content.String())
			}
		})
	}
}

func TestSendmailReports(t *testing.T) {
	l, err := sendmail(t, "Subject: s\n\nhello\n", "-f", "<>", "-N", "success,failure", "-R", "hdrs", "-V", "q1", "b@x.test")
	if err != nil {
		t.Fatal(err)
	}
	e := l.Envelope
	if !e.Null() || e.Return != "HDRS" || e.EnvelopeID != "q1" || e.Recipients[0].Notify != mail.NotifySuccess|mail.NotifyFailure {
		t.Errorf("%+v", e)
	}
}

func TestSendmailRefuses(t *testing.T) {
	for says, args := range map[string][]string{
		"no recipients":         {"-f", "a@x.test"},
		"recipient b@":          {"b@"},
		"-f a@":                 {"-f", "a@", "b@x.test"},
		"must be NEVER alone":   {"-N", "never,success", "b@x.test"},
		"must be full":          {"-R", "some", "b@x.test"},
		"only -bm":              {"-bs"},
		"X-Receiver, To, Cc":    {"-t", "-f", "a@x.test"},
		"no node has run there": {"--data", "/nowhere", "-f", "a@x.test", "b@x.test"},
	} {
		if _, err := sendmail(t, "Subject: s\n\nhello\n", args...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", args, err, says)
		}
	}
}
