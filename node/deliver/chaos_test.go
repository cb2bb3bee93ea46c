package deliver

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// Whatever a peer answers and whenever it goes away: each transaction is
// reported once (the feed checks), what is reported as delivered was
// acknowledged by the peer, and what is reported as failed was not.
func TestChaos(t *testing.T) {
	replies := []string{"", "", "", "", "", "", "", "", "250 fine", "450 4.7.1 later", "550 5.7.1 never", "421 4.3.2 bye", "drop",
		"nonsense", "250-a\r\n250 b", "503 5.5.1 out of order", "354 more", "250 one\r\n250 two"}
	rapid.Check(t, func(r *rapid.T) {
		dialect := rapid.SampledFrom([]string{"nothing", "pipelining", "chunking alone", "pipelining+chunking", "all"}).Draw(r, "dialect")
		f := &fake{ext: combinations[dialect], lmtp: rapid.Bool().Draw(r, "lmtp")}
		choices := rapid.SliceOfN(rapid.IntRange(0, len(replies)-1), 1, 60).Draw(r, "replies")
		step := 0
		lied := map[string]bool{}
		f.script = func(verb, _ string) string {
			switch verb {
			case "MAIL", "RCPT", "DATA", "DOT", "BDAT", "RSET":
			default:
				return ""
			}
			if step++; step >= len(choices) {
				return ""
			}
			s := replies[choices[step]]
			if strings.Count(s, "\r\n") > 0 && strings.HasPrefix(s, "250 ") {
				lied["twice"] = true // from here on its replies mean nothing
			}
			return s
		}
		var list []*mail.Transaction
		for i := range rapid.IntRange(1, 12).Draw(r, "messages") {
			var to []string
			for j := range rapid.IntRange(1, 3).Draw(r, "recipients") {
				to = append(to, fmt.Sprintf("m%dr%d@x.example", i, j))
			}
			list = append(list, message(body, to...))
		}
		hop := smartHost()
		if f.lmtp {
			hop.Kind = mail.HopLMTP
		}
		feed := newFeed(t, list...)
		err := serve(t, hop, feed, f.serve)
		for a, got := range feed.check() {
			switch {
			case len(lied) > 0:
			case strings.HasPrefix(got, "delivered") && f.taken[a] == 0:
				r.Fatalf("%s is reported as delivered, and the peer never took it (Serve: %v)", a, err)
			case strings.HasPrefix(got, "failed") && f.taken[a] > 0:
				r.Fatalf("%s is reported as failed, and the peer took it", a)
			case strings.HasPrefix(got, "delivered") && f.taken[a] > 1:
				r.Fatalf("%s was sent %d times in one Serve", a, f.taken[a])
			}
		}
		if t.Failed() {
			r.FailNow()
		}
	})
}
