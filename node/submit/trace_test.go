package submit

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

func TestReceived(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	bob := mail.Recipient{Address: mail.Address{Local: "bob", Domain: "example.test"}}
	jörg := mail.Recipient{Address: mail.Address{Local: "jörg", Domain: "example.test"}}
	id := mail.ID{}.String()
	tail := "; Sun, 01 Mar 2026 12:00:00 +0000\r\n"
	for _, c := range []struct {
		name string
		s    mail.Submission
		want string
	}{
		{"TLS", mail.Submission{By: "mx", With: "ESMTPSA", Cipher: "TLS1.3 X", Envelope: &mail.Envelope{ClientName: "c", ClientHost: "192.0.2.1", Recipients: []mail.Recipient{bob}}},
			"from c ([192.0.2.1])\r\n\tby mx with ESMTPSA (TLS1.3 X) id " + id + "\r\n\tfor <bob@example.test>" + tail},
		{"two recipients stay secret", mail.Submission{By: "mx", Envelope: &mail.Envelope{ClientName: "c", ClientHost: "192.0.2.1", Recipients: []mail.Recipient{bob, bob}}},
			"from c ([192.0.2.1])\r\n\tby mx id " + id + tail},
		{"IPv6", mail.Submission{By: "mx", Envelope: &mail.Envelope{ClientName: "[IPv6:2001:db8::1]", ClientHost: "2001:db8::1"}},
			"from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n\tby mx id " + id + tail},
		{"mapped address", mail.Submission{By: "mx", Envelope: &mail.Envelope{ClientName: "c", ClientHost: "::ffff:192.0.2.1"}},
			"from c ([192.0.2.1])\r\n\tby mx id " + id + tail},
		{"a name that would break the field", mail.Submission{By: "mx", Envelope: &mail.Envelope{ClientName: "x) by evil\r\nX: y", ClientHost: "192.0.2.1"}},
			"from [192.0.2.1] ([192.0.2.1])\r\n\tby mx id " + id + tail},
		{"name of the address", mail.Submission{By: "mx", HostName: "host.example", Envelope: &mail.Envelope{ClientName: "c", ClientHost: "192.0.2.1"}},
			"from c (host.example [192.0.2.1])\r\n\tby mx id " + id + tail},
		{"a host name that would break the field", mail.Submission{By: "mx", HostName: "x) by evil", Envelope: &mail.Envelope{ClientName: "c", ClientHost: "192.0.2.1"}},
			"from c ([192.0.2.1])\r\n\tby mx id " + id + tail},
		{"no address", mail.Submission{By: "mx", Envelope: &mail.Envelope{ClientName: "c"}}, "from c\r\n\tby mx id " + id + tail},
		{"UTF-8 without SMTPUTF8", mail.Submission{By: "mx", Envelope: &mail.Envelope{Recipients: []mail.Recipient{jörg}}}, "by mx id " + id + tail},
		{"UTF-8", mail.Submission{By: "mx", Envelope: &mail.Envelope{UTF8: true, Recipients: []mail.Recipient{jörg}}}, "by mx id " + id + "\r\n\tfor <jörg@example.test>" + tail},
	} {
		c.s.Envelope.Received = at
		if got := string(appendReceived(nil, &c.s, nil)); got != "Received: "+c.want {
			t.Errorf("%s:\n%q\nwant\n%q", c.name, got, "Received: "+c.want)
		}
	}
}

