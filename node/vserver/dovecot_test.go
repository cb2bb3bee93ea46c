package vserver

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const dovecotHello = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t4711\nCUID\t1\nCOOKIE\t0123456789abcdef\nDONE\n"

// fakeDovecot is an auth socket that says hello and answers AUTH.
type fakeDovecot struct {
	path   string
	mu     sync.Mutex
	asked  []string
	hello  string
	answer func(resp string) string
}

func newFakeDovecot(t *testing.T, change func(*fakeDovecot)) *fakeDovecot {
	t.Helper()
	dir, err := os.MkdirTemp("", "dov") // a socket's path has room for 107 octets only
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeDovecot{path: filepath.Join(dir, "auth"), hello: dovecotHello}
	f.answer = func(resp string) string {
		switch {
		case resp == "\x00carol\x00right":
			return "OK\t1\tuser=carol@dovecot.test\n"
		case strings.HasPrefix(resp, "\x00broken"):
			return "FAIL\t1\tuser=broken\ttemp\treason=database\n"
		}
		return "FAIL\t1\tuser=x\n"
	}
	if change != nil {
		change(f)
	}
	l, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait(); os.RemoveAll(dir) })
	return f
}

func (f *fakeDovecot) serve(c net.Conn) {
	defer c.Close()
	io.WriteString(c, f.hello)
	in := bufio.NewScanner(c)
	for in.Scan() {
		line := in.Text()
		f.mu.Lock()
		f.asked = append(f.asked, line)
		f.mu.Unlock()
		if _, resp, ok := strings.Cut(line, "\tresp="); ok {
			b, _ := base64.StdEncoding.DecodeString(resp)
			io.WriteString(c, f.answer(string(b)))
		}
	}
}

func TestDovecotProtocol(t *testing.T) {
	ask := dovecotRequest{user: "carol", password: "right", remote: netip.MustParseAddr("192.0.2.1"), local: netip.MustParseAddr("192.0.2.2"), tls: true}
	f := newFakeDovecot(t, nil)
	got, err := dovecot{f.path}.check(t.Context(), ask)
	if err != nil || got != "carol@dovecot.test" {
		t.Errorf("%q, %v", got, err)
	}
	f.mu.Lock()
	lines := strings.Join(f.asked, "\n")
	f.mu.Unlock()
	if want := fmt.Sprintf("VERSION\t1\t1\nCPID\t%d\nAUTH\t1\tPLAIN\tservice=smtp\tsecured\tlip=192.0.2.2\trip=192.0.2.1\tresp=AGNhcm9sAHJpZ2h0", os.Getpid()); lines != want {
		t.Errorf("sent %q\nwant %q", lines, want)
	}
	for name, c := range map[string]struct {
		change  func(*fakeDovecot)
		user    string
		refused bool // else nobody knows
	}{
		"wrong":             {nil, "dave", true},
		"temporary":         {nil, "broken", false},
		"NUL":               {nil, "carol\x00x", true},
		"no login":          {func(f *fakeDovecot) { f.answer = func(string) string { return "OK\t1\tuser=carol\tnologin\n" } }, "carol", true},
		"OK without a user": {func(f *fakeDovecot) { f.answer = func(string) string { return "OK\t1\n" } }, "carol", true},
		"goes on":           {func(f *fakeDovecot) { f.answer = func(string) string { return "CONT\t1\tYQ==\n" } }, "carol", true},
		"answer to others":  {func(f *fakeDovecot) { f.answer = func(string) string { return "OK\t2\tuser=eve\nFAIL\t1\n" } }, "carol", true},
		"other version":     {func(f *fakeDovecot) { f.hello = "VERSION\t2\t0\nDONE\n" }, "carol", false},
		"no version":        {func(f *fakeDovecot) { f.hello = "DONE\n" }, "carol", false},
		"endless hello":     {func(f *fakeDovecot) { f.hello = strings.Repeat("MECH\tX\n", 200) }, "carol", false},
		"endless line":      {func(f *fakeDovecot) { f.hello = strings.Repeat("x", 2*maxDovecotLine) }, "carol", false},
		"empty line":        {func(f *fakeDovecot) { f.answer = func(string) string { return "\n\nFAIL\t1\n" } }, "carol", true},
	} {
		f := newFakeDovecot(t, c.change)
		q := ask
		q.user = c.user
		if _, err := (dovecot{f.path}).check(t.Context(), q); err == nil || errors.Is(err, errDovecotRefused) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (dovecot{"/nowhere/auth"}).check(context.Background(), ask); err == nil || errors.Is(err, errDovecotRefused) {
		t.Errorf("no socket: %v", err)
	}
}

func FuzzDovecotAnswer(f *testing.F) {
	f.Add("OK\t1\tuser=x\n")
	f.Add("FAIL\t1\ttemp\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		user, err := dovecotVerdict(bufio.NewReader(strings.NewReader(s)))
		if err == nil && (user == "" || !strings.Contains(s, "OK\t1\t")) {
			t.Errorf("%q let %q in", s, user)
		}
		_ = greetDovecot(bufio.NewReader(strings.NewReader(s)))
	})
}

func TestDovecotUsers(t *testing.T) {
	f := newFakeDovecot(t, nil)
	s := newSite(t, ", authentication: {dovecotSocket: "+f.path+"}", accounts)
	for _, c := range []struct{ user, password, want string }{
		{"carol", "right", "235"}, {"carol", "wrong", "535"}, {"broken", "x", "454 4.7.0"},
		{"alice", "s3cret", "235"}, // an Account is asked for first, and alone
		{"alice", "right", "535"},
	} {
		p := s.connect()
		p.startTLS()
		p.say("AUTH PLAIN "+plain(c.user, c.password), c.want)
		if c.user == "carol" && c.want == "235" {
			p.send("carol@dovecot.test", "x@outside.test", "Subject: x\r\n\r\nx")
			if e := s.tray.got[0].Envelope; e.Account != "carol@dovecot.test" {
				t.Errorf("account %q", e.Account)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.asked {
		if strings.Contains(l, b64("\x00alice\x00s3cret")) {
			t.Error("an Account's password was shown to Dovecot")
		}
	}
}
