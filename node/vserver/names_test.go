package vserver

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postroad/postroad/node/mail"
)

func suzan(a mail.Address) string {
	return map[string]string{"sfine@example.com": "Suzan Fine", "jose@example.com": "José", "comma@example.com": "Fine, Suzan"}[a.Key()]
}

func TestDisplayNames(t *testing.T) {
	all := displayNames{from: true, recipients: true, replyTo: true}
	for name, c := range map[string]struct {
		names    displayNames
		in, want string
	}{
		"from":            {all, "From: sfine@example.com\r\n", "From: \"Suzan Fine\" <sfine@example.com>\r\n"},
		"another name":    {all, "From: The Boss <SFine@Example.com>\r\n", "From: \"Suzan Fine\" <SFine@Example.com>\r\n"},
		"encoded":         {all, "From: jose@example.com\r\n", "From: =?utf-8?q?Jos=C3=A9?= <jose@example.com>\r\n"},
		"quoted":          {all, "Sender: comma@example.com\r\n", "Sender: \"Fine, Suzan\" <comma@example.com>\r\n"},
		"folded list":     {all, "To: a@b.test,\r\n\tsfine@example.com\r\n", "To: <a@b.test>,\r\n \"Suzan Fine\" <sfine@example.com>\r\n"},
		"reply-to":        {all, "reply-to : sfine@example.com\r\n", "reply-to : \"Suzan Fine\" <sfine@example.com>\r\n"},
		"nobody of ours":  {all, "From:   a@b.test  (Joe)\r\n", "From:   a@b.test  (Joe)\r\n"},
		"right already":   {all, "From: Suzan Fine <sfine@example.com>\r\n", "From: Suzan Fine <sfine@example.com>\r\n"},
		"a group":         {all, "To: us: sfine@example.com;\r\n", "To: us: sfine@example.com;\r\n"},
		"no address":      {all, "From: sfine@\r\n", "From: sfine@\r\n"},
		"subject":         {all, "Subject: sfine@example.com\r\n", "Subject: sfine@example.com\r\n"},
		"not asked for":   {displayNames{recipients: true}, "From: sfine@example.com\r\nCc: sfine@example.com\r\n", "From: sfine@example.com\r\nCc: \"Suzan Fine\" <sfine@example.com>\r\n"},
		"no header":       {all, "", ""},
		"no field at all": {all, "sfine@example.com\r\n", "sfine@example.com\r\n"},
	} {
		for _, body := range []string{"\r\nFrom: sfine@example.com\r\n", ""} {
			got, err := io.ReadAll(c.names.resolveNames(iotest.OneByteReader(strings.NewReader(c.in+body)), suzan))
			if err != nil || string(got) != c.want+body {
				t.Errorf("%s: %q, %v\nwant %q", name, got, err, c.want+body)
			}
		}
	}
	for _, line := range []int{900, 9000} { // shorter and longer than what is read at once
		long := strings.Repeat("X-Filler: "+strings.Repeat("x", line)+"\r\n", 200) + "From: sfine@example.com\r\n\r\nbody\r\n"
		if got, err := io.ReadAll(all.resolveNames(strings.NewReader(long), suzan)); err != nil || string(got) != long {
			t.Errorf("a long header of lines of %d: %d octets of %d, %v", line, len(got), len(long), err)
		}
	}
	broken := errors.New("hung up")
	r := all.resolveNames(io.MultiReader(strings.NewReader("From: sfine@example.com\r\n"), iotest.ErrReader(broken)), suzan)
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("lost the error: %v", err)
	}
}

// Whatever comes in, only fields that hold a known address change, and the body
// never does.
func FuzzDisplayNames(f *testing.F) {
	f.Add("From: a@b.test\r\nTo: sfine@example.com\r\n\r\nbody")
	f.Add("From:\r\n sfine@example.com\r\n\r\n")
	f.Add("\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		none := displayNames{from: true, recipients: true, replyTo: true}
		got, err := io.ReadAll(none.resolveNames(strings.NewReader(in), func(mail.Address) string { return "" }))
		if err != nil || string(got) != in {
			t.Fatalf("without names: %q, %v", got, err)
		}
		got, err = io.ReadAll(none.resolveNames(strings.NewReader(in), func(mail.Address) string { return "Name\r\nBcc: x@y.test" }))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got), "\nBcc: x@y") && !strings.Contains(in, "\nBcc: x@y") {
			t.Fatalf("a name made a field: %q", got)
		}
	})
}

// A stranger's word does not become a colleague's name unless the settings say so.
func TestWhoseNamesAreResolved(t *testing.T) {
	const bob = "From: bob@example.test\r\nTo: bob@example.test\r\n\r\nx"
	const named = "\"Bob\" <bob@example.test>"
	for name, c := range map[string]struct {
		settings string
		user     bool
		from, to bool
	}{
		"off":                     {"", true, false, false},
		"user":                    {", displayNames: {from: true}", true, true, false},
		"stranger":                {", displayNames: {from: true, recipients: true}", false, false, true},
		"stranger, as of old":     {", displayNames: {from: true, anonymous: true}", false, true, false},
		"trusted network":         {", displayNames: {from: true}, relay: {networks: [127.0.0.1]}", false, true, false},
		"nobody's recipients too": {", displayNames: {recipients: true}", true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.settings, accounts)
			p := s.connect()
			p.startTLS()
			from := "a@outside.test"
			if c.user {
				p.say("AUTH PLAIN "+plain("alice", "s3cret"), "235")
				from = "alice@example.test"
			}
			p.send(from, "bob@example.test", bob)
			text := s.tray.text[0]
			if got := strings.Contains(text, "From: "+named); got != c.from {
				t.Errorf("From: %q", text)
			}
			if got := strings.Contains(text, "To: "+named); got != c.to {
				t.Errorf("To: %q", text)
			}
		})
	}
}
