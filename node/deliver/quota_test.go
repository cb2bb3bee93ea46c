package deliver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

// box is a maildir with a quota, and a clock.
type box struct {
	*Agent
	t      testing.TB
	folder string
	quota  Quota
	now    time.Time
	sent   byte
}

func newBox(t testing.TB, q Quota) *box {
	root := t.TempDir()
	b := &box{t: t, folder: filepath.Join(root, "u@x.example"), quota: q, now: time.Now()}
	b.Agent = New(Options{Hostname: "me.example", MaildirRoot: root, Quota: func(mail.Target) Quota { return b.quota }, Clock: func() time.Time { return b.now }})
	return b
}

// send delivers one message of that many octets, trace fields of the maildir not
// counted, and gives the outcome.
func (b *box) send(octets int) string {
	b.t.Helper()
	m := message("S: x\r\n\r\n"+strings.Repeat("x", octets), "u@x.example")
	b.sent++
	m.Envelope.ID = mail.NewID(time.UnixMilli(5), [10]byte{b.sent})
	feed := newFeed(b.t, m)
	if err := b.Serve(b.t.Context(), local(), feed); err != nil {
		b.t.Fatal(err)
	}
	return feed.check()["u@x.example"]
}

func (b *box) count() int { return len(files(b.t, filepath.Join(b.folder, "new"))) }

func (b *box) remove() {
	b.t.Helper()
	name := files(b.t, filepath.Join(b.folder, "new"))[0]
	if err := os.Remove(filepath.Join(b.folder, "new", name)); err != nil {
		b.t.Fatal(err)
	}
}

func TestQuotaByMessages(t *testing.T) {
	b := newBox(t, Quota{Count: 2})
	for i, want := range []string{"delivered 2.1.5", "delivered 2.1.5", "failed 5.2.2", "failed 5.2.2"} {
		if got := b.send(10); got != want {
			t.Errorf("message %d: %s, want %s", i, got, want)
		}
	}
	if n := b.count(); n != 2 || len(files(t, filepath.Join(b.folder, "tmp"))) != 0 {
		t.Errorf("%d messages, tmp %v", n, files(t, filepath.Join(b.folder, "tmp")))
	}
	// Its owner, who does not know Maildir++, makes room: seen when the count is old.
	b.remove()
	if got := b.send(10); got != "failed 5.2.2" {
		t.Errorf("a fresh count is doubted: %s", got)
	}
	b.now = b.now.Add(usageAge + time.Minute)
	if got := b.send(10); got != "delivered 2.1.5" {
		t.Errorf("after room was made: %s", got)
	}
	b.quota.Count = 3 // a change of the directory
	if got := b.send(10); got != "delivered 2.1.5" {
		t.Errorf("after the quota grew: %s", got)
	}
}

func TestQuotaBySize(t *testing.T) {
	b := newBox(t, Quota{Size: 2000})
	for i, c := range []struct {
		octets int
		want   string
	}{{3000, "failed 5.2.3"}, {1200, "delivered 2.1.5"}, {1200, "failed 5.2.2"}, {100, "delivered 2.1.5"}, {3000, "failed 5.2.3"}} {
		if got := b.send(c.octets); got != c.want {
			t.Errorf("message %d: %s, want %s", i, got, c.want)
		}
	}
}

