package deliver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func local() mail.Hop { return mail.Hop{Kind: mail.HopLocal, Name: "local delivery"} }

func files(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestMaildir(t *testing.T) {
	root := t.TempDir()
	a := New(Options{Hostname: "me.example", MaildirRoot: root})
	m := message("Subject: x\r\n\r\na\r\nb\n\rc\r", "U@x.example", "v@x.example")
	for range 2 { // the second is the repetition after a crash
		feed := newFeed(t, m)
		if err := a.Serve(t.Context(), local(), feed); err != nil {
			t.Fatal(err)
		}
		feed.expect(map[string]string{"U@x.example": "delivered 2.1.5", "v@x.example": "delivered 2.1.5"})
	}
	for box, to := range map[string]string{"u@x.example": "U@x.example", "v@x.example": "v@x.example"} {
		names := files(t, filepath.Join(root, box, "new"))
		if len(names) != 1 || len(files(t, filepath.Join(root, box, "tmp"))) != 0 {
			t.Fatalf("%s: new holds %v, tmp %v", box, names, files(t, filepath.Join(root, box, "tmp")))
		}
		got, err := os.ReadFile(filepath.Join(root, box, "new", names[0]))
		want := "Return-Path: <a@a.example>\nDelivered-To: " + to + "\nSubject: x\n\na\nb\n\rc\r"
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", box, got, err)
		}
	}
}

// A node that died may have handed a message on without knowing it, so the same
// message may come twice, each time with an ID of its own. In the mailbox it is one.
func TestMaildirTwoCopiesOfOneMessage(t *testing.T) {
	root := t.TempDir()
	a := New(Options{Hostname: "me.example", MaildirRoot: root})
	origin, created := mail.NewID(time.UnixMilli(7), [10]byte{7}), time.UnixMilli(7)
	for i := range 3 {
		m := message("Subject: x\r\n\r\n", "u@x.example")
		m.Envelope.ID = mail.NewID(time.UnixMilli(int64(1000*i)), [10]byte{byte(i)})
		m.Envelope.Origin, m.Envelope.Created, m.Envelope.Received = origin, created, time.Unix(int64(i), 0)
		if i == 2 {
			m.Envelope.Origin = m.Envelope.ID // another message with the same text
		}
		if err := a.Serve(t.Context(), local(), newFeed(t, m)); err != nil {
			t.Fatal(err)
		}
	}
	if names := files(t, filepath.Join(root, "u@x.example", "new")); len(names) != 2 {
		t.Errorf("%d messages in the mailbox, want 2: %q", len(names), names)
	}
}