// Whatever the content and however it arrives, what is written is the trace
// header and then the content: unchanged if it has a header of its own.
func TestStreamIsTransparent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{
			"Subject: x", "Received: x", "Date: x", " folded", "", "text without colon", "Message-ID: <a@b>", ".", ": nameless",
			"X: " + strings.Repeat("x", bufferSize), strings.Repeat("y", bufferSize-1),
		}), 0, 8).Draw(t, "lines")
		in := strings.Join(lines, "\r\n") + rapid.SampledFrom([]string{"", "\r\n"}).Draw(t, "end")
		chunk := rapid.IntRange(1, 2*bufferSize).Draw(t, "chunk")
		s := &mail.Submission{By: "mx", Envelope: &mail.Envelope{}, Complete: rapid.Bool().Draw(t, "complete")}
		var out bytes.Buffer
		h, err := newStream().(*stream).run(&out, s, &chunked{in, chunk}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := strings.CutPrefix(out.String(), string(appendReceived(nil, s, nil)))
		if !ok {
			t.Fatalf("no trace header in %.300q", out.String())
		}
		if want := naive(in, s, h); got != want {
			t.Fatalf("got\n%.300q\nwant\n%.300q", got, want)
		}
	})
}

// naive is the same on a whole message in memory.
func naive(in string, s *mail.Submission, h *header) string {
	at, inHeader, field := 0, true, false
	hasDate, hasID := false, false
	for at < len(in) && inHeader {
		line := in[at:]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		text := strings.TrimRight(line, "\r\n")
		name, _, colon := strings.Cut(text, ":")
		folded := strings.HasPrefix(text, " ")
		switch {
		case folded && field:
		case !folded && colon && name != "" && !strings.Contains(name, " "):
			field = true
			hasDate = hasDate || name == "Date"
			hasID = hasID || name == "Message-ID"
		default:
			inHeader = false
			continue
		}
		at += len(line)
	}
	out := in[:at]
	if s.Complete && !(hasDate && hasID) {
		if at > 0 && in[at-1] != '\n' {
			out += "\r\n"
		}
		out += string(appendMissing(nil, s, h))
	}
	if rest := in[at:]; rest != "" && !strings.HasPrefix(rest, "\r\n") {
		out += "\r\n"
	}
	return out + in[at:]
}

type chunked struct {
	s string
	n int
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.s)
	c.s = c.s[n:]
	return n, nil
}

func FuzzHeader(f *testing.F) {
	f.Add("Message-ID: <x@y>\r\nReceived: z\r\n folded\r\nImportance: low\r\n\r\nbody")
	f.Add("X-Priority: 1 (Highest)\r\nmessage-id : \xff\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		s := &mail.Submission{By: "mx", Envelope: &mail.Envelope{}}
		var out bytes.Buffer
		h, err := newStream().(*stream).run(&out, s, strings.NewReader(in), []byte("(node 1)"))
		if err != nil {
			if len(in) < maxHeader {
				t.Fatal(err)
			}
			return
		}
		if extra := out.Len() - len(appendReceived(nil, s, []byte("(node 1)"))) - len(in); extra != 0 && extra != len(crlf) {
			t.Fatalf("%d octets more than were sent", extra)
		}
		if len(h.messageID) > maxMessageID || strings.ContainsAny(h.id(), " \r\n\x00") {
			t.Fatalf("message ID %q", h.id())
		}
	})
}

func BenchmarkStream10KiB(b *testing.B) {
	var m strings.Builder
	m.WriteString("Message-ID: <x@y>\r\nDate: Sun, 01 Mar 2026 12:00:00 +0000\r\nFrom: a\r\nTo: b\r\nSubject: s\r\nReceived: from x\r\n\tby y; z\r\n\r\n")
	for m.Len() < 10<<10 {
		m.WriteString("The quick brown fox jumps over the lazy dog, again and again.\r\n")
	}
	in := m.String()
	st := newStream().(*stream)
	s := &mail.Submission{By: "mail.example.test", With: "ESMTP", HopLimit: 30, Envelope: &mail.Envelope{ClientName: "c.example", ClientHost: "192.0.2.1",
		Recipients: []mail.Recipient{{Address: mail.Address{Local: "bob", Domain: "example.test"}}}}}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := st.run(io.Discard, s, strings.NewReader(in), []byte("(node 1)")); err != nil {
			b.Fatal(err)
		}
	}
}
