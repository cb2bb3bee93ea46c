package deliver

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// combinations of extensions that lead through different code.
var combinations = map[string][]string{
	"nothing":             nil,
	"pipelining":          {"PIPELINING"},
	"chunking alone":      {"CHUNKING"},
	"pipelining+chunking": {"PIPELINING", "CHUNKING"},
	"all":                 {"PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 100000", "ENHANCEDSTATUSCODES"},
}

func TestDelivery(t *testing.T) {
	for name, ext := range combinations {
		for _, lmtp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lmtp=%v", name, lmtp), func(t *testing.T) {
				f := &fake{ext: ext, lmtp: lmtp}
				hop := smartHost()
				if lmtp {
					hop.Kind = mail.HopLMTP
				}
				list := many(40)
				list = append(list, message("Subject: no end of line\r\n\r\nx", "v@x.example", "w@x.example"))
				list = append(list, message("", "empty@x.example"))
				feed := newFeed(t, list...)
				if err := serve(t, hop, feed, f.serve); err != nil {
					t.Fatal(err)
				}
				for a, got := range feed.check() {
					if got != "delivered 2.0.0" {
						t.Errorf("%s: %s", a, got)
					}
				}
				if len(feed.got) != 43 || len(f.bodies) != 42 {
					t.Fatalf("%d outcomes, %d messages at the peer", len(feed.got), len(f.bodies))
				}
				for _, b := range f.bodies[:40] {
					if b != body {
						t.Fatalf("content changed on its way: %q", b)
					}
				}
				if got := strings.TrimSuffix(f.bodies[40], "\r\n"); got != "Subject: no end of line\r\n\r\nx" {
					t.Errorf("content without a line end: %q", got)
				}
				if f.lines[len(f.lines)-1] != "QUIT" {
					t.Errorf("last command %q", f.lines[len(f.lines)-1])
				}
			})
		}
	}
}

// Refusals must hit the message or the recipient they are meant for, and no
// other, in every dialect.
func TestRefusals(t *testing.T) {
	script := func(verb, line string) string {
		switch {
		case verb == "MAIL" && strings.Contains(line, "bad-sender"):
			return "550 5.7.1 not you"
		case verb == "MAIL" && strings.Contains(line, "grey"):
			return "450 4.7.1 later"
		case verb == "RCPT" && strings.Contains(line, "nobody"):
			return "550-5.1.1 no such\r\n550 5.1.1 user"
		case verb == "RCPT" && strings.Contains(line, "full"):
			return "452 4.2.2 full"
		case verb == "RCPT" && strings.Contains(line, "toomany"):
			return "552 too many recipients"
		case verb == "RCPT" && strings.Contains(line, "forwarded"):
			return "251 2.1.5 not here; will go to <x@y.example>"
		case verb == "RCPT" && strings.Contains(line, "moved"):
			return "551 5.1.6 not here; try <x@y.example>"
		case verb == "RCPT" && strings.Contains(line, "nomail"):
			return "556 5.1.10 takes no mail" // RFC 7504 section 4
		}
		return ""
	}
	from := func(s string, t *mail.Transaction) *mail.Transaction { t.Envelope.From = address(s); return t }
	for name, ext := range combinations {
		for _, lmtp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lmtp=%v", name, lmtp), func(t *testing.T) {
				f := &fake{ext: ext, lmtp: lmtp, script: script}
				hop := smartHost()
				if lmtp {
					hop.Kind = mail.HopLMTP
				}
				feed := newFeed(t,
					message(body, "first@x.example"),
					from("bad-sender@a.example", message(body, "b1@x.example", "b2@x.example")),
					message(body, "nobody@x.example"),
					message(body, "after@x.example"),
					message(body, "ok1@x.example", "nobody2@x.example", "full@x.example", "ok2@x.example", "toomany@x.example"),
					from("grey@a.example", message(body, "g@x.example")),
					message(body, "forwarded@x.example", "moved@x.example", "nomail@x.example"),
					message(body, "last@x.example"),
				)
				if err := serve(t, hop, feed, f.serve); err != nil {
					t.Fatal(err)
				}
				feed.expect(map[string]string{
					"first@x.example": "delivered 2.0.0", "after@x.example": "delivered 2.0.0", "last@x.example": "delivered 2.0.0",
					"b1@x.example": "failed 5.7.1", "b2@x.example": "failed 5.7.1", "nobody@x.example": "failed 5.1.1",
					"ok1@x.example": "delivered 2.0.0", "ok2@x.example": "delivered 2.0.0", "nobody2@x.example": "failed 5.1.1",
					"full@x.example": "deferred 4.2.2", "toomany@x.example": "deferred 4.5.3", "g@x.example": "deferred 4.7.1",
					"forwarded@x.example": "delivered 2.0.0", "moved@x.example": "failed 5.1.6", "nomail@x.example": "failed 5.1.10",
				})
				if len(f.bodies) != 5 {
					t.Errorf("%d messages at the peer, want 5", len(f.bodies))
				}
				if o := feed.got["nobody@x.example"]; o.Reply == nil || o.Reply.String() != "550 5.1.1 no such user" || o.Remote != "[192.0.2.1]:25" {
					t.Errorf("what the host said is lost: %+v", o)
				}
			})
		}
	}
}

