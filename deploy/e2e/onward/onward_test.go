// Package onward proves what becomes of what a sender asked for, at a next hop
// that lacks it: a Postfix, which has no BINARYMIME, DELIVERBY, MT-PRIORITY or
// REQUIRETLS. The mail goes from the far end of the organisation, so it all has to
// travel between nodes first.
package onward

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// client is an SMTP client that says what the test writes.
type client struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	c := &client{t, conn, textproto.NewConn(conn)}
	c.read(220)
	c.say(250, "EHLO client.test")
	return c
}

func (c *client) read(want int) string {
	c.t.Helper()
	_, text, err := c.text.ReadResponse(want)
	if err != nil {
		c.t.Fatalf("want %d: %v", want, err)
	}
	return text
}

func (c *client) say(want int, format string, args ...any) string {
	c.t.Helper()
	if err := c.text.PrintfLine(format, args...); err != nil {
		c.t.Fatal(err)
	}
	return c.read(want)
}

func (c *client) startTLS() {
	c.t.Helper()
	c.say(220, "STARTTLS")
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.text = textproto.NewConn(conn)
	c.say(250, "EHLO client.test")
}

// chunk sends a whole message by BDAT.
func (c *client) chunk(content string) {
	c.t.Helper()
	fmt.Fprintf(c.text.W, "BDAT %d LAST\r\n%s", len(content), content)
	if err := c.text.W.Flush(); err != nil {
		c.t.Fatal(err)
	}
	c.read(250)
}

func organization(t *testing.T, smartHost string) string {
	org := strings.ReplaceAll(harness.Demo(t), "[127.0.0.1]:2599", smartHost)
	const edge = "  authentication: {basicInClear: true}\n  outbound: {masqueradeDomain: masked.test, heloName: gate.masked.test}\n"
	for server, settings := range map[string]string{
		"oslo-1":  "  relay: {networks: [127.0.0.0/8]}\n  protocol: {maxHold: 1h, holdForAnyone: true}\n",
		"paris-1": edge, "paris-2": edge, // either may be the one that sends
	} {
		head := "name: " + server + "-smtp\nspec:\n"
		if !strings.Contains(org, head) {
			t.Fatalf("the demo has no %q", head)
		}
		org = strings.Replace(org, head, head+settings, 1)
	}
	return org + `
---
kind: SMTPConnector
name: pulled
spec:
  routingGroup: paris
  localBridgeheads: [paris-1]
  smartHosts: ["` + smartHost + `"]
  addressSpaces: ["SMTP:clear.outside.test"]
  remoteTriggered: true
  triggerAccounts: [alice]
  etrnNetworks: [127.0.0.0/8]
`
}

