package deliver

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// An idle peer that leaves is no failure, and the message that meets the closed
// door goes over a second connection without a deferral.
func TestIdleCloseAndReuse(t *testing.T) {
	var feed *listFeed
	f := &fake{ext: []string{"PIPELINING", "CHUNKING"}}
	gone := make(chan struct{})
	server := func(n int, c net.Conn) {
		f.serve(n, c)
		if n == 0 {
			close(gone)
		}
	}
	seen := 0
	f.script = func(verb, _ string) string {
		if verb == "BDAT" {
			if seen++; seen == 1 {
				return "250 2.0.0 taken\r\n421 4.4.2 idle too long"
			}
		}
		return ""
	}
	feed = newFeed(t, message(body, "one@x.example"))
	waits := 0
	feed.idle = func() bool {
		if waits++; waits > 1 {
			return false
		}
		feed.mu.Lock()
		feed.todo = append(feed.todo, message(body, "two@x.example"))
		feed.mu.Unlock()
		return true
	}
	if err := serve(t, smartHost(), feed, server); err != nil {
		t.Fatal(err)
	}
	<-gone
	got := feed.check()
	if got["one@x.example"] != "delivered 2.0.0" {
		t.Errorf("outcomes %v", got)
	}
	// The second either was never taken, left for the next Serve, or went over a
	// connection of its own.
	if two, ok := got["two@x.example"]; ok && two != "delivered 2.0.0" {
		t.Errorf("the second message met the closed door: %s", two)
	}
}

// A host that wants few messages a connection gets few, and no message waits for it.
func TestHostsThatEndAfterAFew(t *testing.T) {
	for name, ext := range combinations {
		t.Run(name, func(t *testing.T) {
			f := &fake{ext: ext}
			connections, seen := 0, 0
			f.script = func(verb, _ string) string {
				switch verb {
				case "CONNECT":
					connections++
					seen = 0
				case "MAIL":
					if seen++; seen > 3 {
						return "421 4.7.0 enough for now"
					}
				}
				return ""
			}
			feed := newFeed(t, many(10)...)
			if err := serve(t, smartHost(), feed, f.serve); err != nil {
				t.Fatal(err)
			}
			for a, got := range feed.check() {
				if got != "delivered 2.0.0" {
					t.Errorf("%s: %s", a, got)
				}
			}
			if connections != 4 || len(f.bodies) != 10 {
				t.Errorf("%d connections, %d messages", connections, len(f.bodies))
			}
		})
	}
}

func TestManyRecipientsAreSplit(t *testing.T) {
	for name, c := range map[string]struct {
		ext  []string
		want []int
	}{
		"default":  {[]string{"PIPELINING", "CHUNKING"}, []int{100, 100, 50}},
		"declared": {[]string{"PIPELINING", "LIMITS RCPTMAX=120"}, []int{120, 120, 10}},
		"domains":  {[]string{"PIPELINING", "CHUNKING", "LIMITS RCPTDOMAINMAX=1"}, []int{84, 83, 83}},
		"both":     {[]string{"PIPELINING", "LIMITS RCPTMAX=80 RCPTDOMAINMAX=2"}, []int{80, 80, 7, 80, 3}},
		"plenty":   {[]string{"PIPELINING", "LIMITS RCPTDOMAINMAX=3"}, []int{100, 100, 50}},
	} {
		t.Run(name, func(t *testing.T) {
			var to []string
			for i := range 250 {
				to = append(to, fmt.Sprintf("r%d@%s.example", i, [...]string{"x", "y", "Z"}[i%3]))
			}
			feed := newFeed(t, message(body, to...))
			f := &fake{ext: c.ext}
			if err := serve(t, smartHost(), feed, f.serve); err != nil {
				t.Fatal(err)
			}
			var groups []int
			for _, l := range f.lines {
				switch {
				case strings.HasPrefix(l, "MAIL"):
					groups = append(groups, 0)
				case strings.HasPrefix(l, "RCPT"):
					groups[len(groups)-1]++
				}
			}
			if !slices.Equal(groups, c.want) || len(feed.got) != 250 {
				t.Errorf("groups %v, want %v; %d outcomes", groups, c.want, len(feed.got))
			}
		})
	}
}

