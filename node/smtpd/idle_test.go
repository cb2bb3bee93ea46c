package smtpd

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

type swallow struct{}

func (swallow) Reset()                               {}
func (swallow) Logout() error                        { return nil }
func (swallow) Mail(string, *smtp.MailOptions) error { return nil }
func (swallow) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (swallow) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }

// TestIdleBuffer: the large buffer is there during content and lent for two
// seconds more, no longer.
func TestIdleBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Hostname: "mail1.example.com"}, BackendFunc(func(*Conn) (Session, error) { return swallow{}, nil }), nil)
		ours, theirs := net.Pipe()
		go s.ServeConn(theirs)
		go io.Copy(io.Discard, ours)
		size := func() int {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			for c := range s.conns {
				// The connection takes the same lock before it touches the buffer again.
				c.mu.Lock()
				defer c.mu.Unlock()
				return len(c.in.buf)
			}
			t.Fatal("no connection")
			return 0
		}
		if n := size(); n != idleBuffer {
			t.Errorf("after the greeting: %d", n)
		}
		io.WriteString(ours, "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"+strings.Repeat("x\r\n", 2000)+".\r\n")
		if n := size(); n != busyBuffer {
			t.Errorf("after a message: %d", n)
		}
		<-time.After(linger + time.Second)
		if n := size(); n != idleBuffer {
			t.Errorf("later: %d", n)
		}
		ours.Close()
		s.Close()
	})
}
