package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree is every file below dir with its content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOpenRefusesAndLeavesAsItWas(t *testing.T) {
	made := func(t *testing.T, dir string) {
		t.Helper()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		accept(t, s, ID{1}, content(1000, 1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		says    string
		is      error
	}{
		"another's folder": {func(t *testing.T, dir string) { write(t, dir, "thesis.txt", "years of work") }, "not empty and holds no spool", nil},
		"newer format": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, dir, formatName, "postroad spool 99\n")
		}, "a newer version wrote it (format 99", nil},
		"unreadable format": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, dir, formatName, "\x00\x00")
		}, formatName, ErrCorrupt},
		"store gone": {func(t *testing.T, dir string) {
			made(t, dir)
			if err := os.RemoveAll(filepath.Join(dir, storeName)); err != nil {
				t.Fatal(err)
			}
		}, "does not exist", nil},
		"store damaged": {func(t *testing.T, dir string) {
			made(t, dir)
			manifests, err := filepath.Glob(filepath.Join(dir, storeName, "MANIFEST-*"))
			if err != nil || len(manifests) == 0 {
				t.Fatalf("no manifest: %v", err)
			}
			write(t, filepath.Join(dir, storeName), filepath.Base(manifests[len(manifests)-1]), strings.Repeat("rubbish", 100))
		}, "restore the folder", ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			c.prepare(t, dir)
			before := tree(t, dir)
			s, err := Open(dir, Options{})
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v; want %q, %v", err, c.says, c.is)
			}
			after := tree(t, dir)
			for path, text := range before {
				if after[path] != text {
					t.Errorf("%s was changed or removed", path)
				}
			}
		})
	}
}

// unlockable is a disk on which no lock can be had.
type unlockable struct {
	FS
	err error
}

func (u unlockable) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: u.err}
}

// A folder that cannot be written is not one that another node has.
func TestOpenSaysWhyThereIsNoLock(t *testing.T) {
	for err, want := range map[error]string{
		syscall.EROFS:  "read-only; look why",
		syscall.EACCES: "belongs to another user",
		syscall.EAGAIN: "in use by another process",
	} {
		if _, got := Open(t.TempDir(), Options{FS: unlockable{vfs.Default, err}}); !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v: %v, want %q", err, got, want)
		}
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second open: %v", err)
	}
	accept(t, s, ID{1}, []byte("still works"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(readBody(t, s, ID{1})); got != "still works" {
		t.Errorf("read %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedKeysAreReported(t *testing.T) {
	s := opened(t, vfs.NewMem())
	accept(t, s, ID{1}, []byte("x"))
	for name, c := range map[string]struct {
		key, value []byte
		read       func() error
	}{
		"envelope": {appendMessageKey(nil, ID{2}, kindEnvelope), []byte("short"), func() error { _, err := s.Load(ID{2}); return err }},
		"chunk": {appendChunkKey(nil, newBodyID(s.epoch, 1), 0), []byte("longer than it was"), func() error {
			r, err := s.OpenBody(ID{1})
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = r.Read(make([]byte, 10))
			return err
		}},
	} {
		if err := s.db.Set(c.key, c.value, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.read(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
	if err := s.Close(); err != nil { // before the audit finds the same
		t.Fatal(err)
	}
}

// A key of no format in a list is not what was written: the list is made from messages.
func TestDamagedListsAreMadeFromMessages(t *testing.T) {
	s, err := Open("data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, ID{1}, []byte("x"))
	accept(t, s, ID{2}, []byte("y"))
	plan(t, s, ID{2}, Entry{"q", 1, nil})
	for _, key := range [][]byte{{tagSubmitted, 1, 2}, {tagQueue, 'a', 0, 9}} {
		if err := s.db.Set(key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := s.Submitted(ID{}, 9); err != nil || len(ids) != 1 || ids[0] != (ID{1}) {
		t.Errorf("submitted: %x, %v", ids, err)
	}
	if heads, err := s.Queues(); err != nil || len(heads) != 1 || heads[0] != (QueueHead{"q", 1}) {
		t.Errorf("queues: %v, %v", heads, err)
	}
	closeSpool(t, s)
}
