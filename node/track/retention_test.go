package track

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func TestFilesRotateAndExpire(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &writer{files: files{dir: dir, limit: 500}}
	defer w.close()
	for i := range 6 {
		at := noon.Add(time.Duration(i/2) * 24 * time.Hour)
		for range 3 {
			if err := w.write([]mail.Event{event(byte(i), at, mail.EventSend)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	names := func() (all []string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	day := func(i, n int) string { return fileName(dayOf(noon.Add(time.Duration(i)*24*time.Hour)), n) }
	before := names()
	want := []string{day(0, 1), day(0, 2), day(0, 3), day(1, 1), day(1, 2), day(1, 3), day(2, 1), day(2, 2), day(2, 3), "notes.txt"}
	if !reflect.DeepEqual(before, want) {
		t.Fatalf("files %v, want %v", before, want)
	}
	if err := w.files.expire(noon.Add(24*time.Hour), 1<<30, 0); err != nil {
		t.Fatal(err)
	}
	if got := names(); !reflect.DeepEqual(got, want[3:]) {
		t.Errorf("after the retention %v, want %v", got, want[3:])
	}
	if err := w.files.expire(noon, 1, 0); err != nil {
		t.Fatal(err)
	}
	if got := names(); !reflect.DeepEqual(got, want[8:]) {
		t.Errorf("when too large %v, want %v", got, want[8:])
	}
}

// One file that cannot be removed keeps no other one.
func TestFilesExpireWithoutOneThatStays(t *testing.T) {
	dir := t.TempDir()
	day := func(i int) string { return fileName(dayOf(noon.Add(time.Duration(i)*24*time.Hour)), 1) }
	if err := os.MkdirAll(filepath.Join(dir, day(0), "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 4; i++ {
		if err := os.WriteFile(filepath.Join(dir, day(i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &files{dir: dir, doubting: true, doubt: certain} // that they are so old was doubted long enough
	if err := f.expire(noon.Add(3*24*time.Hour), 1<<30, 0); err == nil {
		t.Error("a file that stays is no error")
	}
	left, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 || left[1].day != dayOf(noon.Add(3*24*time.Hour)) {
		t.Errorf("left %+v, want what cannot be removed and the last day", left)
	}
}

// Who makes room on a full disk may remove the file of today, or move it away: what
// comes then goes where it is found.
func TestFileTakenAway(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, Config{Dir: dir})
	path := filepath.Join(dir, fileName(dayOf(noon), 1))
	for i, take := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(path) },
		func() error { return os.Rename(path, path+".old") },
		func() error { // and another one is in its place
			return errors.Join(os.Rename(path, path+".older"), os.WriteFile(path, nil, 0o600))
		},
	} {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		l.Record(event(byte(i+1), noon, mail.EventReceive))
		if got := found(t, l, Query{}); len(got) != 1 || got[0].ID != (mail.ID{byte(i + 1)}) {
			t.Errorf("found %+v, want event %d", got, i+1)
		}
	}
}

// A clock that jumps takes the log of a week with it only when nobody has put it right
// for a day.
func TestClockJumpKeepsTheLog(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		jump time.Duration
		back bool
		left int // of seven days, at once, and
		then int // two days later
	}{
		"no jump":           {0, false, 7, 6},
		"a day":             {day, false, 7, 5},
		"three years":       {3 * 365 * day, false, 7, 0},
		"and back":          {3 * 365 * day, true, 7, 6},
		"a day back":        {-day, false, 7, 7},
		"three weeks ahead": {21 * day, false, 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var off atomic.Int64
				now := func() time.Time { return time.Now().Round(0).Add(time.Duration(off.Load())) }
				dir := t.TempDir()
				l, err := New(Config{Dir: dir, Now: now})
				if err != nil {
					t.Fatal(err)
				}
				record := func() {
					l.Record(event(1, now(), mail.EventSend))
					if err := l.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(time.Hour)
				began := dayOf(now())
				for range 6 {
					record()
					<-time.After(day)
				}
				record()
				left := func() (n int) {
					all, err := list(dir)
					if err != nil {
						t.Fatal(err)
					}
					for _, x := range all {
						if x.day >= began && x.day <= dayOf(time.Now()) && x.day < "2000-01-08" {
							n++
						}
					}
					return n
				}
				off.Store(int64(c.jump))
				<-time.After(time.Hour)
				record()
				if n := left(); n != c.left {
					t.Errorf("%d days are left after the jump, want %d", n, c.left)
				}
				if c.back {
					off.Store(0)
				}
				for range 2 { // the first of the seven ends
					<-time.After(day)
					record()
				}
				if n := left(); n != c.then {
					t.Errorf("%d days are left two days later, want %d", n, c.then)
				}
				l.Close()
			})
		})
	}
}

// A node that was off for days, so that files are too old all at once, keeps to the retention
// though no process of it lives for a day; and the clock may still be put right: a jump takes
// nothing at once, also where a process begins after it.
func TestRetentionOverRestarts(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		lives  time.Duration // each process
		events time.Duration // between two
		killed bool
	}{
		"stopped each night":              {day - time.Minute, time.Hour, false},
		"stopped each hour":               {time.Hour, time.Minute, false},
		"one message in the life of each": {day / 2, day, false},
		"killed each night":               {day - time.Minute, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var off atomic.Int64
				now := func() time.Time { return time.Now().Round(0).Add(time.Duration(off.Load())) }
				dir := t.TempDir()
				live := func(d time.Duration) {
					t.Helper()
					l, err := New(Config{Dir: dir, Now: now, Retention: 3 * day})
					if err != nil {
						t.Fatal(err)
					}
					for end := time.Now().Add(d); time.Now().Before(end); {
						l.Record(event(1, now(), mail.EventSend))
						if err := l.Flush(); err != nil {
							t.Fatal(err)
						}
						<-time.After(min(c.events, time.Until(end)))
					}
					before := doubtOf(t, dir)
					l.Close()
					if c.killed && before != nil { // what is only said at the end is not said
						if err := os.WriteFile(filepath.Join(dir, doubtName), before, 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				count := func() int {
					t.Helper()
					all, err := list(dir)
					if err != nil {
						t.Fatal(err)
					}
					return len(all)
				}
				run := func(d time.Duration) {
					t.Helper()
					for end := time.Now().Add(d); time.Now().Before(end); {
						live(min(c.lives, time.Until(end)))
					}
				}
				run(6 * day)
				was := count()
				off.Store(int64(1000 * day))
				run(2 * time.Hour)
				if n := count(); n != was+1 {
					t.Errorf("%d files after a jump of the clock, want %d", n, was+1)
				}
				off.Store(0)
				run(day)
				if doubtOf(t, dir) != nil {
					t.Error("the clock is right, and the doubt stays")
				}
				<-time.After(5 * day)
				was = count()
				run(time.Hour)
				if n := count(); n != was+1 {
					t.Errorf("%d files at once after some days off, want %d", n, was+1)
				}
				run(2 * day)
				if n := count(); n > 5 { // three days, that which began, and the one from the future
					t.Errorf("%d files two days later", n)
				}
				off.Store(int64(2000 * day)) // it was certain of another thing
				was = count()
				run(time.Hour)
				if n := count(); n != was+1 {
					t.Errorf("%d files after another jump, want %d", n, was+1)
				}
			})
		})
	}
}

func doubtOf(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, doubtName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return b
}

// A doubt that has ended does not hold for the next jump, though the process ends at once.
func TestDoubtEndsWithTheFiles(t *testing.T) {
	f := files{dir: t.TempDir()}
	old := filepath.Join(f.dir, fileName("2000-01-01", 1))
	if err := os.WriteFile(old, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, passed := range []time.Duration{0, certain - 1, certain} {
		if err := f.expire(noon, 1<<30, passed); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(old)
		if there := err == nil; there != (passed < certain) || (doubtOf(t, f.dir) != nil) != there {
			t.Errorf("after %v the file is there: %v, doubt %q", passed, there, doubtOf(t, f.dir))
		}
	}
}

// What stands in the file may be half of what was written, or somebody's own.
func TestDoubtIsReadWithDoubt(t *testing.T) {
	for text, want := range map[string]time.Duration{"13h20m0s\n": 13*time.Hour + 20*time.Minute, "": 0, "13h20": 0, "-5h": 0, "\x00": 0, "999999h\n": certain} {
		f := files{dir: t.TempDir()}
		if err := os.WriteFile(filepath.Join(f.dir, doubtName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := f.doubtBefore(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
