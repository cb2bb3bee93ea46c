package deliver

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// To a host that answers a command and goes away nothing more is said, least of all content:
// the message goes over another connection, so the host would have it twice.
func TestNothingAfterTheFarewell(t *testing.T) {
	for _, at := range []string{"MAIL", "RCPT"} {
		for _, form := range []mail.BodyType{mail.Body7Bit, mail.BodyBinaryMIME} {
			var after []string // said by the client after the farewell
			taken := map[string]int{}
			d := &pipeDialer{tcp: true}
			d.server = func(n int, conn net.Conn) {
				s, gone, to := &raw{conn, bufio.NewReader(conn)}, false, ""
				s.greet("fake.example", "CHUNKING", "8BITMIME", "BINARYMIME")
				for {
					line, err := s.r.ReadString('\n')
					if err != nil || line == "QUIT\r\n" {
						return
					}
					if gone {
						after = append(after, line)
					}
					verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
					if verb == "RCPT" {
						to = line
					}
					switch {
					case verb == at && n == 0 && len(taken) == 1:
						s.say("250 ok\r\n421 4.3.2 going down\r\n")
						gone = true
					case verb == "DATA":
						s.say("354 go on\r\n")
						if s.until(".\r\n") {
							taken[to]++
						}
						s.say("250 2.0.0 taken\r\n")
					case verb == "BDAT":
						if _, err := io.CopyN(io.Discard, s.r, int64(len(body))); err == nil {
							taken[to]++
						}
						s.say("250 2.0.0 taken\r\n")
					default:
						s.say("250 ok\r\n")
					}
				}
			}
			m := many(2)
			m[1].Envelope.Body = form
			feed := newFeed(t, m...)
			if err := serveBy(t, d, smartHost(), feed); err != nil {
				t.Errorf("%s, %v: %v", at, form, err)
			}
			feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0", "u1@x.example": "delivered 2.0.0"})
			if len(after) > 0 || taken["RCPT TO:<u1@x.example>\r\n"] != 1 {
				t.Errorf("%s, %v: after the farewell %q; taken %v", at, form, after, taken)
			}
		}
	}
}
