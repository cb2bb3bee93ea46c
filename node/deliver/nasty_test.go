package deliver

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// raw is a host that says octets, whatever was asked.
type raw struct {
	c net.Conn
	r *bufio.Reader
}

// until reads lines up to the one that begins with verb; false: the client is gone.
func (s *raw) until(verb string) bool {
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.HasPrefix(l, verb) {
			return true
		}
	}
}

func (s *raw) say(lines string) { _, _ = io.WriteString(s.c, lines) }

func (s *raw) drip(line string) {
	for i := range len(line) {
		_, _ = io.WriteString(s.c, line[i:i+1])
	}
}

func (s *raw) reset() {
	_ = s.c.(*net.TCPConn).SetLinger(0)
	_ = s.c.Close()
}

// greet says what every host does first, with the keywords.
func (s *raw) greet(keywords ...string) bool {
	s.say("220 nasty.example\r\n")
	if !s.until("EHLO") {
		return false
	}
	for _, k := range keywords {
		s.say("250-" + k + "\r\n")
	}
	s.say("250 HELP\r\n")
	return true
}

// Hosts that do what no host should: the first one is such, the second is a good one. Each
// costs its own connection, in no time, and what it says when nobody asked bounces nothing.
func TestNastyHosts(t *testing.T) {
	type row struct {
		host func(s *raw)
		by   int // the connection over which the message was decided
		want string
	}
	pipelined := []string{"nasty.example", "PIPELINING"}
	chunked := []string{"nasty.example", "PIPELINING", "CHUNKING"}
	for name, c := range map[string]row{
		"answers RCPT twice, and refuses": {func(s *raw) {
			s.greet(append(chunked, "ENHANCEDSTATUSCODES")...)
			s.until("end\r\n")
			s.say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n554 5.7.1 no\r\n")
			s.until("QUIT")
		}, 1, "deferred 4.5.0"},
		"answers RCPT twice, and refuses late": {func(s *raw) {
			s.greet(append(chunked, "ENHANCEDSTATUSCODES")...)
			s.until("end\r\n")
			s.say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n")
			s.until("QUIT")
			s.say("554 5.7.1 no\r\n221 2.0.0 bye\r\n")
		}, 1, "deferred 4.5.0"},
		"answers RCPT twice, and goes away": {func(s *raw) {
			s.greet(append(chunked, "ENHANCEDSTATUSCODES")...)
			s.until("end\r\n")
			s.say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n")
			s.until("QUIT")
		}, 1, "deferred 4.4.2"},
		"takes mail with a status of addresses": {func(s *raw) {
			s.greet(append(chunked, "ENHANCEDSTATUSCODES")...)
			s.until("end\r\n")
			s.say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 taken\r\n")
			s.until("QUIT")
			s.say("221 2.0.0 bye\r\n")
		}, 1, "delivered 2.1.5"},
		"octet by octet": {func(s *raw) {
			s.drip("220 nasty.example\r\n")
			s.until("EHLO")
			s.drip("250-nasty.example\r\n250 PIPELINING\r\n")
			s.until("DATA")
			s.drip("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n")
			s.until(".\r\n")
			s.drip("250-2.0.0 one\r\n250 2.0.0 two\r\n")
			s.until("QUIT")
			s.drip("221 bye\r\n")
		}, 1, "delivered 2.0.0"},
		"354 to RCPT": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n354 go on\r\n354 go on\r\n")
				s.until("QUIT")
			}
		}, 1, "deferred 4.5.0"},
		"NUL in a reply": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n250 o\x00k\r\n")
				s.until("QUIT")
			}
		}, 1, "deferred 4.5.0"},
		"reset in the middle of DATA": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n250 ok\r\n354 go\r\n")
				_, _ = s.r.ReadByte()
				s.reset()
			}
		}, 1, "deferred 4.4.2"},
		"reset in the middle of BDAT": {func(s *raw) {
			if s.greet(chunked...) && s.until("BDAT") {
				s.say("250 ok\r\n250 ok\r\n")
				s.reset()
			}
		}, 1, "deferred 4.4.2"},
		"refuses in the middle of DATA and resets": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n250 ok\r\n354 go\r\n")
				_, _ = s.r.ReadByte()
				s.say("552 5.3.4 too big\r\n")
				s.until(".\r\n")
				s.reset()
			}
		}, 1, "failed 5.3.4"},
		"half-close after the greeting": {func(s *raw) {
			s.say("220 nasty.example\r\n")
			_ = s.c.(*net.TCPConn).CloseWrite()
			s.until("QUIT")
		}, 2, "delivered 2.0.0"},
		"half-close after the dot": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n250 ok\r\n354 go\r\n")
				s.until(".\r\n")
				s.say("250 2.0.0 taken\r\n")
				_ = s.c.(*net.TCPConn).CloseWrite()
				s.until("QUIT")
			}
		}, 1, "delivered 2.0.0"},
		"goes after the 250, without QUIT": {func(s *raw) {
			if s.greet(chunked...) && s.until("BDAT") {
				_, _ = io.CopyN(io.Discard, s.r, int64(len(body)))
				s.say("250 ok\r\n250 ok\r\n250 2.0.0 taken\r\n")
			}
		}, 1, "delivered 2.0.0"},
		"talks after 221": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n250 ok\r\n354 go\r\n")
				s.until(".\r\n")
				s.say("250 2.0.0 taken\r\n")
				s.until("QUIT")
				s.say("221 bye\r\n550 one more\r\n" + strings.Repeat("x", 100000))
			}
		}, 1, "delivered 2.0.0"},
		"refuses before it was asked": {func(s *raw) {
			s.say("220 nasty.example\r\n")
			s.until("EHLO")
			s.say("250-nasty.example\r\n250 PIPELINING\r\n550 5.7.1 never\r\n")
			s.until("QUIT")
		}, 2, "delivered 2.0.0"},
		"refuses everything in advance": {func(s *raw) {
			s.say("220 nasty.example\r\n")
			s.until("EHLO")
			s.say("250 nasty.example\r\n" + strings.Repeat("550 5.7.1 never\r\n", 20))
			s.until("QUIT")
		}, 2, "delivered 2.0.0"},
		"takes everything in advance": {func(s *raw) {
			if s.greet(pipelined...) && s.until("DATA") {
				s.say("250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n")
				s.until("QUIT")
			}
		}, 1, "deferred 4.5.0"},
		"a megabyte of banner":    {func(s *raw) { s.say(strings.Repeat("220-welcome\r\n", 80000) + "220 a\r\n"); s.until("QUIT") }, 2, "delivered 2.0.0"},
		"a banner of one line":    {func(s *raw) { s.say("220 " + strings.Repeat("x", 1<<20) + "\r\n"); s.until("QUIT") }, 2, "delivered 2.0.0"},
		"codes that differ":       {func(s *raw) { s.say("220-a\r\n554 b\r\n"); s.until("QUIT") }, 2, "delivered 2.0.0"},
		"no blank after the code": {func(s *raw) { s.say("220x\r\n"); s.until("QUIT") }, 2, "delivered 2.0.0"},
		"garbage for TLS": {func(s *raw) {
			if s.greet("nasty.example", "STARTTLS") && s.until("STARTTLS") {
				s.say("220 go\r\n")
				_, _ = s.r.Peek(1)
				s.say("\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 1<<16))
			}
		}, 2, "delivered 2.0.0"},
		"SMTP for TLS": {func(s *raw) {
			if s.greet("nasty.example", "STARTTLS") && s.until("STARTTLS") {
				s.say("220 go\r\n")
				_, _ = s.r.Peek(1)
				s.say("250 2.0.0 taken\r\n")
			}
		}, 2, "delivered 2.0.0"},
		"keywords that contradict": {func(s *raw) {
			if s.greet("nasty.example", "SIZE 10", "SIZE", "SIZE -1", "SIZE 99999999999999999999", "PIPELINING no", "BINARYMIME", "LIMITS RCPTMAX=0 MAILMAX=-1 RCPTMAX=x", "AUTH", "AUTH=PLAIN", "", "8BITMIME=1", "DSN", "DSN") {
				s.until("QUIT")
			}
		}, 1, "failed 5.3.4"},
	} {
		t.Run(name, func(t *testing.T) {
			good, connections := &fake{}, 0
			d := &pipeDialer{tcp: true}
			d.server = func(n int, conn net.Conn) {
				if connections = n + 1; n > 0 {
					good.serve(n, conn)
					return
				}
				c.host(&raw{conn, bufio.NewReader(conn)})
			}
			hop := smartHost()
			hop.Options.TLS = mail.TLSOpportunistic
			hop.Hosts = []string{"192.0.2.1:25", "192.0.2.2:25"}
			feed := newFeed(t, message(body, "u0@x.example"))
			start := time.Now()
			err := serveBy(t, d, hop, feed)
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			feed.expect(map[string]string{"u0@x.example": c.want})
			if connections != c.by {
				t.Errorf("decided over connection %d, want %d: %v", connections, c.by, err)
			}
		})
	}
}
