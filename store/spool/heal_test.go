package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func healPoints() []string {
	return []string{faultHealNoted, faultHealCopied, faultHealKept, faultHealReplaced, faultHealRestored, faultHealReconciled, faultHealDone}
}

// quarantined lists what is in the quarantine of a spool on the operating system's files.
func quarantined(t *testing.T, dir string) (tables, records int) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(dir, quarantineName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, n := range names {
		switch {
		case isTable(n.Name()):
			tables++
		case strings.HasSuffix(n.Name(), ".json"):
			records++
		}
	}
	return tables, records
}

// A healing that a wrong clock put into the future is none until then: whatever is set aside
// would be older than it, at each start.
func TestHealedInTheFutureIsNotHealed(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSpool(t, s)
	folder := filepath.Join(dir, quarantineName)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second).UTC()
	for _, c := range []struct{ at, want time.Time }{
		{now.Add(24 * time.Hour), time.Time{}},
		{now.Add(-time.Hour), now.Add(-time.Hour)},
		{now.Add(-2 * time.Hour), now.Add(-time.Hour)},
		{now, now},
	} {
		if err := os.WriteFile(filepath.Join(folder, c.at.Format(healedForm)+".json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if at := s.Healed(); !at.Equal(c.want) {
			t.Errorf("with a healing at %v: healed at %v, want %v", c.at, at, c.want)
		}
	}
}