// Many deliveries at once into few mailboxes lose and mix nothing.
func TestMaildirConcurrency(t *testing.T) {
	root := t.TempDir()
	a := New(Options{Hostname: "me.example", MaildirRoot: root, MailboxFolder: func(m mail.Target) string { return m.Address.Domain }})
	const workers, each = 8, 40
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var list []*mail.Transaction
			for i := range each {
				m := message(fmt.Sprintf("Subject: %d-%d\r\n\r\n", w, i), fmt.Sprintf("u@box%d.example", i%3))
				m.Envelope.ID = mail.NewID(time.UnixMilli(1), [10]byte{byte(w), byte(i)})
				list = append(list, m)
			}
			if err := a.Serve(t.Context(), local(), newFeed(t, list...)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i := range 3 {
		dir := filepath.Join(root, fmt.Sprintf("box%d.example", i), "new")
		for _, name := range files(t, dir) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			seen[string(b)] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d different messages, want %d", len(seen), workers*each)
	}
}

func TestMaildirFailures(t *testing.T) {
	root := t.TempDir()
	for name, folder := range map[string]string{"leaves the root": "../x", "no name": "", "the root itself": ".", "absolute": "/x", "a file in the way": "file/box"} {
		if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a := New(Options{MaildirRoot: root, MailboxFolder: func(mail.Target) string { return folder }})
		feed := newFeed(t, message(body, "u@x.example"))
		if err := a.Serve(t.Context(), local(), feed); err != nil {
			t.Fatal(err)
		}
		if got := feed.check()["u@x.example"]; got != "deferred 4.3.0" {
			t.Errorf("%s: %q", name, got)
		}
	}
	a := New(Options{MaildirRoot: root})
	bad := message(body, "u@x.example")
	bad.Content = broken{inMemory: inMemory("half"), size: 10, read: errors.New("bad block")}
	feed := newFeed(t, bad)
	if err := a.Serve(t.Context(), local(), feed); err != nil {
		t.Fatal(err)
	}
	feed.expect(map[string]string{"u@x.example": "deferred 4.3.0"})
	if n := len(files(t, filepath.Join(root, "u@x.example", "new"))) + len(files(t, filepath.Join(root, "u@x.example", "tmp"))); n != 0 {
		t.Errorf("half a message was left in %d files", n)
	}
}

func TestMaildirRemoved(t *testing.T) {
	root := t.TempDir()
	a := New(Options{MaildirRoot: root})
	for range 2 {
		feed := newFeed(t, message(body, "u@x.example"))
		if err := a.Serve(t.Context(), local(), feed); err != nil {
			t.Fatal(err)
		}
		feed.expect(map[string]string{"u@x.example": "delivered 2.1.5"})
		if err := os.RemoveAll(filepath.Join(root, "u@x.example")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStoreFailed(t *testing.T) {
	for err, want := range map[error]string{syscall.ENOSPC: "4.3.1", syscall.EDQUOT: "4.2.2", syscall.EACCES: "4.2.1", syscall.EIO: "4.3.0"} {
		o := storeFailed(&fs.PathError{Op: "write", Path: "x", Err: err})
		if o.Result != mail.Deferred || o.Status.String() != want {
			t.Errorf("%v: %+v", err, o)
		}
	}
}

func TestDrop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "drop")
	hop := mail.Hop{Kind: mail.HopDrop, ConnectorName: "x400", Options: mail.HopOptions{Directory: dir}}
	one, two := message(body, "x@x.example"), message(body, "x@x.example")
	for i, m := range []*mail.Transaction{one, two} { // one message, two queues
		m.Targets[0].Address, m.Targets[0].Foreign = mail.Address{}, fmt.Sprintf("X400:c=us;s=Doe%d", i)
		m.Targets[0].Notify = mail.NotifyFailure
	}
	a := New(Options{})
	for range 2 {
		feed := newFeed(t, one, two)
		if err := a.Serve(t.Context(), hop, feed); err != nil {
			t.Fatal(err)
		}
		feed.check()
	}
	names := files(t, dir)
	if len(names) != 4 {
		t.Fatalf("files %v", names)
	}
	seen := map[string]bool{}
	for _, n := range names {
		if !strings.HasSuffix(n, ".json") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		var e dropEnvelope
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Content))
		if err != nil || string(content) != body || e.Sender != "a@a.example" || e.Recipients[0].Type != "X400" || e.Recipients[0].Notify != "FAILURE" {
			t.Errorf("%s: %+v, %v", n, e, err)
		}
		seen[e.Recipients[0].Address] = true
	}
	if !seen["c=us;s=Doe0"] || !seen["c=us;s=Doe1"] {
		t.Errorf("recipients %v", seen)
	}
	feed := newFeed(t, one)
	hop.Options.Directory = ""
	_ = a.Serve(t.Context(), hop, feed)
	if got := feed.check()["@"]; got == "delivered 2.0.0" {
		t.Error("delivered into nowhere")
	}
}

func TestHopsThatCannotBeServed(t *testing.T) {
	a := New(Options{Hostname: "me.example"})
	feed := newFeed(t, many(1)...)
	e := connectError(t, a.Serve(t.Context(), mail.Hop{Kind: mail.HopFail, Status: mail.StatusNoRoute, Reason: "no connector"}, feed))
	if e.Temporary || e.Outcome.Status != mail.StatusNoRoute || e.Outcome.Result != mail.Failed {
		t.Errorf("%+v", e)
	}
	for _, kind := range []mail.HopKind{mail.HopUnreachable, mail.HopMX, mail.HopSmartHost, mail.HopNode} {
		if e := connectError(t, a.Serve(t.Context(), mail.Hop{Kind: kind, Domain: "x.example"}, feed)); !e.Temporary || e.Outcome.Status.IsZero() {
			t.Errorf("%v: %+v", kind, e)
		}
	}
	if len(feed.out) != 0 {
		t.Error("a transaction was taken")
	}
}

// BenchmarkMaildir stores 10 KiB messages in one mailbox; the disk decides.
func BenchmarkMaildir(b *testing.B) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 570)
	a := New(Options{Hostname: "me.example", MaildirRoot: b.TempDir()})
	feed := &endless{t: message(text, "u@x.example"), left: b.N, unique: true}
	b.ResetTimer()
	if err := a.Serve(b.Context(), local(), feed); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if feed.bad > 0 {
		b.Errorf("%d not delivered", feed.bad)
	}
}