func TestLMTPAnswersForEachRecipient(t *testing.T) {
	for name, ext := range combinations {
		t.Run(name, func(t *testing.T) {
			n := 0
			f := &fake{ext: ext, lmtp: true, script: func(verb, line string) string {
				switch {
				case verb == "RCPT" && strings.Contains(line, "nobody"):
					return "550 5.1.1 no"
				case verb == "DOT" || verb == "BDAT":
					n++
					return []string{"", "250 2.1.5 one", "552 5.2.2 full", "451 4.3.0 later"}[n]
				}
				return ""
			}}
			hop := smartHost()
			hop.Kind = mail.HopLMTP
			feed := newFeed(t, message(body, "one@x.example", "nobody@x.example", "two@x.example", "three@x.example"))
			if err := serve(t, hop, feed, f.serve); err != nil {
				t.Fatal(err)
			}
			feed.expect(map[string]string{"one@x.example": "delivered 2.1.5", "nobody@x.example": "failed 5.1.1",
				"two@x.example": "failed 5.2.2", "three@x.example": "deferred 4.3.0"})
			if feed.got["one@x.example"].Relayed {
				t.Error("LMTP delivery counts as relayed")
			}
			hop.ConnectorName = "fax" // a gateway
			feed = newFeed(t, message(body, "one@x.example"))
			if err := serve(t, hop, feed, (&fake{ext: ext, lmtp: true}).serve); err != nil {
				t.Fatal(err)
			}
			if feed.check(); !feed.got["one@x.example"].Relayed {
				t.Error("a gateway counts as the mailbox")
			}
		})
	}
}

// A peer that lies, drops or babbles costs its connection. What it had answered to whole
// transactions stands, everything else is deferred, nothing is reported twice (the feed
// checks), and what it refused in the transaction that it got out of step in is tried again.
func TestBadPeers(t *testing.T) {
	count := func(verb string, n int, reply string) func() func(string, string) string {
		return func() func(string, string) string {
			seen := 0
			return func(v, _ string) string {
				if v == verb {
					if seen++; seen == n {
						return reply
					}
				}
				return ""
			}
		}
	}
	for name, c := range map[string]struct {
		script func() func(string, string) string
		status string
		done   int // messages delivered before
	}{
		"drops at the second end":        {count("BDAT", 2, "drop"), "deferred 4.4.2", 1},
		"drops at MAIL":                  {count("MAIL", 3, "drop"), "deferred 4.4.2", 2},
		"says 421":                       {count("RCPT", 3, "421 4.3.2 going down"), "deferred 4.3.2", 2},
		"says 421 without status":        {count("RCPT", 3, "421 going down"), "deferred 4.4.2", 2},
		"two codes in a reply":           {count("BDAT", 2, "250-a\r\n550 b"), "deferred 4.5.0", 1},
		"not a reply":                    {count("MAIL", 2, "hello"), "deferred 4.5.0", 1},
		"binary garbage":                 {count("MAIL", 2, "\x00\xff\x01"), "deferred 4.5.0", 1},
		"an endless line":                {count("MAIL", 2, "250 "+strings.Repeat("x", 5000)), "deferred 4.5.0", 1},
		"endless lines":                  {count("MAIL", 2, strings.Repeat("250-x\r\n", 200)+"250 x"), "deferred 4.5.0", 1},
		"a bare LF":                      {count("MAIL", 2, "250 a\n250 b"), "deferred 4.5.0", 1},
		"500 for MAIL":                   {count("MAIL", 2, "500 what?"), "deferred 4.5.0", 1},
		"503 for the end":                {count("BDAT", 2, "503 what?"), "deferred 4.5.0", 1},
		"354 for MAIL":                   {count("MAIL", 2, "354 go on"), "deferred 4.5.0", 1},
		"takes what it had refused":      {count("MAIL", 2, "550 5.7.1 no\r\n250 ok\r\n250 taken"), "deferred 4.5.0", 1},
		"answers before it was asked to": {count("BDAT", 5, strings.Repeat("250 ok\r\n", 40)+"250 ok"), "deferred 4.5.0", 5},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{ext: []string{"PIPELINING", "CHUNKING", "XPOSTROAD"}, script: c.script()}
			feed := newFeed(t, many(5)...)
			err := serve(t, smartHost(), feed, f.serve)
			e := connectError(t, err)
			if !e.Temporary {
				t.Error("a bad peer is no permanent failure of the hop")
			}
			counts := map[string]int{}
			for _, got := range feed.check() {
				counts[got]++
			}
			if counts["delivered 2.0.0"]+counts["delivered 2.0.0 "] < min(c.done, 4) || counts[c.status] != len(feed.got)-c.done && c.done < 5 {
				t.Errorf("outcomes %v, want %d delivered and the rest %s", counts, c.done, c.status)
			}
		})
	}
}

