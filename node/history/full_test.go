package history

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// full has files of this process grow to so many octets and no further, as a full disk
// does: what fits of a record is written. The disk has room again after then.
func full(t *testing.T, octets int, then func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(octets), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	then()
}

// killed is what another process finds when this one is killed now.
func killed(t *testing.T, path string) *Log {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, copied)
}

// Half a record that a full disk left hides nothing of what comes when it has room.
func TestVersionsAfterAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	for v := uint64(1); v <= 3; v++ {
		note := func() error { return l.Note(change(v), all([]*directoryv1.Object{object("k", int32(v))})) }
		if v != 2 {
			if err := note(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		full(t, size(t, path)+10, func() {
			if note() == nil {
				t.Error("a full disk is no error")
			}
		})
	}
	if again := killed(t, path); len(again.List(0)) != 3 {
		t.Errorf("%d versions of 3", len(again.List(0)))
	}
}

// Numbers that a full disk did not reserve are reserved with the next one.
func TestNumbersAfterAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	full(t, size(t, path), func() {
		if _, err := l.Next(); err == nil {
			t.Error("a full disk is no error")
		}
	})
	last, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := killed(t, path).Next(); err != nil || got <= last {
		t.Errorf("after a kill %d follows %d: %v", got, last, err)
	}
}

// A node starts on a full disk, with the history that it has; what comes is written when
// there is room.
func TestOpenOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	if err := l.Note(change(1), all([]*directoryv1.Object{object("k", 1)})); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	full(t, 10, func() {
		var err error
		if l, err = Open(path); !errors.Is(err, ErrUnsaved) || l == nil || len(l.List(0)) != 1 {
			t.Fatalf("%v, %v", l, err)
		}
	})
	if again := killed(t, path); len(again.List(0)) != 1 {
		t.Errorf("%d versions, want that of before", len(again.List(0)))
	}
	last, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Note(change(last), all(nil)); err != nil {
		t.Fatal(err)
	}
	again := killed(t, path)
	if got, err := again.Next(); err != nil || got <= last || len(again.List(0)) != 2 {
		t.Errorf("%d versions of 2; after a kill %d follows %d: %v", len(again.List(0)), got, last, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	full(t, 10, func() {
		if l, err = Open(path); l == nil {
			t.Fatal(err)
		}
		if l.Close() == nil {
			t.Error("a full disk is no error")
		}
	})
}

// A large configuration is not written anew with each version.
func TestLargeBaseIsWrittenSeldom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	l := open(t, path)
	made := all([]*directoryv1.Object{object(strings.Repeat("k", 2*slack), 1)})
	for v := range uint64(MaxVersions + 1) { // until what is large belongs to the base
		if err := l.Note(change(v+1), made); err != nil {
			t.Fatal(err)
		}
		made = Made{Objects: []*directoryv1.Object{object("k", int32(v))}}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Note(change(MaxVersions+2), made); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || after.Size()-before.Size() > 1000 {
		t.Errorf("one small version, and %d octets were written anew", after.Size())
	}
}
