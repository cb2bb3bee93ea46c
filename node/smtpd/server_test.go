package smtpd_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/smtpd"
)

// piped connects a client to a server inside a bubble.
func piped(s *smtpd.Server) *listener {
	return dialTo(func(c net.Conn) { go s.ServeConn(c) })
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: &eventLog{}}, nil)
		idle, transfer, chunked := piped(s), piped(s), piped(s)
		ask(idle, "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n")
		ask(transfer, "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nhalf a mess")
		ask(chunked, "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 1\r\nx")
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { done <- s.Shutdown(ctx) }()
		if got := ask(idle, ""); got != "421" {
			t.Errorf("idle: %s", got)
		}
		if got := ask(chunked, ""); got != "421" {
			t.Errorf("between chunks: %s", got)
		}
		if got := ask(transfer, ""); got != "" {
			t.Errorf("in transfer: %s", got)
		}
		if got := ask(transfer, "age\r\n.\r\nNOOP\r\n"); got != "250 250 421" {
			// NOOP had arrived with the content, so it still counts.
			t.Errorf("after the transfer: %s", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		late := piped(s)
		synctest.Wait()
		if _, closed := late.take(); !closed {
			t.Error("a connection after Shutdown was served")
		}
		if err := s.Serve(&pipeListener{closed: make(chan struct{})}); err != smtpd.ErrServerClosed {
			t.Error(err)
		}
		for _, l := range []*listener{idle, transfer, chunked, late} {
			l.Close()
			<-l.done
		}
	})
}

func TestShutdownDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &eventLog{}
		s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: log}, nil)
		c := piped(s)
		ask(c, "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nhalf a message\r\n")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if events := strings.Join(log.take(), "\n"); !strings.Contains(events, "data error after 16") || !strings.HasSuffix(events, "logout") {
			t.Error(events)
		}
		if s.Connections() != 0 {
			t.Error("connections left")
		}
		c.Close()
		<-c.done
	})
}

// The client goes away in the middle of a message: nothing may be accepted.
func TestLostConnection(t *testing.T) {
	for _, send := range []string{"DATA\r\nhalf a message\r\n.\r", "BDAT 20 LAST\r\nhalf a message\r\n", "BDAT 4\r\nhalf"} {
		synctest.Test(t, func(t *testing.T) {
			log := &eventLog{}
			s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: log}, nil)
			c := piped(s)
			ask(c, "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"+send)
			c.Close()
			<-c.done
			synctest.Wait()
			events := strings.Join(log.take(), "\n")
			if !strings.Contains(events, "data error after ") || !strings.HasSuffix(events, "reset\nlogout") || s.Connections() != 0 {
				t.Errorf("%q: %s", send, events)
			}
			s.Close()
		})
	}
}

// A client that never reads its replies is given up.
func TestDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: &eventLog{}}, nil)
		ours, theirs := net.Pipe()
		start := time.Now()
		s.ServeConn(theirs)
		if d := time.Since(start); d != 5*time.Minute {
			t.Errorf("given up after %v", d)
		}
		ours.Close()
	})
}

func TestConnectionLimits(t *testing.T) {
	config := smtpd.Config{Hostname: "mail1.example.com", MaxConnections: 2}
	s, address := serveTCP(t, config, &backend{log: &eventLog{}})
	one, two := dial(t, address), dial(t, address)
	one.expect("", "220 ")
	two.expect("", "220 ")
	three := dial(t, address)
	three.expect("", "421 4.7.0 mail1.example.com Too many connections")
	three.expect("", "EOF")
	three.Close()
	config.MaxConnections, config.MaxConnectionsPerClient = 0, 2
	s.SetConfig(config)
	four := dial(t, address)
	four.expect("", "421 ")
	four.expect("", "EOF")
	four.Close()
	two.expect("QUIT\r\n", "221 ")
	two.expect("", "EOF")
	two.Close()
	config.MaxConnectionsPerClient = 10
	s.SetConfig(config)
	five := dial(t, address)
	five.expect("", "220 ")
}

// A flood over the limit of one address keeps nobody else out, not even while its
// refusals are being said, and makes no handshakes.
func TestRefusedConnectionsDoNotCount(t *testing.T) {
	config := smtpd.Config{
		Hostname: "mail1.example.com", TLS: serverTLS(t), ImplicitTLS: true, MaxConnections: 3, MaxConnectionsPerClient: 2,
	}
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(config, &backend{log: &eventLog{}}, nil)
		defer s.Close()
		connect := func(address string) *listener {
			l := dialTo(func(c net.Conn) { go s.ServeConn(from{c, netip.MustParseAddrPort(address)}) })
			synctest.Wait()
			return l
		}
		var all []*listener
		for range 10 {
			all = append(all, connect("192.0.2.1:1000"))
		}
		all = append(all, connect("192.0.2.2:1000"))
		open := 0
		for i, l := range all {
			_, closed := l.take()
			if !closed {
				open++
			}
			if closed != (i >= 2 && i < 10) {
				t.Errorf("connection %d: closed %v", i, closed)
			}
		}
		if open != 3 || s.Connections() != 3 {
			t.Errorf("%d open, %d counted", open, s.Connections())
		}
		// Who has gone makes room at once.
		all[0].Close()
		<-all[0].done
		synctest.Wait()
		again := connect("192.0.2.1:1001")
		if _, closed := again.take(); closed {
			t.Error("no room after a connection has ended")
		}
		for _, l := range append(all[1:], again) {
			l.Close()
			<-l.done
		}
	})
}

// A refused client that is still sending gets to read why.
func TestLastReplyArrives(t *testing.T) {
	_, address := serveTCP(t, smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: &eventLog{}})
	d := dial(t, address)
	d.expect("", "220 ")
	d.expect("garbage\n"+strings.Repeat("\x00\xff\x80\n", 30000), "500 5.5.2 ")
	d.expect("", "EOF")
}

// flaky fails as a process without descriptors does.
type flaky struct {
	pipeListener
	failures int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errors.New("too many open files"))}
	}
	return f.pipeListener.Accept()
}

func TestAcceptRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flaky{pipeListener{make(chan net.Conn), make(chan struct{})}, 3}
		s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: &eventLog{}}, nil)
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		start := time.Now()
		c := dialTo(func(c net.Conn) { l.conns <- c })
		if d := time.Since(start); d != (5+10+20)*time.Millisecond {
			t.Errorf("accepted after %v", d)
		}
		if got := ask(c, ""); got != "220" {
			t.Error(got)
		}
		s.Close()
		if err := <-done; err != smtpd.ErrServerClosed {
			t.Error(err)
		}
		c.Close()
		<-c.done
	})
}

// wait lets virtual seconds pass.
func wait(seconds int) { <-time.After(time.Duration(seconds) * time.Second) }