// A host that takes few messages on a connection, and few recipients with each: what it did
// not come to of a message with many goes over the next connection, at once.
func TestManyRecipientsAtHostsThatEndAfterAFew(t *testing.T) {
	for limits, c := range map[string]struct {
		ext    string
		enough int // MAIL that the host takes on a connection before it says 421
	}{
		"declared": {"LIMITS MAILMAX=3 RCPTMAX=10", 3},
		"421":      {"LIMITS RCPTMAX=10", 3},
		"one":      {"LIMITS MAILMAX=1 RCPTMAX=10", 1},
	} {
		for name, ext := range combinations {
			t.Run(limits+"/"+name, func(t *testing.T) {
				f := &fake{ext: append(slices.Clone(ext), c.ext)}
				connections, seen, enough := 0, 0, 0
				f.script = func(verb, line string) string {
					switch {
					case verb == "CONNECT":
						connections++
						seen = 0
					case verb == "MAIL":
						if seen++; seen > c.enough {
							enough++
							return "421 4.7.0 enough for now"
						}
					case line == "RCPT TO:<r7@x.example>":
						return "550 5.1.1 nobody"
					}
					return ""
				}
				want := map[string]string{"u0@x.example": "delivered 2.0.0", "u1@x.example": "delivered 2.0.0"}
				var to []string
				for i := range 75 {
					to = append(to, fmt.Sprintf("r%d@x.example", i))
					want[to[i]] = "delivered 2.0.0"
				}
				want["r7@x.example"] = "failed 5.1.1"
				few := many(2)
				feed := newFeed(t, few[0], message(body, to...), few[1])
				for len(feed.todo) > 0 { // each connection that ends in peace is followed by another
					if err := serve(t, smartHost(), feed, f.serve); err != nil {
						t.Fatal(err)
					}
				}
				feed.expect(want)
				if wanted := (10 + c.enough - 1) / c.enough; connections != wanted || len(f.bodies) != 10 {
					t.Errorf("%d connections, want %d; %d messages", connections, wanted, len(f.bodies))
				}
				if declared := strings.Contains(c.ext, "MAILMAX"); declared && enough > 0 {
					t.Errorf("asked %d times for more than was declared", enough)
				}
			})
		}
	}
}

func TestMaxTransactions(t *testing.T) {
	f := &fake{ext: []string{"PIPELINING", "CHUNKING", "LIMITS MAILMAX=3"}}
	feed := newFeed(t, many(5)...)
	if err := serve(t, smartHost(), feed, f.serve); err != nil {
		t.Fatal(err)
	}
	if len(feed.got) != 3 || len(feed.todo) != 2 {
		t.Errorf("%d sent, %d left", len(feed.got), len(feed.todo))
	}
}

// The same by a setting, which is for hosts outside.
func TestMessagesPerConnection(t *testing.T) {
	for kind, want := range map[mail.HopKind]int{mail.HopSmartHost: 2, mail.HopLMTP: 2} {
		f := &fake{lmtp: kind == mail.HopLMTP, ext: []string{"PIPELINING", "CHUNKING"}}
		hop := smartHost()
		hop.Kind = kind
		feed := newFeed(t, many(5)...)
		if err := serve(t, hop, feed, f.serve, func(o *Options) { o.Settings = func(mail.Hop) Settings { return Settings{MaxTransactions: 2} } }); err != nil {
			t.Fatal(err)
		}
		if len(feed.got) != want {
			t.Errorf("%v: %d sent over one connection, want %d", kind, len(feed.got), want)
		}
	}
}
