package smtpd_test

import (
	"strings"
	"testing"
)

// TestNothingIsSmuggledIn: everything that has ended data at some server but
// CRLF.CRLF is content here (SMTP smuggling, December 2023, and its variants since),
// in which only one message is ever seen. By default it is refused; repaired,
// nothing is left of it.
func TestNothingIsSmuggledIn(t *testing.T) {
	ends := []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\x00\n", "\x00\r\n", "\r\x00\n", "\r\n\x00", "\x00", "\x85", "\v", "\f", "\u2028"}
	tried := 0
	for _, before := range ends {
		for _, after := range ends {
			if before+"."+after == "\r\n.\r\n" {
				continue
			}
			if strings.HasSuffix(before, "\r\n") && after == "\r\n" {
				continue // CR CR LF and NUL CR LF end with CRLF: an end of data, and what is before it is refused
			}
			if strings.HasSuffix(before, "\r\n") && after == "\r\n\x00" {
				continue // an end of data, and a NUL in the command behind it
			}
			tried++
			smuggled := "MAIL FROM:<smuggled@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: forged\r\n"
			content := "Subject: x\r\n\r\ntext" + before + "." + after + smuggled
			input := "HELO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + content + ".\r\nQUIT\r\n"
			bare := strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n\x00")

			replies, accepted, _ := run(0, []byte(input), 1<<20, 0)
			if n := strings.Count(replies, "\r\n354 "); n != 1 || strings.Contains(replies, "smuggled") {
				t.Errorf("%q: %d messages: %s", before+"."+after, n, replies)
			}
			if bare != (len(accepted) == 0) || bare != strings.Contains(replies, "\r\n554 5.6.0") {
				t.Errorf("%q: accepted %q: %s", before+"."+after, accepted, replies)
			}
			input = strings.Replace(input, "HELO", "LHLO", 1)
			replies, accepted, _ = run(2, []byte(input), 1<<20, 0)
			if n := strings.Count(replies, "\r\n354 "); n != 1 || len(accepted) != 1 || strings.Contains(replies, "smuggled") {
				t.Fatalf("%q, repaired: %d messages, accepted %q: %s", before+"."+after, n, accepted, replies)
			}
			if strings.ContainsAny(strings.ReplaceAll(accepted[0], "\r\n", ""), "\r\n\x00") {
				t.Errorf("%q, repaired: %q", before+"."+after, accepted[0])
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d sequences", tried)
	}
}
