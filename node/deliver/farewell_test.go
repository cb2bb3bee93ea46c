package deliver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// slowContent stops in the middle of itself for a second.
type slowContent struct{ inMemory }

func (c slowContent) Open() (io.ReadCloser, error) {
	half := len(c.inMemory) / 2
	return io.NopCloser(io.MultiReader(bytes.NewReader(c.inMemory[:half]), pause(time.Second), bytes.NewReader(c.inMemory[half:]))), nil
}

// pause is a reader without octets, which takes its time to say so.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	time.Sleep(time.Duration(p))
	return 0, io.EOF
}

// The same while the content is on its way: a message that goes over another connection is
// not made whole over this one.
func TestContentEndsWithTheFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := message(strings.Repeat(body, 4000), "long@x.example")
		long.Content = slowContent{long.Content.(inMemory)}
		var taken atomic.Int32
		d := &pipeDialer{}
		d.server = func(n int, conn net.Conn) {
			s, mails := &raw{conn, bufio.NewReader(conn)}, 0
			s.greet("fake.example", "PIPELINING", "CHUNKING")
			for {
				line, err := s.r.ReadString('\n')
				if err != nil || line == "QUIT\r\n" {
					s.say("221 bye\r\n")
					return
				}
				verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
				if verb == "MAIL" {
					if mails++; n == 0 && mails == 2 {
						s.say("421 4.7.0 enough for now\r\n")
					}
				}
				if verb == "BDAT" {
					var size int64
					_, _ = fmt.Sscan(rest, &size)
					if _, err := io.CopyN(io.Discard, s.r, size); err == nil && size == long.Content.Size() {
						taken.Add(1)
					}
				}
				if n > 0 || mails < 2 {
					s.say("250 ok\r\n")
				}
			}
		}
		feed := newFeed(t, many(1)[0])
		feed.idle = func() bool {
			feed.mu.Lock()
			defer feed.mu.Unlock()
			feed.todo = append(feed.todo, long)
			feed.idle = nil
			return true
		}
		if err := serveBy(t, d, smartHost(), feed); err != nil {
			t.Error(err)
		}
		feed.expect(map[string]string{"u0@x.example": "delivered 2.0.0", "long@x.example": "delivered 2.0.0"})
		if n := taken.Load(); n != 1 {
			t.Errorf("the host has the message %d times", n)
		}
	})
}

// A host that refuses content before its end may say so at the end again. That is no answer
// to what comes next, which goes over another connection.
func TestRefusedTwice(t *testing.T) {
	for _, keyword := range []string{"HELP", "PIPELINING"} {
		for _, again := range []string{"552 5.3.4 too big\r\n", ""} {
			synctest.Test(t, func(t *testing.T) {
				connections := 0
				d := &pipeDialer{}
				d.server = func(n int, conn net.Conn) {
					connections = max(connections, n+1)
					s := &raw{conn, bufio.NewReader(conn)}
					s.greet("fake.example", "LIMITS RCPTMAX=1", keyword)
					for {
						line, err := s.r.ReadString('\n')
						switch {
						case err != nil:
							return
						case line != "DATA\r\n":
							s.say("250 ok\r\n")
						case n == 0:
							s.say("354 go on\r\n")
							_, _ = s.r.ReadByte()
							s.say("552 5.3.4 too big\r\n")
							s.until(".\r\n")
							s.say(again)
						default:
							s.say("354 go on\r\n")
							s.until(".\r\n")
							s.say("250 2.0.0 taken\r\n")
						}
					}
				}
				m := message(strings.Repeat(body, 4000), "one@x.example", "two@x.example")
				m.Content = slowContent{m.Content.(inMemory)}
				feed := newFeed(t, m)
				if err := serveBy(t, d, smartHost(), feed); err != nil {
					t.Errorf("%s: %v", keyword, err)
				}
				feed.expect(map[string]string{"one@x.example": "failed 5.3.4", "two@x.example": "delivered 2.0.0"})
				if connections != 2 {
					t.Errorf("%s: %d connections", keyword, connections)
				}
			})
		}
	}
}
