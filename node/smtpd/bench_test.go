package smtpd_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/postroad/postroad/node/smtpd"
)

// discard is a session that reads messages and forgets them.
type discard struct{}

func (discard) Reset()                               {}
func (discard) Logout() error                        { return nil }
func (discard) Mail(string, *smtp.MailOptions) error { return nil }
func (discard) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (discard) Data(r io.Reader) error               { _, err := r.(io.WriterTo).WriteTo(sink{}); return err }

// sink takes blocks as the spool does, without a copy of its own.
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }

// wire is one message of 10 KiB as a client sends it, pipelined.
func wire(verb string) []byte {
	body := strings.Repeat(strings.Repeat("x", 74)+"\r\n", 10<<10/76)
	env := "MAIL FROM:<sender@example.com> SIZE=10240 BODY=8BITMIME\r\nRCPT TO:<recipient@example.net>\r\n"
	if verb == "BDAT" {
		return fmt.Appendf(nil, "%sBDAT %d LAST\r\n%s", env, len(body), body)
	}
	return []byte(env + "DATA\r\n" + body + ".\r\n")
}

// endless is a client in memory: it repeats a message and swallows replies, so
// that only the engine is measured.
type endless struct {
	script
	message []byte
	at, n   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	k := copy(p, e.message[e.at:])
	if e.at += k; e.at == len(e.message) {
		e.at, e.n = 0, e.n-1
	}
	return k, nil
}

func (e *endless) Write(p []byte) (int, error) { return len(p), nil }

func server() *smtpd.Server {
	return smtpd.New(smtpd.Config{Hostname: "mail1.example.com"},
		smtpd.BackendFunc(func(*smtpd.Conn) (smtpd.Session, error) { return discard{}, nil }), nil)
}

// hello is read in front of a connection's first message.
type hello struct {
	net.Conn
	said bool
}

func (h *hello) Read(p []byte) (int, error) {
	if !h.said {
		h.said = true
		return copy(p, "EHLO client.example\r\n"), nil
	}
	return h.Conn.Read(p)
}

// BenchmarkEngine is the engine alone. Wanted: 15,000 messages of 10 KiB a
// second on one core.
func BenchmarkEngine(b *testing.B) {
	for _, verb := range []string{"DATA", "BDAT"} {
		b.Run(verb, func(b *testing.B) {
			m := wire(verb)
			b.ReportAllocs()
			b.SetBytes(int64(len(m)))
			server().ServeConn(&hello{Conn: &endless{message: m, n: b.N}})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkLoopback adds the kernel and a client: over TCP, one connection for each
// core, a window of eight messages.
func BenchmarkLoopback(b *testing.B) {
	for _, verb := range []string{"DATA", "BDAT"} {
		b.Run(verb, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s := server()
			done := make(chan error, 1)
			go func() { done <- s.Serve(l) }()
			defer func() { s.Close(); <-done }()
			m := wire(verb)
			b.ReportAllocs()
			b.SetBytes(int64(len(m)))
			var accepted atomic.Int64
			b.RunParallel(func(pb *testing.PB) { accepted.Add(send(b, l.Addr().String(), verb, m, pb)) })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			if accepted.Load() != int64(b.N) {
				b.Errorf("%d of %d accepted", accepted.Load(), b.N)
			}
		})
	}
}

// send is a client with a window; with DATA it does not wait for the 354
// either, which a real one must.
func send(b *testing.B, address, verb string, m []byte, pb *testing.PB) int64 {
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Error(err)
		return 0
	}
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "EHLO client.example\r\n")
	replies := map[string]int{"DATA": 4, "BDAT": 3}[verb]
	skip := func(n int) (last []byte) {
		for n > 0 {
			if last, err = r.ReadSlice('\n'); err != nil {
				b.Error(err)
				return nil
			}
			if last[3] == ' ' {
				n--
			}
		}
		return last
	}
	skip(2)
	var sent, accepted int64
	settle := func() bool {
		if last := skip(replies); bytes.HasPrefix(last, []byte("250 2.6.0")) {
			accepted++
			return true
		}
		return false
	}
	for pb.Next() {
		if _, err := c.Write(m); err != nil {
			b.Error(err)
			return accepted
		}
		if sent++; sent-accepted >= 8 && !settle() {
			return accepted
		}
	}
	for accepted < sent && settle() {
	}
	return accepted
}

// BenchmarkSessions is a whole session with one message of a line: connect to
// QUIT, without a network.
func BenchmarkSessions(b *testing.B) {
	s := server()
	text := []byte("EHLO client.example\r\nMAIL FROM:<sender@example.com>\r\nRCPT TO:<recipient@example.net>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
	b.ReportAllocs()
	for b.Loop() {
		s.ServeConn(&script{in: bytes.NewReader(text), max: 1 << 20})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
}

// BenchmarkCommands is MAIL, RCPT and RSET, pipelined in groups.
func BenchmarkCommands(b *testing.B) {
	m := []byte("MAIL FROM:<sender@example.com> SIZE=10240\r\nRCPT TO:<recipient@example.net> NOTIFY=FAILURE ORCPT=rfc822;recipient@example.net\r\nRSET\r\n")
	b.ReportAllocs()
	s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com", MaxIdleCommands: 1 << 40},
		smtpd.BackendFunc(func(*smtpd.Conn) (smtpd.Session, error) { return discard{}, nil }), nil)
	s.ServeConn(&hello{Conn: &endless{message: m, n: b.N}})
	b.ReportMetric(3*float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}

// idle opens connections that have said EHLO and wait, and says how many octets of
// memory each costs: the server's side, and of the client's the bare pipe.
func idle(b testing.TB, n int, config *tls.Config) (octets float64) {
	cfg := smtpd.Config{Hostname: "mail1.example.com", ImplicitTLS: config != nil, TLS: config}
	s := smtpd.New(cfg, smtpd.BackendFunc(func(*smtpd.Conn) (smtpd.Session, error) { return discard{}, nil }), nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	clients := make([]net.Conn, n)
	for i := range clients {
		ours, theirs := net.Pipe()
		clients[i] = ours
		go s.ServeConn(theirs)
		talk := ours
		if config != nil {
			c := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
			if err := c.Handshake(); err != nil {
				b.Fatal(err)
			}
			talk = c // dropped: only the server's end is kept
		}
		buf := make([]byte, 512)
		talk.Read(buf)
		talk.Write([]byte("EHLO client.example\r\n"))
		talk.Read(buf)
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, c := range clients {
		c.Close()
	}
	s.Close()
	return float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse) / float64(n)
}

// BenchmarkIdle reports the memory of a connection that waits. Wanted: under 20 KiB.
func BenchmarkIdle(b *testing.B) {
	b.Run("clear", func(b *testing.B) { b.ReportMetric(idle(b, b.N, nil), "bytes/connection") })
	b.Run("TLS", func(b *testing.B) { b.ReportMetric(idle(b, b.N, serverTLS(b)), "bytes/connection") })
}

// TestIdleMemory holds the bound of 20 KiB for each of many connections.
func TestIdleMemory(t *testing.T) {
	if got := idle(t, 2000, nil); got > 20<<10 {
		t.Errorf("in clear: %.0f octets each", got)
	}
	if got := idle(t, 500, serverTLS(t)); got > 20<<10 {
		t.Errorf("under TLS: %.0f octets each", got)
	}
}
