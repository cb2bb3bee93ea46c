package smtpd_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/smtpd"
)

// script is a connection whose client has said everything already, at most max
// octets a read.
type script struct {
	in  *bytes.Reader
	max int
	out bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) { return s.in.Read(p[:min(len(p), s.max)]) }

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*script)(nil)

// run serves the input and returns the replies and the accepted messages; text
// are those that were not declared binary. There are three kinds of server.
func run(kind uint8, input []byte, max int, size int64) (replies string, accepted, text []string) {
	log := &eventLog{}
	set := settings{passport: true, size: size, config: smtpd.Config{Hostname: "mail1.example.com", AllowInsecureAuth: true, MaxErrors: 50,
		AuthFailureDelay: -1, MaxAuthFailures: -1, MaxAuthFailuresPerClient: -1}}
	switch kind % 3 {
	case 0:
		set.verify = true
	case 1:
		set.full, set.etrn, set.turn = true, true, true
		set.config.MaxHold, set.config.HoldForAnyone = time.Hour, true
		set.config.MaxRecipientDomains = 2
		set.config.XClients = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	case 2:
		set.full, set.config.LMTP = true, true
		set.config.LineEnds, set.config.NULs = smtpd.LineEndsRepair, smtpd.NULsDrop
		set.config.MaxHeaderSize = 100
	}
	s := smtpd.New(set.config, &backend{log: log, set: set}, nil)
	c := &script{in: bytes.NewReader(input), max: max}
	s.ServeConn(c)
	binary := false
	for _, e := range log.take() {
		if strings.HasPrefix(e, "mail ") {
			binary = strings.Contains(e, " body=BINARYMIME")
		}
		if quoted, ok := strings.CutPrefix(e, "data \""); ok {
			message, _ := strconv.Unquote(`"` + quoted)
			accepted = append(accepted, message)
			if !binary {
				text = append(text, message)
			}
		}
	}
	// After ATRN and TURN the server is the client.
	replies, _ = strings.CutSuffix(c.out.String(), "EHLO mail1.example.com\r\n")
	return replies, accepted, text
}

// FuzzConn sends anything to the engine: it must not panic or hang, each reply
// must be well-formed, what is accepted must have clean lines, and it must not
// matter how the network cuts the octets up.
func FuzzConn(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(text) < 8<<10 {
			for kind := range uint8(3) {
				f.Add(seed(string(text)), uint8(7), kind)
			}
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, cut, kind uint8) {
		if len(input) > 1<<16 {
			return
		}
		whole, messages, text := run(kind, input, 1<<20, 0)
		for _, m := range text {
			if bare := strings.ReplaceAll(m, "\r\n", ""); strings.ContainsAny(bare, "\r\n\x00") {
				t.Errorf("accepted %q", m)
			}
		}
		checkReplies(t, whole)
		pieces, same, _ := run(kind, input, int(cut)+1, 0)
		if codes(whole) != codes(pieces) {
			t.Errorf("in one piece:\n%s\nin pieces of %d:\n%s", whole, int(cut)+1, pieces)
		}
		if strings.Join(messages, "\x00") != strings.Join(same, "\x00") {
			t.Errorf("accepted %q, in pieces %q", messages, same)
		}
		limited, messages, _ := run(kind, input, int(cut)+1, 16)
		checkReplies(t, limited)
		for _, m := range messages {
			if len(m) > 16 {
				t.Errorf("accepted %d octets over the limit of 16", len(m))
			}
		}
	})
}

// seed takes the client's part out of a dialogue.
func seed(text string) []byte {
	var b []byte
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if raw, ok := strings.CutPrefix(line, "C: "); ok {
			b = append(b, raw+"\r\n"...)
		} else if raw, ok := strings.CutPrefix(line, "C> "); ok {
			if u, err := strconv.Unquote(`"` + strings.ReplaceAll(raw, `"`, `\x22`) + `"`); err == nil {
				b = append(b, u...)
			}
		}
	}
	return b
}

func checkReplies(t *testing.T, replies string) {
	if replies == "" {
		t.Error("no greeting")
	}
	more := false
	for line := range strings.SplitAfterSeq(replies, "\r\n") {
		if line == "" {
			break
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) > 512 || len(text) < 4 || text[0] < '2' || text[0] > '5' || text[3] != ' ' && text[3] != '-' || strings.ContainsAny(text, "\r\n\x00\x1b") {
			t.Errorf("bad reply line %q", line)
			return
		}
		more = text[3] == '-'
	}
	if more {
		t.Errorf("the last reply has no end: %q", replies)
	}
}

// codes are the replies without their texts: which fault of a message is found
// first may depend on how it was cut.
func codes(replies string) string {
	var b strings.Builder
	for line := range strings.Lines(replies) {
		b.WriteString(line[:min(4, len(line))])
	}
	return b.String()
}

// FuzzChunks sends content by BDAT in chunks of any size: clean content arrives as it is,
// binary content under BINARYMIME too, all else is refused.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{"", "Subject: x\r\n\r\n.\r\nhi\r\n", "x\n.\n", "a\rb", "\x00", "BDAT 3 LAST\r\n", "\r\n.\r\nMAIL FROM:<a@b>\r\n"} {
		f.Add([]byte(s), uint8(5), uint8(2), false)
		f.Add([]byte(s), uint8(1), uint8(200), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, size, cut uint8, binary bool) {
		if len(data) > 200 { // the recorder writes more down as a number only
			return
		}
		var in bytes.Buffer
		in.WriteString("EHLO client.example\r\nMAIL FROM:<a@example.com>")
		if binary {
			in.WriteString(" BODY=BINARYMIME")
		}
		in.WriteString("\r\nRCPT TO:<b@example.com>\r\n")
		for left := data; ; {
			n := min(int(size)+1, len(left))
			fmt.Fprintf(&in, "BDAT %d", n)
			if n == len(left) {
				in.WriteString(" LAST")
			}
			in.WriteString("\r\n")
			in.Write(left[:n])
			if left = left[n:]; len(left) == 0 {
				break
			}
		}
		in.WriteString("QUIT\r\n")
		replies, messages, _ := run(0, in.Bytes(), int(cut)+1, 0)
		if !strings.Contains(replies, "\r\n221 ") {
			t.Fatalf("no end: %s", replies)
		}
		bare := strings.ReplaceAll(string(data), "\r\n", "")
		if clean := !strings.ContainsAny(bare, "\r\n\x00"); binary || clean {
			if len(messages) != 1 || messages[0] != string(data) {
				t.Errorf("%q became %q: %s", data, messages, replies)
			}
		} else if len(messages) != 0 {
			t.Errorf("%q was accepted as %q", data, messages)
		}
	})
}
