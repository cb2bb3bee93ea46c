package harness

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Letter is a small message with a Message-ID of its own.
func Letter(from, to, id, body string) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n\r\n%s\r\n",
		from, to, id, time.Now().Format(time.RFC1123Z), id, body)
}

// Send hands a message to an SMTP server, as an anonymous client.
func Send(t testing.TB, server, from, text string, to ...string) error {
	t.Helper()
	c, err := smtp.Dial(server)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SendMail(from, to, strings.NewReader(text)); err != nil {
		return err
	}
	return c.Quit()
}
