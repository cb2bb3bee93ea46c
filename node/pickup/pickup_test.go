package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/node/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// post is the next stage.
type post struct {
	got    []string
	err    error
	closed string
}

var errLater, errNever = errors.New("later"), errors.New("too large")

func (p *post) submit(s *mail.Submission, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if p.err != nil {
		return p.err
	}
	e := s.Envelope
	text := fmt.Sprintf("from <%s>", e.From)
	for _, r := range e.Recipients {
		text += fmt.Sprintf(" to <%s>", r.Address)
		if r.Notify != 0 || r.Original != "" {
			text += fmt.Sprintf("(%d %s)", r.Notify, r.Original)
		}
	}
	p.got = append(p.got, fmt.Sprintf("%s body %d utf8 %v: %q", text, e.Body, e.UTF8, b))
	return nil
}

func started(t *testing.T, p *post) *Pickup {
	t.Helper()
	k, err := New(Config{
		Dir: filepath.Join(t.TempDir(), "pickup"), Submit: p.submit,
		Temporary: func(err error) bool { return errors.Is(err, errLater) },
		Closed:    func() string { return p.closed }, Hostname: func() string { return "here.test" },
		HopLimit: func() int { return 30 }, MaxSize: func() int64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func leave(t *testing.T, k *Pickup, text string) {
	t.Helper()
	err := Leave(k.c.Dir, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	if err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want, bad string }{
		{"header", "From: a@x.test\nTo: B <b@x.test>, c@x.test\nCc: b@X.test\nSubject: s\n\nhello\n",
			`from <a@x.test> to <b@x.test> to <c@x.test> body 0 utf8 false: "From: a@x.test\r\nTo: B <b@x.test>, c@x.test\r\nCc: b@X.test\r\nSubject: s\r\n\r\nhello\r\n"`, ""},
		{"bcc goes, folded too", "From: a@x.test\nBcc: b@x.test,\n c@x.test\nSubject: s\n\nhello\n",
			`from <a@x.test> to <b@x.test> to <c@x.test> body 0 utf8 false: "From: a@x.test\r\nSubject: s\r\n\r\nhello\r\n"`, ""},
		{"resent", "From: a@x.test\nTo: b@x.test\nResent-To: d@x.test\nResent-Bcc: e@x.test\n\n.\n",
			`from <a@x.test> to <d@x.test> to <e@x.test> body 0 utf8 false: "From: a@x.test\r\nTo: b@x.test\r\nResent-To: d@x.test\r\n\r\n.\r\n"`, ""},
		{"sender before from", "From: a@x.test, aa@x.test\nSender: s@x.test\nTo: b@x.test\n\n",
			`from <s@x.test> to <b@x.test> body 0 utf8 false: "From: a@x.test, aa@x.test\r\nSender: s@x.test\r\nTo: b@x.test\r\n\r\n"`, ""},
		{"envelope fields", "X-Sender: <>\r\nX-Receiver: <b@x.test>\r\nx-receiver: c@x.test\r\nTo: other@x.test\r\nBcc: kept@x.test\r\n\r\nhello",
			`from <> to <b@x.test> to <c@x.test> body 0 utf8 false: "To: other@x.test\r\nBcc: kept@x.test\r\n\r\nhello\r\n"`, ""},
		{"eight bits", "From: a@x.test\nTo: b@x.test\n\ngr\u00fc\u00dfe\n",
			`from <a@x.test> to <b@x.test> body 1 utf8 false: "From: a@x.test\r\nTo: b@x.test\r\n\r\ngrüße\r\n"`, ""},
		{"wide header", "From: a@x.test\nTo: b@x.test\nSubject: gr\u00fc\u00dfe\n\n\n",
			`from <a@x.test> to <b@x.test> body 1 utf8 true: "From: a@x.test\r\nTo: b@x.test\r\nSubject: grüße\r\n\r\n\r\n"`, ""},
		{"no recipients", "From: a@x.test\nSubject: s\n\nhello\n", "", "no recipients"},
		{"empty group", "From: a@x.test\nTo: undisclosed-recipients:;\n\nhello\n", "", "no recipients"},
		{"no sender", "To: a@x.test\n\nhello\n", "", "no sender"},
		{"no header", "hello\nworld\n", "", "begins with header fields"},
		{"empty", "", "", "no recipients"},
		{"bad address", "From: a@x.test\nTo: <b@>\n\n", "", "to: "},
		{"bad receiver", "X-Receiver: <>\nFrom: a@x.test\n\n", "", "an address is missing"},
		{"bad record", "X-Envelope: !!\nFrom: a@x.test\nTo: b@x.test\n\n", "", "not base64"},
		{"bare CR", "From: a@x.test\nTo: b@x.test\n\none\rtwo\n", "", "CR without LF"},
		{"CR at the end", "From: a@x.test\nTo: b@x.test\n\none\r", "", "CR without LF"},
		{"NUL", "From: a@x.test\nTo: b@x.test\n\none\x00two\n", "", "NUL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &post{}
			k := started(t, p)
			leave(t, k, c.text)
			k.look(t.Context())
			if left := files(t, k.c.Dir); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			bad := filepath.Join(k.c.Dir, badFolder)
			if c.bad == "" {
				if len(p.got) != 1 || p.got[0] != c.want {
					t.Errorf("got  %q\nwant %q", p.got, c.want)
				}
				return
			}
			names := files(t, bad)
			if len(names) != 2 || len(p.got) > 0 {
				t.Fatalf("bad holds %q, accepted %q", names, p.got)
			}
			why, _ := os.ReadFile(filepath.Join(bad, names[1]))
			text, _ := os.ReadFile(filepath.Join(bad, names[0]))
			if !strings.Contains(string(why), c.bad) || string(text) != c.text {
				t.Errorf("reason %q, want %q; the file is %q", why, c.bad, text)
			}
		})
	}
}

// A program that gives its files the same name each time finds all that were refused.
func TestRefusedFilesKeepTheirPlace(t *testing.T) {
	k := started(t, &post{})
	texts := []string{"no header\n", "From: a@x.test\nSubject: nobody\n\n", ""}
	for _, text := range texts {
		if err := os.WriteFile(filepath.Join(k.c.Dir, "same"+suffix), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.look(t.Context())
	}
	bad := filepath.Join(k.c.Dir, badFolder)
	for i, folder := range []string{"", "2", "3"} {
		path := filepath.Join(bad, folder, "same"+suffix)
		if b, err := os.ReadFile(path); err != nil || string(b) != texts[i] {
			t.Errorf("%s: %q, %v, want %q", path, b, err, texts[i])
		}
		if _, err := os.Stat(path + ".txt"); err != nil {
			t.Errorf("no reason beside it: %v", err)
		}
	}
}

func TestWaits(t *testing.T) {
	p := &post{closed: "disk full"}
	k := started(t, p)
	leave(t, k, "From: a@x.test\nTo: b@x.test\n\n\n")
	if err := os.WriteFile(filepath.Join(k.c.Dir, "half.eml.tmp"), []byte("From: a"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.look(t.Context())
	p.closed, p.err = "", errLater
	k.look(t.Context())
	if n := len(files(t, k.c.Dir)); n != 2 || len(p.got) > 0 {
		t.Fatalf("%d files, accepted %q", n, p.got)
	}
	p.err = nil
	k.look(t.Context())
	if left := files(t, k.c.Dir); len(left) != 1 || len(p.got) != 1 {
		t.Errorf("left %q, accepted %q", left, p.got)
	}
	p.err = errNever
	leave(t, k, "From: a@x.test\nTo: b@x.test\n\n\n")
	k.look(t.Context())
	if n := len(files(t, filepath.Join(k.c.Dir, badFolder))); n != 2 {
		t.Errorf("a message refused for good: %d files in bad", n)
	}
}

// A crash between acceptance and deletion: the file that is taken again has the
// same origin.
func TestTakenTwiceIsTheSameMessage(t *testing.T) {
	var origins []mail.ID
	k := started(t, &post{})
	k.c.Submit = func(s *mail.Submission, _ io.Reader) error {
		origins = append(origins, s.Envelope.Origin)
		return errLater
	}
	leave(t, k, "From: a@x.test\nTo: b@x.test\n\n\n")
	k.look(t.Context())
	k.look(t.Context())
	if len(origins) != 2 || origins[0] != origins[1] || origins[0].IsZero() {
		t.Errorf("origins %v", origins)
	}
}

func TestRun(t *testing.T) {
	p := &post{}
	k := started(t, p)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		synctest.Wait()
		leave(t, k, "From: a@x.test\nTo: b@x.test\n\n\n")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(p.got) != 1 {
			t.Errorf("accepted %q", p.got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// On an error nothing is left to be sent: who gets one leaves the message once more.
func TestLeaveOrError(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err := Leave(dir, func(io.Writer) error { // from now on no file can be opened
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: before.Max})
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); (err == nil) != (len(left) == 1) {
		t.Errorf("error %v, and left %v", err, left)
	}
}

// What Write writes, Read reads; edited receivers keep what was asked for them.
func TestWriteAndRead(t *testing.T) {
	e := &mail.Envelope{
		Origin: mail.ID{7}, From: mail.Address{Local: "a b", Domain: "x.test"}, Body: mail.Body8BitMIME, Return: "HDRS", EnvelopeID: "q",
		Created: time.Unix(1_700_000_000, 0).UTC(), Visited: []mail.GUID{{1}}, Connector: mail.GUID{2}, Priority: mail.PriorityHigh,
	}
	to := []mail.Recipient{
		{Address: mail.Address{Local: "b", Domain: "x.test"}, Notify: mail.NotifyNever, Original: "rfc822;old@x.test"},
		{Address: mail.Address{Local: "c", Domain: "x.test"}},
	}
	var file strings.Builder
	content := "Received: by here\r\nSubject: s\r\n\r\nhello\r\n"
	if err := Write(&file, e, to, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(file.String(), "<c@x.test>", "<d@y.test>", 1)
	l, err := Read(strings.NewReader(edited))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(l.Content)
	if err != nil || string(got) != content {
		t.Errorf("content %q, %v", got, err)
	}
	g := l.Envelope
	if g.From != e.From || g.Origin != e.Origin || !g.Created.Equal(e.Created) || g.Return != "HDRS" || g.Priority != mail.PriorityHigh {
		t.Errorf("envelope %+v", g)
	}
	if len(g.Visited) > 0 || !g.Connector.IsZero() {
		t.Error("the old way came along")
	}
	if len(g.Recipients) != 2 || g.Recipients[0] != to[0] || g.Recipients[1].Address.Domain != "y.test" {
		t.Errorf("recipients %+v", g.Recipients)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("From: a@x.test\nTo: b@x.test\n\nhello\n")
	f.Add("X-Sender: <>\r\nX-Receiver: <b@x.test>\r\nX-Envelope: CAE=\r\n\r\n.\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(l.Envelope.Recipients) == 0 {
			t.Error("a message without recipients")
		}
		got, err := io.ReadAll(l.Content)
		if err != nil {
			return
		}
		plain := strings.ReplaceAll(string(got), "\r\n", "")
		if strings.ContainsAny(plain, "\r\n\x00") || len(got) > 0 && !strings.HasSuffix(string(got), "\r\n") {
			t.Errorf("content %q has a line that does not end in CRLF", got)
		}
	})
}
