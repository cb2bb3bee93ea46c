package deliver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// A connection that is lost after the end of a message leaves a doubt, and only one:
// whoever was not answered is tried again, as the peer may or may not have taken it
// (RFC 5321 section 4.5.4.1, RFC 1047). Nobody is returned, and no answer is forgotten.
func TestLostAfterTheDot(t *testing.T) {
	for name, ext := range combinations {
		for _, lmtp := range []bool{false, true} {
			for _, how := range []string{"drop", "421 4.3.2 going down"} {
				t.Run(fmt.Sprintf("%s/lmtp=%v/%s", name, lmtp, how[:4]), func(t *testing.T) {
					ends := 0
					f := &fake{ext: ext, lmtp: lmtp, script: func(verb, _ string) string {
						if verb != "DOT" && verb != "BDAT" {
							return ""
						}
						// The first message has one recipient. Of the second an LMTP peer
						// answers for the first recipient, and is gone.
						if ends++; ends == 2 && !lmtp || ends == 3 {
							return how
						}
						return ""
					}}
					hop := smartHost()
					if lmtp {
						hop.Kind = mail.HopLMTP
					}
					feed := newFeed(t, message(body, "before@x.example"), message(body, "one@x.example", "two@x.example"), message(body, "after@x.example"))
					e := connectError(t, serve(t, hop, feed, f.serve))
					if !e.Temporary {
						t.Errorf("%v", e)
					}
					doubt := "deferred 4.4.2"
					if how != "drop" {
						doubt = "deferred 4.3.2"
					}
					want := map[string]string{"before@x.example": "delivered 2.0.0", "one@x.example": doubt, "two@x.example": doubt, "after@x.example": doubt}
					if lmtp {
						want["one@x.example"] = "delivered 2.0.0"
					}
					if len(feed.got) == 3 { // without pipelining the last one was not taken yet
						delete(want, "after@x.example")
					}
					feed.expect(want)
					if o := feed.got["two@x.example"]; how == "drop" && !strings.Contains(o.Text, "the end of the message") {
						t.Errorf("the doubt is not told: %s", o.Text)
					}
					if len(f.bodies) != 2 {
						t.Errorf("the peer took %d messages", len(f.bodies))
					}
				})
			}
		}
	}
}
