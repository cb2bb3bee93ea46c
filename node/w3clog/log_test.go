package w3clog

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, c Config, now func() time.Time) *Log {
	t.Helper()
	l, err := Open(c, now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func names(t *testing.T, folder string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i] = filepath.Base(all[i])
	}
	return strings.Join(all, " ")
}

func TestRotation(t *testing.T) {
	start := time.Date(2026, 3, 1, 22, 59, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		c    Config
		want string
	}{
		"daily":         {Config{}, "ex20260301-00001.log ex20260302-00001.log"},
		"hourly":        {Config{Rotation: Hourly}, "ex2026030122-00001.log ex2026030123-00001.log ex2026030200-00001.log ex2026030201-00001.log"},
		"hourly, two":   {Config{Rotation: Hourly, Keep: 2}, "ex2026030200-00001.log ex2026030201-00001.log"},
		"by size":       {Config{Rotation: BySize, MaxSize: 150}, "ex20260301225900-00001.log ex20260302005900-00001.log"},
		"daily, small":  {Config{MaxSize: 140}, "ex20260301-00001.log ex20260301-00002.log ex20260302-00001.log ex20260302-00002.log"},
		"without limit": {Config{Rotation: BySize}, "ex20260301225900-00001.log"},
	} {
		t.Run(name, func(t *testing.T) {
			c.c.Folder, c.c.Fields = t.TempDir(), []string{"date", "time", "cs-method"}
			l := open(t, c.c, func() time.Time { return start })
			for i := range 4 { // 22:59, 23:59, 0:59, 1:59
				l.Add(&Record{Time: start.Add(time.Duration(i) * time.Hour), Verb: strings.Repeat("X", 30)})
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := names(t, c.c.Folder); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if c.c.Keep == 0 {
				text := ""
				for n := range strings.SplitSeq(names(t, c.c.Folder), " ") {
					b, _ := os.ReadFile(filepath.Join(c.c.Folder, n))
					if !strings.HasPrefix(string(b), "#Software: Postroad\n#Version: 1.0\n#Date: 2026-03-0") {
						t.Errorf("%s begins with %.60q", n, b)
					}
					text += string(b)
				}
				if n := strings.Count(text, " XXXX"); n != 4 {
					t.Errorf("%d records of 4", n)
				}
			}
		})
	}
}

func TestGoesOnInTheFileOfTheDay(t *testing.T) {
	c := Config{Folder: t.TempDir(), Fields: []string{"cs-method"}}
	now := func() time.Time { return time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC) }
	for range 2 {
		l := open(t, c, now)
		l.Add(&Record{Time: now(), Verb: "NOOP"})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l.Add(&Record{Time: now(), Verb: "LATE"}) // closed: nothing happens
	}
	if got := names(t, c.Folder); got != "ex20260301-00001.log" {
		t.Error(got)
	}
	b, _ := os.ReadFile(filepath.Join(c.Folder, "ex20260301-00001.log"))
	if strings.Count(string(b), "\nNOOP\n") != 2 || strings.Contains(string(b), "LATE") {
		t.Errorf("%s", b)
	}
}

