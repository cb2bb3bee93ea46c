package harness

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestDovecotTakesLMTP(t *testing.T) {
	d := StartDovecot(t, "alice@example.test")
	conn, err := net.Dial("tcp", d.Address())
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(conn)
	defer c.Close()
	if err := c.Mail("x@example.test", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("nobody-here@example.test", nil); err == nil {
		t.Error("an unknown user was accepted")
	}
	if err := c.Rcpt("alice@example.test", nil); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(Letter("x@example.test", "alice@example.test", "1@x", "hello"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if m := d.Mailbox("alice@example.test"); len(m) != 1 || !strings.Contains(m[0], "hello") {
		t.Errorf("mailbox holds %q", m)
	}
}
