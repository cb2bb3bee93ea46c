package smtpd_test

import (
	"bytes"
	"net"
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
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*script)(nil)

// run serves the input and returns the replies and the accepted messages.
func run(input []byte, max int, size int64) (replies string, accepted []string) {
	log := &eventLog{}
	s := smtpd.New(smtpd.Config{Hostname: "mail1.example.com", AllowInsecureAuth: true, MaxErrors: 50},
		&backend{log: log, set: settings{passport: true, verify: true, size: size}}, nil)
	c := &script{in: bytes.NewReader(input), max: max}
	s.ServeConn(c)
	for _, e := range log.take() {
		if text, ok := strings.CutPrefix(e, "data \""); ok {
			text, _ = strconv.Unquote(`"` + text)
			accepted = append(accepted, text)
		}
	}
	return c.out.String(), accepted
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
			f.Add(seed(string(text)), uint8(7))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, cut uint8) {
		if len(input) > 1<<16 {
			return
		}
		whole, messages := run(input, 1<<20, 0)
		for _, m := range messages {
			if bare := strings.ReplaceAll(m, "\r\n", ""); strings.ContainsAny(bare, "\r\n\x00") {
				t.Errorf("accepted %q", m)
			}
		}
		checkReplies(t, whole)
		pieces, same := run(input, int(cut)+1, 0)
		if codes(whole) != codes(pieces) {
			t.Errorf("in one piece:\n%s\nin pieces of %d:\n%s", whole, int(cut)+1, pieces)
		}
		if strings.Join(messages, "\x00") != strings.Join(same, "\x00") {
			t.Errorf("accepted %q, in pieces %q", messages, same)
		}
		limited, messages := run(input, int(cut)+1, 16)
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
