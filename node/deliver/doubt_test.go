package deliver

import (
	"bufio"
	"fmt"
	"net"
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

// A host that says 354 and goes away gets no content: what it would make of that nobody
// would tell, and the message would go over another connection, too.
func TestGoingAwayAfterThe354(t *testing.T) {
	for _, keywords := range [][]string{nil, {"PIPELINING"}} {
		connections, taken := 0, 0
		d := &pipeDialer{tcp: true}
		d.server = func(_ int, conn net.Conn) {
			connections++
			s := &raw{conn, bufio.NewReader(conn)}
			s.greet(append([]string{"fake.example"}, keywords...)...)
			for {
				line, err := s.r.ReadString('\n')
				switch {
				case err != nil, line == "QUIT\r\n":
					return
				case line == ".\r\n":
					taken++
					s.say("250 2.0.0 taken\r\n")
				case line == "DATA\r\n" && taken == 1:
					s.say("354 go on\r\n421 4.3.2 going down\r\n")
				case line == "DATA\r\n":
					s.say("354 go on\r\n")
				case strings.HasPrefix(line, "MAIL"), strings.HasPrefix(line, "RCPT"), line == "RSET\r\n":
					s.say("250 ok\r\n")
				}
			}
		}
		feed := newFeed(t, message(body, "one@x.example"), message(body, "two@x.example"))
		e := connectError(t, serveBy(t, d, smartHost(), feed))
		feed.expect(map[string]string{"one@x.example": "delivered 2.0.0", "two@x.example": "deferred 4.3.2"})
		if !e.Temporary || taken != 1 || connections != 1 {
			t.Errorf("%q: %v; %d connections took %d messages", keywords, e, connections, taken)
		}
	}
}

// A number that means "not understood" is believed only where nothing beside it says
// that the command was: else one user who does not exist would hold up a link for ever.
func TestOddNumbers(t *testing.T) {
	for reply, want := range map[string]string{
		"500 5.1.1 no such user": "failed 5.1.1", "503 5.7.1 not from you": "failed 5.7.1", "502 5.2.1 closed": "failed 5.2.1",
		"500 what?": "deferred 4.5.0", "503 5.5.1 MAIL first": "deferred 4.5.0", "500 5.0.0 no": "deferred 4.5.0",
	} {
		for _, verb := range []string{"MAIL", "RCPT"} {
			f := &fake{ext: []string{"PIPELINING"}, script: func(v, line string) string {
				if v == verb && strings.Contains(line, "odd") {
					return reply
				}
				return ""
			}}
			odd := message(body, "odd@x.example")
			odd.Envelope.From = address("odd@a.example")
			feed := newFeed(t, message(body, "before@x.example"), odd, message(body, "after@x.example"))
			err := serve(t, smartHost(), feed, f.serve)
			got := feed.check()
			if got["before@x.example"] != "delivered 2.0.0" || got["odd@x.example"] != want || (err == nil) != (want[0] == 'f') ||
				err == nil && got["after@x.example"] != "delivered 2.0.0" {
				t.Errorf("%s at %s: %v, %v", reply, verb, got, err)
			}
		}
	}
}