// After a broken peer the connection is lost, not the process: silence ends in
// the time RFC 5321 gives, or a smart host's minute for the greeting, without real
// waiting.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		verb  string
		after time.Duration
	}{{"CONNECT", time.Minute}, {"EHLO", time.Minute}, {"MAIL", 5 * time.Minute}, {"RCPT", 5 * time.Minute}, {"DATA", 2 * time.Minute}, {"DOT", 10 * time.Minute}, {"BDAT", 10 * time.Minute}} {
		t.Run(c.verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ext := []string{"PIPELINING"}
				if c.verb == "BDAT" {
					ext = append(ext, "CHUNKING")
				}
				f := &fake{ext: ext, script: func(verb, _ string) string {
					if verb == c.verb {
						return "hang"
					}
					return ""
				}}
				feed := newFeed(t, many(3)...)
				start := time.Now()
				e := connectError(t, serve(t, smartHost(), feed, f.serve))
				if e.Outcome.Status != mail.StatusDropped || !strings.Contains(e.Outcome.Text, "silent") {
					t.Errorf("outcome %+v", e.Outcome)
				}
				if took := time.Since(start); took < c.after || took > c.after+c.after/4 {
					t.Errorf("gave up after %v, want %v", took, c.after)
				}
			})
		})
	}
}

// Each answer has all of its time (RFC 5321 section 4.5.3.2), however soon after the one
// before its wait begins.
func TestEachAnswerHasItsTime(t *testing.T) {
	for _, before := range []time.Duration{0, time.Second, 10 * time.Second, 30 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			long := outsideTimeouts
			d := &pipeDialer{server: func(_ int, conn net.Conn) {
				s := &raw{conn, bufio.NewReader(conn)}
				s.greet("fake.example", "PIPELINING")
				s.until("DATA")
				for _, a := range []struct {
					after time.Duration
					says  string
				}{{before, "250 ok\r\n"}, {long.Rcpt - time.Second, "250 ok\r\n"}, {before, "250 ok\r\n"}, {long.Data - time.Second, "354 go on\r\n"}} {
					time.Sleep(a.after)
					s.say(a.says)
				}
				s.until(".\r\n")
				time.Sleep(long.End - time.Second)
				s.say("250 2.0.0 taken\r\n")
				s.until("QUIT")
			}}
			feed := newFeed(t, message(body, "one@x.example", "two@x.example"))
			if err := serveBy(t, d, smartHost(), feed); err != nil {
				t.Errorf("%v before: %v", before, err)
			}
			feed.expect(map[string]string{"one@x.example": "delivered 2.0.0", "two@x.example": "delivered 2.0.0"})
		})
	}
}

// A peer that answers octet by octet, one that floods its greeting, and one that goes
// away within the content cost a connection and no more time than silence.
func TestSlowAndLoud(t *testing.T) {
	flood := strings.Repeat("220-x\r\n", 100000) + "220 x"
	for name, c := range map[string]struct {
		verb, does string
		within     time.Duration
		outcome    string // of the messages; "": none was taken
		says       string
	}{
		"greeting, dripping":    {"CONNECT", "drip", time.Minute, "", "went silent"},
		"EHLO, dripping":        {"EHLO", "drip", time.Minute, "", "went silent"},
		"MAIL, dripping":        {"MAIL", "drip", 5 * time.Minute, "deferred 4.4.2", "went silent"},
		"DATA, dripping":        {"DATA", "drip", 5 * time.Minute, "deferred 4.4.2", "went silent"},
		"the end, dripping":     {"DOT", "drip", 10 * time.Minute, "deferred 4.4.2", "went silent"},
		"greeting without end":  {"CONNECT", flood, 0, "", "more than 128 lines"},
		"gone within content":   {"DATA", "cut", 0, "deferred 4.4.2", "connection was lost"},
		"gone after greeting":   {"EHLO", "drop", 0, "", "connection was lost"},
		"NUL in the greeting":   {"CONNECT", "220 a\x00b", 0, "", "CR or NUL"},
		"EHLO again and again":  {"EHLO", strings.Repeat("250 a\r\n", 20) + "250 a", 0, "", "does not keep to the protocol"},
		"a greeting of its own": {"CONNECT", "SSH-2.0-OpenSSH_9.2", 0, "", "is not a reply line"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{ext: []string{"PIPELINING"}, script: func(verb, _ string) string {
					if verb == c.verb {
						return c.does
					}
					return ""
				}}
				feed := newFeed(t, many(3)...)
				start := time.Now()
				e := connectError(t, serve(t, smartHost(), feed, f.serve))
				if took := time.Since(start); took > c.within+c.within/4+10*time.Second {
					t.Errorf("took %v, want %v", took, c.within)
				}
				if !e.Temporary || !strings.Contains(e.Error(), c.says) {
					t.Errorf("error %v", e)
				}
				got := feed.check()
				if (len(got) == 0) != (c.outcome == "") {
					t.Errorf("outcomes %v", got)
				}
				for a, o := range got {
					if o != c.outcome {
						t.Errorf("%s: %s", a, o)
					}
				}
			})
		})
	}
}