// Without a quota in the directory that of the maildir holds, as other programs set it.
func TestQuotaOfTheMaildir(t *testing.T) {
	b := newBox(t, Quota{})
	if got := b.send(10); got != "delivered 2.1.5" || len(files(t, b.folder)) != 3 {
		t.Fatalf("%s, %v", got, files(t, b.folder))
	}
	file := filepath.Join(b.folder, usageFile)
	for text, want := range map[string]string{
		"1000000S,1C\n0 0\n": "failed 5.2.2", // more are there than it says, once it is doubted
		"1C\n0 0\n":          "failed 5.2.2",
		"10C\n5 1\n":         "delivered 2.1.5",
		"x\ny":               "delivered 2.1.5",
		"":                   "delivered 2.1.5",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.send(10)
		b.now = b.now.Add(time.Hour)
		if got := b.send(10); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Before mail is accepted a full mailbox is known by its maildirsize alone, and only
// while that is fresh: nothing is counted for who asks.
func TestFullWithoutCounting(t *testing.T) {
	b := newBox(t, Quota{Size: 2000})
	u := message("x", "u@x.example").Targets[0]
	full := func(size int64) string {
		t.Helper()
		if o := b.Full(&u, size); o != nil {
			if o.Text == "" {
				t.Error("no words")
			}
			return o.Status.String()
		}
		return ""
	}
	ask := func(when string, size int64, want string) {
		t.Helper()
		if got := full(size); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	ask("no maildir", 0, "")
	b.send(1700)
	ask("a count with changes is doubted", 1500, "")
	if got := b.send(1500); got != "failed 5.2.2" {
		t.Fatal(got)
	}
	ask("the delivery has counted", 1500, "5.2.2")
	ask("never", 5000, "5.2.3")
	ask("there is room for small ones", 100, "")
	ask("of any size", 0, "")
	b.now = b.now.Add(usageAge + time.Minute)
	ask("an old count is doubted", 1500, "")
	b.now = b.now.Add(-usageAge)
	b.quota = Quota{Size: 5000}
	ask("the quota has changed", 1500, "")
	b.quota = Quota{Count: 1}
	b.send(1)
	ask("by count", 0, "5.2.2")
	b.quota = Quota{}
	ask("by the quota of the maildir", 0, "5.2.2")
	file := filepath.Join(b.folder, usageFile)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		full(9)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("asking has changed %q into %q (%v)", before, after, err)
	}
	if err := os.WriteFile(file, []byte("1C\n"+strings.Repeat("1 1\n", maxUsageFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	ask("a file that is too long", 0, "")
	u.Address.Local = ".."
	ask("no folder of this server", 0, "")
}

// Subfolders count, the trash does not; a file that grew too long is counted anew.
func TestMaildirIsCounted(t *testing.T) {
	b := newBox(t, Quota{Count: 4})
	b.send(10)
	for _, name := range []string{".Work/cur/1:2,S", ".Work/cur/2:2,ST", ".Trash/cur/3", "cur/4:2,", ".Work/tmp/5", "cur/sub/6"} {
		file := filepath.Join(b.folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("12345"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	use, err := countMaildir(b.folder)
	if err != nil || use.Count != 3 || use.Size < 10 {
		t.Errorf("%+v %v", use, err)
	}
	long := "4C\n" + strings.Repeat("0 0\n", maxUsageFile)
	if err := os.WriteFile(filepath.Join(b.folder, usageFile), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := b.send(10); got != "delivered 2.1.5" {
		t.Error(got)
	}
	if got := b.send(10); got != "failed 5.2.2" {
		t.Error(got)
	}
	if text, err := os.ReadFile(filepath.Join(b.folder, usageFile)); err != nil || len(text) > 100 {
		t.Errorf("%q %v", text, err)
	}
}

// Whoever counts what is in the folder finds what the file says, as long as
// nobody else touches either, and never more than the quota.
func TestQuotaAgainstCounting(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		q := Quota{Size: rapid.Int64Range(200, 3000).Draw(r, "size"), Count: rapid.Int64Range(0, 5).Draw(r, "count")}
		b := newBox(t, q)
		for range rapid.IntRange(1, 8).Draw(r, "messages") {
			octets := rapid.IntRange(0, 1500).Draw(r, "octets")
			var before Quota
			if _, err := os.Stat(b.folder); err == nil {
				before, _ = countMaildir(b.folder)
			}
			got := b.send(octets)
			use, err := countMaildir(b.folder)
			if err != nil {
				r.Fatal(err)
			}
			size := int64(octets + len("S: x\n\nReturn-Path: <a@a.example>\nDelivered-To: u@x.example\n"))
			want := "delivered 2.1.5"
			switch {
			case size > q.Size:
				want = "failed 5.2.3"
			case before.Size+size > q.Size || q.Count > 0 && before.Count+1 > q.Count:
				want = "failed 5.2.2"
			}
			if got != want {
				r.Fatalf("%d octets into %+v of %+v: %s, want %s", size, before, q, got, want)
			}
			text, _ := os.ReadFile(filepath.Join(b.folder, usageFile))
			if noted, _, ok := readUsage(text, q); !ok || noted != use {
				r.Fatalf("the file says %+v, there is %+v", noted, use)
			}
		}
	})
}

func TestQuotaForm(t *testing.T) {
	for _, c := range []struct {
		text string
		want Quota
	}{{"1000S,5C", Quota{1000, 5}}, {"5C,1000S", Quota{1000, 5}}, {"7S", Quota{Size: 7}}, {"-1S,xC", Quota{}}, {"", Quota{}}, {"9C ", Quota{Count: 9}}} {
		if got := parseQuota(c.text); got != c.want || parseQuota(got.String()) != got {
			t.Errorf("%q: %+v", c.text, got)
		}
	}
}

// What hosts and mailbox stores say is handed on, whatever the code.
func TestCodesPassThrough(t *testing.T) {
	for _, code := range []string{"5.1.4", "5.2.1", "5.2.2", "5.3.3", "5.5.2", "5.0.0"} {
		for _, lmtp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lmtp=%v", code, lmtp), func(t *testing.T) {
				answer := "552 " + code + " no"
				if code == "5.0.0" {
					answer = "554 no" // a host without codes
				}
				f := &fake{lmtp: lmtp, script: func(verb, _ string) string { return map[string]string{"DOT": answer}[verb] }}
				hop := smartHost()
				if lmtp {
					hop.Kind = mail.HopLMTP
				}
				feed := newFeed(t, message(body, "u@x.example"))
				if err := serve(t, hop, feed, f.serve); err != nil {
					t.Fatal(err)
				}
				feed.expect(map[string]string{"u@x.example": "failed " + code})
			})
		}
	}
}

// Whoever may write into the maildir can put anything in place of its maildirsize: a pipe
// must not hold the server up, nor may a link have it write into another file.
func TestUsageThatIsNoFile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	const old = "1000S\n5 5\n"
	for name, put := range map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link":   func(path string) error { return os.Symlink(outside, path) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"socket": func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(outside, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			b := newBox(t, Quota{Size: 1 << 20})
			if got := b.send(10); got != "delivered 2.1.5" {
				t.Fatal(got)
			}
			path := filepath.Join(b.folder, usageFile)
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
			if o := b.Full(&mail.Target{Address: address("u@x.example")}, 10); o != nil {
				t.Errorf("refused: %+v", o)
			}
			for range 2 {
				if got := b.send(10); got != "delivered 2.1.5" {
					t.Error(got)
				}
			}
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("maildirsize is not made anew: %v, %v", info, err)
			}
			if now, err := os.ReadFile(outside); err != nil || string(now) != old {
				t.Errorf("the other file holds %q now", now)
			}
		})
	}
}

// Whatever stands in the file, it is summed up within bounds or counted anew, and a quota
// that is read means the same when it is written.
func FuzzUsage(f *testing.F) {
	for _, s := range []string{"1000S,10C\n5 1\n-5 -1\n", "1000S\n9223372036854775807 1\n9223372036854775807 1\n", "S,C\n", "\n\n", "1S\n1\n", "10C\n1 1 1\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, _, _ := strings.Cut(string(b), "\n")
		q := parseQuota(first)
		if q.Size < 0 || q.Count < 0 || parseQuota(q.String()) != q {
			t.Fatalf("quota %+v of %q", q, first)
		}
		use, changes, ok := readUsage(b, q)
		if !ok {
			return
		}
		if use.Size < 0 || use.Count < 0 || changes < 0 || changes > len(b) || use.Size > int64(len(b))*maxUsed || use.Count > int64(len(b))*maxUsed {
			t.Fatalf("%+v in %d changes", use, changes)
		}
		e := &overQuota{q, use, 1 << 40}
		if q.Size > 0 && q.Size < 1<<40 && !e.exceeded() {
			t.Fatalf("%+v is said to fit", e)
		}
	})
}