// A block of a list and a block of messages are broken. Whoever reads them notes the
// table; the next start heals it: lists are whole again and made from nothing slow,
// tables are merged, and messages that lost something are named.
func TestNextStartHeals(t *testing.T) {
	h := makeHoled(t)
	h.spoil(t, "entry 055 of q", bytes.LastIndex) // of the queue's list
	h.spoil(t, "entry 200 of q", bytes.Index)     // of the messages
	s := h.open(t)
	_ = listed(t, s, "q")
	if names, err := s.suspected(); err != nil || len(names) != 1 {
		t.Fatalf("suspected %v, %v", names, err)
	}
	if at := s.Healed(); !at.IsZero() {
		t.Errorf("healed at %v before it was", at)
	}
	closeSpool(t, s)

	begin := time.Now().Truncate(time.Second)
	s = h.open(t)
	if at := s.Healed(); at.Before(begin) || at.After(time.Now()) {
		t.Errorf("healed at %v, not since %v", at, begin)
	}
	if names, err := s.suspected(); err != nil || len(names) != 0 {
		t.Errorf("still suspected: %v, %v", names, err)
	}
	if tables, records := quarantined(t, h.dir); tables != 1 || records != 1 {
		t.Errorf("%d tables and %d records in the quarantine", tables, records)
	}
	if got := listed(t, s, "q"); len(got) != len(h.entries) {
		t.Errorf("%d entries of %d", len(got), len(h.entries))
	}
	unread, whole := 0, 0
	for _, e := range h.entries {
		switch _, err := s.Load(e.ID); {
		case err == nil:
			whole++
		case errors.Is(err, ErrCorrupt):
			unread++
		default:
			t.Errorf("message %q: %v", e.ID, err)
		}
	}
	if unread == 0 || unread > 10 {
		t.Errorf("%d messages cannot be read, %d can", unread, whole)
	}
	// Nothing fell back to reading all messages.
	if _, told := s.told.Load("queue q"); told {
		t.Error("the list is still made from the messages")
	}
	if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil || s.stalled.Load() != 0 {
		t.Errorf("merging: %v, %d stalled", err, s.stalled.Load())
	}
	// An administrator deletes what cannot be read; its content goes too.
	for _, e := range h.entries {
		if _, err := s.Load(e.ID); err == nil {
			continue
		}
		var all []Entry
		for _, q := range h.queues {
			for _, o := range listed(t, s, q.Queue) {
				if o.ID == e.ID {
					all = append(all, Entry{q.Queue, o.Due, o.Tag})
				}
			}
		}
		if err := errors.Join(s.SetAside(e.ID, nil, all...), s.Remove(e.ID)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range h.submitted {
		if _, err := s.Load(id); err != nil {
			if err := errors.Join(s.SetAside(id, nil), s.Remove(id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitReclaimed(s)
	if got, n := problems(t, s); got != "" || n.Bodies != n.Messages {
		t.Errorf("%d bodies of %d messages, problems:\n%s", n.Bodies, n.Messages, got)
	}
	closeSpool(t, s)
}

// openHealing opens a spool of small blocks.
func openHealing(fs vfs.FS, o Options) (*Spool, error) {
	o.FS, o.MemTable, o.pause, o.Recipients = fs, 2<<20, func() {}, countTags
	o.tune = func(p *pebble.Options) {
		p.DisableAutomaticCompactions = true
		for i := range p.Levels {
			p.Levels[i].BlockSize = 256
		}
	}
	return Open("data", o)
}

// makeBroken is a disk with a spool of 40 messages, some of which are in a broken block.
func makeBroken(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s, err := openHealing(fs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range byte(40) {
		accept(t, s, ID{n + 1}, []byte("body"))
		plan(t, s, ID{n + 1}, Entry{"q", int64(n), []byte("tag")})
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	spoilFile(t, fs, "data/store", []byte{tagMessage, 20, 0, 0})
	if err := syncFolder(fs, "data/store"); err != nil {
		t.Fatal(err)
	}
	return fs
}

// judgeBroken looks at the spool of makeBroken when it was healed, after what happened.
func judgeBroken(t *testing.T, fs vfs.FS, s *Spool, after string) {
	t.Helper()
	left := 0
	for n := range byte(40) {
		switch _, err := s.Load(ID{n + 1}); {
		case err == nil:
			left++
		case !errors.Is(err, ErrCorrupt):
			t.Errorf("%s: message %d: %v", after, n, err)
		}
	}
	if list, err := s.Entries("q", Position{}, 100); err != nil || len(list) != 40 || left < 30 || left == 40 {
		t.Errorf("%s: %d whole messages, %d entries, %v", after, left, len(list), err)
	}
	if a, err := s.Audit(t.Context()); err != nil || !a.Balanced() {
		t.Errorf("%s: %s, %v", after, a, err)
	}
	names, err := fs.List("data/quarantine")
	if err != nil || len(names) != 2 {
		t.Errorf("%s: in the quarantine %v, %v", after, names, err)
	}
}

// The power fails at each point of a healing, each time that it is passed: the next
// Open ends what was begun.
func TestCrashWhileHealing(t *testing.T) {
	seen := map[string]bool{}
	broken := makeBroken(t)
	for at := 0; ; at++ {
		fs := broken.CrashClone(vfs.CrashCloneCfg{})
		passed, failed := 0, errors.New("the power fails")
		s, err := openHealing(fs, Options{Verify: true, Faults: func(p string) error {
			if passed++; passed-1 == at {
				seen[p] = true
				return failed
			}
			return nil
		}})
		if err == nil {
			if at < len(healPoints()) {
				t.Errorf("only %d points", at)
			}
			closeSpool(t, s)
			break
		}
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		if s, err = openHealing(fs, Options{}); err != nil {
			t.Fatalf("after a crash at point %d: %v", at, err)
		}
		judgeBroken(t, fs, s, fmt.Sprint("after a crash at point ", at))
		closeSpool(t, s)
	}
	for _, p := range healPoints() {
		if !seen[p] {
			t.Errorf("%s is not passed", p)
		}
	}
}

// A disk fails at each operation of a healing, once or for good, or has no room for a
// while: it heals all the same, or the next start does.
func TestHealingOnBadDisks(t *testing.T) {
	stride := int64(stride)
	from, err := strconv.ParseInt(os.Getenv(failedDiskProcess), 10, 64)
	if err != nil {
		t.Parallel()
		for from = 0; inChild(t, from); from += batch * stride {
		}
		return
	}
	broken, hits := makeBroken(t), 0
	for at := from; at < from+batch*stride; at += stride {
		for _, c := range []struct {
			times    int64
			fault    error
			concerns func(errorfs.Op) bool
		}{{1, syscall.EIO, anyOperation}, {1 << 40, syscall.EIO, anyOperation}, {3, syscall.ENOSPC, needsRoom}} {
			disk, f := broken.CrashClone(vfs.CrashCloneCfg{}), newFaulty(at, c.times, c.fault, c.concerns)
			after := fmt.Sprintf("operation %d fails %d times with %v", at, c.times, c.fault)
			s, err := openHealing(errorfs.Wrap(disk, f), Options{Verify: true, again: time.Millisecond})
			if err != nil && (f.hit.Load() == nil || c.fault == syscall.ENOSPC) {
				t.Errorf("%s: %v", after, err)
			}
			if err == nil {
				_ = s.Close() // which does not wait for room
			}
			if f.hit.Load() == nil {
				continue
			}
			hits++
			healthy := disk.CrashClone(vfs.CrashCloneCfg{})
			if s, err = openHealing(healthy, Options{Verify: true}); err != nil {
				t.Fatalf("%s, next start: %v", after, err)
			}
			judgeBroken(t, healthy, s, after)
			closeSpool(t, s)
		}
	}
	if hits == 0 {
		t.Logf("%s%d", lastOperation, from)
	}
}

// spoilFile changes an octet of the last place where a table has these.
func spoilFile(t *testing.T, fs vfs.FS, dir string, text []byte) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !isTable(n) {
			continue
		}
		name := fs.PathJoin(dir, n)
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		i := bytes.Index(b.Bytes(), text)
		if i < 0 {
			continue
		}
		b.Bytes()[i] ^= 4
		out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = out.Write(b.Bytes())
		if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%x is in no table", text)
}

// killedHealing marks the process that kills itself at a point of its healing.
const killedHealing = "POSTROAD_TEST_KILLED_HEALING"

// TestHealingIsKilled is killed, for good, at each point that a healing passes; the next
// process is killed at the next, and the last one heals.
func TestHealingIsKilled(t *testing.T) {
	if at, err := strconv.Atoi(os.Getenv(killedHealing)); err == nil {
		n := 0
		s, err := Open(os.Getenv(killedHealing+"_DIR"), Options{Verify: true, pause: func() {}, Faults: func(string) error {
			if n++; n > at {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		closeSpool(t, s)
		return
	}
	h := makeHoled(t)
	h.spoil(t, "entry 055 of q", bytes.LastIndex)
	h.spoil(t, "entry 200 of q", bytes.Index)
	kills := 0
	for at := 0; ; at++ {
		child := exec.Command(os.Args[0], "-test.run=^TestHealingIsKilled$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", killedHealing, at), killedHealing+"_DIR="+h.dir)
		out, err := child.CombinedOutput()
		if err == nil {
			break
		}
		if e := new(exec.ExitError); !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v\n%s", err, out)
		}
		kills++
	}
	if kills < 4 {
		t.Errorf("killed %d times only", kills)
	}
	s := h.open(t)
	if got := listed(t, s, "q"); !slices.EqualFunc(got, h.entries, func(a, b QueueEntry) bool { return a.ID == b.ID && a.Due == b.Due && bytes.Equal(a.Tag, b.Tag) }) {
		t.Errorf("%d entries, want %d", len(got), len(h.entries))
	}
	if tables, records := quarantined(t, h.dir); tables == 0 || records == 0 {
		t.Errorf("%d tables and %d records in the quarantine", tables, records)
	}
	closeSpool(t, s)
}