func TestOnward(t *testing.T) {
	postfix := harness.StartPostfix(t, "outside.test", nil)
	c := harness.Up(t, organization(t, fmt.Sprintf("[127.0.0.1]:%d", postfix.Port)))
	oslo, paris := c.Node("oslo-1").SMTP, c.Node("paris-1").SMTP
	outside := func(id string) string {
		var found string
		harness.Eventually(t, 30*time.Second, func() error {
			for _, m := range postfix.Mailbox("known") {
				if strings.Contains(m, id) {
					found = m
					return nil
				}
			}
			return fmt.Errorf("%s is not in the mailbox outside", id)
		})
		return found
	}
	letter := func(id, rest string) string {
		return "From: Olav <olav@example.test>\r\nTo: <known@outside.test>\r\nSubject: " + id + "\r\nMessage-ID: <" + id + "@example.test>\r\n" + rest
	}

	t.Run("binary content is converted at the edge", func(t *testing.T) {
		octets := "\x00\x01\nline\r\xff\xfe " + strings.Repeat("long", 1000)
		s := dial(t, oslo)
		s.say(250, "MAIL FROM:<olav@example.test> BODY=BINARYMIME BY=600;N MT-PRIORITY=3 ENVID=e1")
		s.say(250, "RCPT TO:<known@outside.test> NOTIFY=FAILURE")
		s.chunk(letter("binary-1", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"+
			"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u00fc\u00dfe\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"+octets+"\r\n--b--\r\n"))
		s.say(221, "QUIT")
		m := outside("binary-1@")
		// What others decode.
		py := harness.Command(t, m, harness.Program(t, "python3"), "-c", "import sys,email,base64\n"+
			"m=email.message_from_bytes(sys.stdin.buffer.read())\nfor p in m.walk():\n  if not p.is_multipart(): print(p['content-transfer-encoding'], base64.b64encode(p.get_payload(decode=True)).decode())\n"+
			"print(m['from'], m['return-path'])").OK(t).Stdout
		want := []string{"8bit " + base64.StdEncoding.EncodeToString([]byte("Gr\u00fc\u00dfe")), "base64 " + base64.StdEncoding.EncodeToString([]byte(octets)),
			"Olav <olav@masked.test> <olav@masked.test>"}
		if got := strings.Split(strings.TrimSpace(py), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("decoded\n%.600s\nwant\n%.600s", py, strings.Join(want, "\n"))
		}
		if !strings.Contains(m, "from gate.masked.test") {
			t.Errorf("HELO has another name:\n%.1000s", m)
		}
		// RFC 2852: the clock stops at a host without DELIVERBY, which is reported.
		report := c.WaitMail(20*time.Second, "oslo-1", "olav@example.test", "Action: relayed")
		if !strings.Contains(report, "Original-Envelope-Id: e1") {
			t.Errorf("the report has no envelope ID:\n%s", report)
		}
	})

	t.Run("return rather than relay without a clock", func(t *testing.T) {
		s := dial(t, oslo)
		s.say(250, "MAIL FROM:<olav@example.test> BY=600;R")
		s.say(250, "RCPT TO:<known@outside.test>")
		s.chunk(letter("by-return-1", "\r\nx\r\n"))
		if m := c.WaitMail(20*time.Second, "oslo-1", "olav@example.test", "by-return-1"); !strings.Contains(m, "Status: 5.3.3") {
			t.Errorf("the report has another status:\n%s", m)
		}
	})

	t.Run("REQUIRETLS comes back", func(t *testing.T) {
		s := dial(t, oslo)
		s.startTLS()
		s.say(250, "MAIL FROM:<olav@example.test> REQUIRETLS")
		s.say(250, "RCPT TO:<known@outside.test>")
		s.chunk(letter("requiretls-1", "\r\na secret\r\n"))
		m := c.WaitMail(20*time.Second, "oslo-1", "olav@example.test", "requiretls-1")
		if !strings.Contains(m, "Status: 5.7.30") || strings.Contains(m, "a secret") {
			t.Errorf("the report should have 5.7.30 and no content (RFC 8689):\n%s", m)
		}
	})

	t.Run("held", func(t *testing.T) {
		s := dial(t, oslo)
		before := time.Now()
		s.say(250, "MAIL FROM:<olav@example.test> HOLDFOR=4")
		s.say(250, "RCPT TO:<known@outside.test>")
		s.chunk(letter("held-1", "\r\nx\r\n"))
		list := c.Ctl("queue", "list").OK(t).Stdout
		if !strings.Contains(list, "Deferred delivery") || !strings.Contains(list, "the time that its sender asked for") {
			t.Errorf("queue list:\n%s", list)
		}
		c.Kill("oslo-1")
		outside("held-1@")
		if took := time.Since(before); took < 3*time.Second {
			t.Errorf("arrived after %v", took)
		}
	})

	pull := func(t *testing.T, id string) {
		t.Helper()
		s := dial(t, oslo)
		s.say(250, "MAIL FROM:<olav@example.test>")
		s.say(250, "RCPT TO:<known@clear.outside.test>")
		s.chunk(letter(id, "\r\nx\r\n"))
		harness.Eventually(t, 20*time.Second, func() error {
			list := c.Ctl("queue", "list").OK(t).Stdout
			if !strings.Contains(list, "remote") || !strings.Contains(list, "ETRN, ATRN or TURN") {
				return fmt.Errorf("nothing waits to be asked for:\n%s", list)
			}
			return nil
		})
	}

	t.Run("ETRN", func(t *testing.T) {
		pull(t, "etrn-1")
		s := dial(t, paris)
		if text := s.say(459, "ETRN elsewhere.test"); !strings.HasPrefix(text, "4.7.1") {
			t.Errorf("%q", text)
		}
		s.say(253, "ETRN clear.outside.test")
		outside("etrn-1@")
	})

	t.Run("ATRN", func(t *testing.T) {
		pull(t, "atrn-1")
		s := dial(t, paris)
		s.say(235, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00alice\x00demo-password")))
		s.say(450, "ATRN elsewhere.test")
		s.say(250, "ATRN clear.outside.test")
		// The roles have changed (RFC 2645 section 5.3).
		got := serve(t, s)
		if !strings.Contains(got, "atrn-1@") {
			t.Errorf("got %q", got)
		}
		harness.Eventually(t, 10*time.Second, func() error {
			if list := c.Ctl("queue", "list").OK(t).Stdout; strings.Contains(list, "ETRN, ATRN or TURN") {
				return fmt.Errorf("it is still queued:\n%s", list)
			}
			return nil
		})
	})
}

// serve takes one message as a server would, and returns it.
func serve(t *testing.T, s *client) string {
	t.Helper()
	w, r := s.text.W, s.text.R
	answer := func(text string) {
		fmt.Fprintf(w, "%s\r\n", text)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	answer("220 client.test")
	var content string
	for {
		line, err := readLine(r)
		if err != nil {
			t.Fatalf("after %q: %v", content, err)
		}
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "DATA":
			answer("354 go on")
			for {
				l, err := readLine(r)
				if err != nil {
					t.Fatal(err)
				}
				if l == "." {
					break
				}
				content += l + "\n"
			}
			answer("250 taken")
		case "QUIT":
			answer("221 bye")
			return content
		default:
			answer("250 ok")
		}
	}
}

func readLine(r *bufio.Reader) (string, error) {
	l, err := r.ReadString('\n')
	return strings.TrimRight(l, "\r\n"), err
}
