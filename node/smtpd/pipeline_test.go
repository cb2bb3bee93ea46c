package smtpd_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/smtpd"
)

// counted counts the writes of the server.
type counted struct {
	script
	writes int
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	return c.script.Write(p)
}

// RFC 2920 section 3.2: replies to a group of commands go out together.
func TestRepliesCoalesce(t *testing.T) {
	group := "EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n" + strings.Repeat("RCPT TO:<b@example.com>\r\n", 20) + "RSET\r\nNOOP\r\n"
	c := &counted{script: script{in: bytes.NewReader([]byte(group)), max: 1 << 20}}
	server().ServeConn(c)
	if n := strings.Count(c.out.String(), "\r\n250 "); n != 24 {
		t.Errorf("%d replies: %s", n, c.out.String())
	}
	// The greeting, then the group.
	if c.writes != 2 {
		t.Errorf("%d writes", c.writes)
	}
}

// A flood of commands does not gather replies without bound.
func TestRepliesBounded(t *testing.T) {
	c := &counted{script: script{in: bytes.NewReader(bytes.Repeat([]byte("NOOP\r\n"), 5000)), max: 1 << 20}}
	smtpd.New(smtpd.Config{Hostname: "mail1.example.com", MaxIdleCommands: 1 << 20}, &backend{log: &eventLog{}}, nil).ServeConn(c)
	if max := c.out.Len() / c.writes; max > 5<<10 {
		t.Errorf("%d octets a write", max)
	}
}

// gated is a session whose Data waits.
type gated struct {
	discard
	gate chan struct{}
}

func (g gated) Data(r io.Reader) error {
	<-g.gate
	return g.discard.Data(r)
}

// The acknowledgement of a message must not wait for the storing of the next,
// which is already in the buffer.
func TestAcknowledgementIsNotHeldBack(t *testing.T) {
	for verb, want := range map[string]string{"BDAT": "250 250 250 250 250", "DATA": "250 250 354 250 250 250 354"} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{}, 2)
			s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"},
				smtpd.BackendFunc(func(*smtpd.Conn) (smtpd.Session, error) { return gated{gate: gate}, nil }), nil)
			c := piped(s)
			ask(c, "EHLO client.example\r\n")
			gate <- struct{}{} // for the first message only
			m := map[string]string{"BDAT": "BDAT 1 LAST\r\nx", "DATA": "DATA\r\nx\r\n.\r\n"}[verb]
			one := "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n" + m
			if got := ask(c, one+one); got != want {
				t.Errorf("%s: %s, want %s", verb, got, want)
			}
			gate <- struct{}{}
			if got := ask(c, ""); got != "250" {
				t.Errorf("%s: then %s", verb, got)
			}
			c.Close()
			<-c.done
			s.Close()
		})
	}
}

// A connection that falls idle gives its large buffer back and goes on as before.
func TestIdleAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &eventLog{}
		s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com"}, &backend{log: log}, nil)
		c := piped(s)
		big := strings.Repeat(strings.Repeat("y", 98)+"\r\n", 1000)
		message := "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + big + ".\r\n"
		ask(c, "EHLO client.example\r\n")
		for range 3 {
			if got := ask(c, message); got != "250 250 354 250" {
				t.Error(got)
			}
			if n := strings.Count(strings.Join(log.take(), "\n"), "data 100000 octets"); n != 1 {
				t.Errorf("%d messages", n)
			}
			wait(3)
		}
		// Idle does not mean gone: the five minutes count from the last command.
		wait(295)
		if got := ask(c, "NOOP\r\n"); got != "250" {
			t.Error(got)
		}
		wait(301)
		if got := ask(c, ""); got != "421" {
			t.Error(got)
		}
		c.Close()
		<-c.done
		s.Close()
	})
}
