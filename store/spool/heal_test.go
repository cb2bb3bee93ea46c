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

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func healPoints() []string {
	return []string{faultHealNoted, faultHealCopied, faultHealKept, faultHealReplaced, faultHealReconciled, faultHealDone}
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
	closeSpool(t, s)

	s = h.open(t)
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

// The power fails at each point of a healing, each time that it is passed: the next
// Open ends what was begun.
func TestCrashWhileHealing(t *testing.T) {
	seen := map[string]bool{}
	for at := 0; ; at++ {
		fs := vfs.NewCrashableMem()
		open := func(o Options) (*Spool, error) {
			o.FS, o.MemTable, o.pause, o.Recipients = fs, 2<<20, func() {}, countTags
			o.tune = func(p *pebble.Options) {
				p.DisableAutomaticCompactions = true
				for i := range p.Levels {
					p.Levels[i].BlockSize = 256
				}
			}
			return Open("data", o)
		}
		s, err := open(Options{})
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

		passed, failed := 0, errors.New("the power fails")
		s, err = open(Options{Verify: true, Faults: func(p string) error {
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
		if s, err = open(Options{}); err != nil {
			t.Fatalf("after a crash at point %d: %v", at, err)
		}
		left := 0
		for n := range byte(40) {
			switch _, err := s.Load(ID{n + 1}); {
			case err == nil:
				left++
			case !errors.Is(err, ErrCorrupt):
				t.Errorf("after a crash at point %d: message %d: %v", at, n, err)
			}
		}
		if list, err := s.Entries("q", Position{}, 100); err != nil || len(list) != 40 || left < 30 || left == 40 {
			t.Errorf("after a crash at point %d: %d whole messages, %d entries, %v", at, left, len(list), err)
		}
		if a, err := s.Audit(t.Context()); err != nil || !a.Balanced() {
			t.Errorf("after a crash at point %d: %s, %v", at, a, err)
		}
		names, err := fs.List("data/quarantine")
		if err != nil || len(names) != 2 {
			t.Errorf("after a crash at point %d: in the quarantine %v, %v", at, names, err)
		}
		closeSpool(t, s)
	}
	for _, p := range healPoints() {
		if !seen[p] {
			t.Errorf("%s is not passed", p)
		}
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