// Every field, and values that try to be more than one.
func TestFields(t *testing.T) {
	r := &Record{
		Time: time.Date(2026, 3, 1, 13, 17, 37, 0, time.FixedZone("", 3600)), Client: netip.MustParseAddrPort("[::ffff:10.3.5.1]:4711"),
		Local: netip.MustParseAddrPort("[2001:db8::1]:25"), Hello: "c example\r\n", VirtualServer: "default", Server: "mail.test",
		Verb: "MAIL", Argument: "FROM:<ü+%@x> A", Code: 250, Received: 7, Sent: 8, Took: 1500 * time.Millisecond, Protocol: "ESMTP",
	}
	for name, want := range map[string]string{
		"date": "2026-03-01", "time": "12:17:37", "c-ip": "10.3.5.1", "c-port": "4711", "cs-username": "c+example%0D%0A",
		"s-sitename": "default", "s-computername": "mail.test", "s-ip": "2001:db8::1", "s-port": "25", "cs-method": "MAIL",
		"cs-uri-stem": "-", "cs-uri-query": "FROM:<%C3%BC%2B%25@x>+A", "sc-status": "250", "sc-bytes": "8", "cs-bytes": "7",
		"time-taken": "1500", "cs-version": "ESMTP", "x-account": "-",
	} {
		if got := string(fields()[name](nil, r)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(fields()) != 18 {
		t.Errorf("%d fields", len(fields()))
	}
	if _, err := Open(Config{Folder: t.TempDir(), Fields: []string{"nonsense"}}, time.Now, zap.NewNop()); err == nil {
		t.Error("an unknown field is no error")
	}
}

// A disk that fails costs records, and is known; the log comes back when it can, and
// makes its folder anew.
func TestComesBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "log")
	at := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	l := open(t, Config{Folder: folder, Fields: []string{"cs-method"}, Rotation: Hourly}, func() time.Time { return at })
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // in the folder's place
		t.Fatal(err)
	}
	l.Add(&Record{Time: at.Add(time.Hour), Verb: "LOST"})
	if err := l.Fault(); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("fault: %v", err)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	l.Add(&Record{Time: at.Add(time.Hour), Verb: "KEPT"})
	if err := l.Fault(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(folder, "ex2026030102-00001.log"))
	if err != nil || !strings.HasSuffix(string(b), "\nKEPT\n") {
		t.Errorf("%s %v", b, err)
	}
}

// Old files that are beyond the number kept and cannot be removed, or are of a day to
// come by a clock that was wrong, cost no record.
func TestWritesWhateverIsThere(t *testing.T) {
	at := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ there, want string }{
		"one that cannot be removed": {"ex20260101-00001.log/x", "ex20260101-00001.log ex20260301-00001.log"},
		"one that is yet to come":    {"ex20270101-00001.log", "ex20260301-00001.log ex20270101-00001.log"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, c.there)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			l := open(t, Config{Folder: folder, Fields: []string{"cs-method"}, Keep: 1}, func() time.Time { return at })
			l.Add(&Record{Time: at, Verb: "FIRST"})
			l.lookForFile()
			l.Add(&Record{Time: at, Verb: "SECOND"})
			if err := l.Fault(); err != nil {
				t.Errorf("fault: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := names(t, folder); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			b, err := os.ReadFile(filepath.Join(folder, "ex20260301-00001.log"))
			if err != nil || !strings.HasSuffix(string(b), "\nFIRST\nSECOND\n") {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

// A file that another program moves away is written to its end there, and begun anew.
func TestFileTakenAway(t *testing.T) {
	folder := t.TempDir()
	at := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	l := open(t, Config{Folder: folder, Fields: []string{"cs-method"}}, func() time.Time { return at })
	name := filepath.Join(folder, "ex20260301-00001.log")
	l.Add(&Record{Time: at, Verb: "FIRST"})
	l.lookForFile() // as the log does now and then; the file is there
	l.Add(&Record{Time: at, Verb: "SECOND"})
	moved := filepath.Join(folder, "moved")
	if err := os.Rename(name, moved); err != nil {
		t.Fatal(err)
	}
	l.lookForFile()
	l.Add(&Record{Time: at, Verb: "THIRD"})
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil { // another one in its place
		t.Fatal(err)
	}
	l.lookForFile()
	l.Add(&Record{Time: at, Verb: "FOURTH"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{moved: "FIRST SECOND", name: "FOURTH"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		got := strings.ReplaceAll(strings.TrimSpace(text[strings.LastIndex(text, "#Fields: cs-method\n")+len("#Fields: cs-method\n"):]), "\n", " ")
		if got != want || strings.Count(text, "#Fields") != 1 {
			t.Errorf("%s: %q", file, text)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	l, err := Open(Config{Folder: b.TempDir(), Fields: []string{"date", "time", "c-ip", "cs-method", "cs-uri-query", "sc-status"}}, time.Now, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := &Record{Time: time.Now(), Client: netip.MustParseAddrPort("192.0.2.1:1"), Verb: "MAIL", Argument: "FROM:<a@example.test>", Code: 250}
	b.ReportAllocs()
	for b.Loop() {
		l.Add(r)
	}
}
