package history

import (
	"os"
	"path/filepath"
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
