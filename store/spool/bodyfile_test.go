package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// files lists the body files of a spool's folder.
func files(t *testing.T, s *Spool) []uint64 {
	t.Helper()
	there, err := s.files.list()
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func remove(t *testing.T, s *Spool, id ID) {
	t.Helper()
	if err := s.Remove(id); err != nil {
		t.Fatal(err)
	}
}

// Whether a body has a file depends on its size only; what it says does not.
func TestLargeBodiesHaveFiles(t *testing.T) {
	for _, c := range []struct{ size, files int }{
		{0, 0}, {1, 0}, {chunkSize - 1, 0}, {chunkSize, 0},
		{chunkSize + 1, 1}, {2 * chunkSize, 1}, {2*chunkSize + 1, 1}, {20*chunkSize + 7, 1},
	} {
		s := opened(t, vfs.NewCrashableMem())
		text := content(c.size, uint64(c.size))
		accept(t, s, ID{1}, text)
		if n := len(files(t, s)); n != c.files {
			t.Errorf("%d octets: %d files, want %d", c.size, n, c.files)
		}
		if got := readBody(t, s, ID{1}); !bytes.Equal(got, text) {
			t.Errorf("%d octets: %d were read, others than were written", c.size, len(got))
		}
		remove(t, s, ID{1})
		closeSpool(t, s)
	}
}

// The file of a finished body is the next one's, unless it is very large; what is
// kept does not count as mail, but as used.
func TestFilesAreUsedAgain(t *testing.T) {
	s := opened(t, vfs.NewCrashableMem())
	defer closeSpool(t, s)
	for n := range byte(5) {
		text := content((5-int(n))*chunkSize, uint64(n)) // each in the file of a longer one
		accept(t, s, ID{1 + n}, text)
		if got := readBody(t, s, ID{1 + n}); !bytes.Equal(got, text) && n < 4 {
			t.Errorf("body %d is not what was written", n)
		}
		remove(t, s, ID{1 + n})
	}
	dropped := body(t, s, content(2*chunkSize, 9))
	dropped.Discard()
	if n := len(files(t, s)); n != 1 {
		t.Errorf("%d files for one body at a time", n)
	}
	if used := s.files.used(); used < 5*chunkSize || used > 6*chunkSize {
		t.Errorf("%d octets used by a file of five chunks", used)
	}
	accept(t, s, ID{9}, content(spareEach+1, 1))
	remove(t, s, ID{9})
	if got := files(t, s); len(got) != 0 {
		t.Errorf("files %d are kept", got)
	}
	if used := s.files.used(); used != 0 {
		t.Errorf("%d octets used by no file", used)
	}
}

// At most so much is kept of what a flood of large mail left.
func TestFilesAreNotKeptWithoutBound(t *testing.T) {
	s := opened(t, vfs.NewCrashableMem())
	defer closeSpool(t, s)
	const many = 20
	for n := range byte(many) {
		accept(t, s, ID{1 + n}, content(spareEach-chunkSize, uint64(n)))
	}
	for n := range byte(many) {
		remove(t, s, ID{1 + n})
	}
	if n := len(files(t, s)); n == 0 || n*(spareEach-chunkSize) > spareAll {
		t.Errorf("%d files are kept", n)
	}
}

// What is kept is bounded by what the files have, over restarts too, and not by what their
// last bodies had.
func TestFilesAreKeptByTheirLength(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := opened(t, fs)
	const many = spareAll/(spareEach-chunkSize) + 3
	for n := range byte(many) {
		accept(t, s, ID{1 + n}, content(spareEach-chunkSize, uint64(n)))
	}
	for n := range byte(many) {
		remove(t, s, ID{1 + n})
		accept(t, s, ID{101 + n}, content(chunkSize+1, uint64(n))) // in the file of the long one
	}
	closeSpool(t, s)
	s = opened(t, fs)
	defer closeSpool(t, s)
	<-s.counts.done
	for n := range byte(many) {
		remove(t, s, ID{101 + n})
	}
	var octets int64
	for _, n := range files(t, s) {
		info, err := fs.Stat(s.files.path(n))
		if err != nil {
			t.Fatal(err)
		}
		octets += info.Size()
	}
	if octets > spareAll || octets < spareAll/2 {
		t.Errorf("files of %d octets are kept, at most %d may be", octets, spareAll)
	}
	if used := s.files.used(); used != uint64(octets) {
		t.Errorf("%d octets used by files of %d", used, octets)
	}
}

// A slow reader whose message is finished, and whose file has another's content by
// then, gets nothing of that.
func TestReaderOfAFileThatIsAnothers(t *testing.T) {
	s := opened(t, vfs.NewCrashableMem())
	defer closeSpool(t, s)
	text := content(3*chunkSize, 1)
	accept(t, s, ID{1}, text)
	slow, err := s.OpenBody(ID{1})
	if err != nil {
		t.Fatal(err)
	}
	late, err := s.OpenBody(ID{1})
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 10)
	if _, err := io.ReadFull(slow, first); err != nil || !bytes.Equal(first, text[:10]) {
		t.Fatalf("%q, %v", first, err)
	}
	remove(t, s, ID{1})
	accept(t, s, ID{2}, content(3*chunkSize, 2))
	if n := len(files(t, s)); n != 1 {
		t.Fatalf("%d files: the second does not meet the first", n)
	}
	for name, r := range map[string]*BodyReader{"slow": slow, "late": late} {
		rest, err := io.ReadAll(r)
		if !errors.Is(err, ErrNotFound) || !bytes.HasPrefix(text[10:], rest) && len(rest) > 0 {
			t.Errorf("%s: %d octets, %v", name, len(rest), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file that is not what it was is found by its reader and by Check, which name it;
// mail in other files is read.
func TestBrokenFiles(t *testing.T) {
	for name, breakIt := range map[string]func(path string) error{
		"flipped": func(path string) error { return flipAt(path, frameSize+frameHead+7) },
		"head":    func(path string) error { return flipAt(path, frameSize+5) },
		"cut":     func(path string) error { return os.Truncate(path, frameSize+100) },
		"missing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer closeSpool(t, s)
			accept(t, s, ID{1}, content(2*chunkSize, 1))
			accept(t, s, ID{2}, content(2*chunkSize, 2))
			file := filepath.Join(dir, bodiesName, "0000000000000001")
			if err := breakIt(file); err != nil {
				t.Fatal(err)
			}
			r, err := s.OpenBody(ID{1})
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, r)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), file) {
				t.Errorf("read: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if got, _ := problems(t, s); !strings.Contains(got, file) || strings.Count(got, "\n") > 1 {
				t.Errorf("found:\n%s", got)
			}
			if got := readBody(t, s, ID{2}); !bytes.Equal(got, content(2*chunkSize, 2)) {
				t.Error("the other body is not what was written")
			}
		})
	}
}

func flipAt(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] ^= 0x20
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

// Files that nobody names go with the next Open, and a spool that is only looked at
// counts them. Those of messages stay, as do all while envelopes cannot be read.
func TestOrphanedFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, ID{1}, content(2*chunkSize, 1))
	accept(t, s, ID{2}, content(2*chunkSize, 2))
	body(t, s, content(3*chunkSize, 3)) // never accepted
	remove(t, s, ID{2})                 // and kept
	closeSpool(t, s)
	if n := len(files(t, s)); n != 3 {
		t.Fatalf("%d files", n)
	}
	look, err := Open(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, n := problems(t, look); got != "" || n.Orphans != 2 || n.Bodies != 1 {
		t.Errorf("%+v, problems:\n%s", n, got)
	}
	closeSpool(t, look)
	if n := len(files(t, look)); n != 3 {
		t.Errorf("%d files after a look", n)
	}
	for range 2 {
		if s, err = Open(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitCounted(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := files(t, s); len(got) != 1 || got[0] != 1 {
			t.Errorf("files %d", got)
		}
		if used := s.files.used(); used != 2*frameSize {
			t.Errorf("%d octets used", used)
		}
		if got := readBody(t, s, ID{1}); !bytes.Equal(got, content(2*chunkSize, 1)) {
			t.Error("the body is not what was written")
		}
		closeSpool(t, s)
	}
}

// While an envelope cannot be read nobody knows which file it names: all stay.
func TestOrphansStayWhileEnvelopesCannotBeRead(t *testing.T) {
	h := makeHoled(t)
	s := h.open(t)
	body(t, s, content(2*chunkSize, 3))
	closeSpool(t, s)
	h.spoil(t, "entry 055 of q", bytes.Index)
	s = h.open(t)
	if err := s.WaitCounted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, s)); n != 1 {
		t.Errorf("%d files", n)
	}
	closeSpool(t, s)
}

// A process without file descriptors refuses a large message for the moment, keeps the
// files that it has, and takes small ones. A file that cannot be removed hurts nobody.
func TestFilesThatCannotBeOpenedOrRemoved(t *testing.T) {
	type fault struct {
		kind  errorfs.OpKind
		cause error
	}
	var now atomic.Pointer[fault]
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := now.Load(); f != nil && op.Kind == f.kind && strings.Contains(op.Path, bodiesName) {
			return f.cause
		}
		return nil
	}))
	s, err := Open("spool", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSpool(t, s)
	accept(t, s, ID{1}, content(2*chunkSize, 1))
	remove(t, s, ID{1})
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE} {
		now.Store(&fault{errorfs.OpOpen, cause})
		if _, err := s.NewBody().Write(content(2*chunkSize, 2)); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "open files") {
			t.Errorf("%v: %v", cause, err)
		}
		accept(t, s, ID{2}, content(100, 2))
		remove(t, s, ID{2})
		now.Store(nil)
		accept(t, s, ID{3}, content(2*chunkSize, 3))
		if got := files(t, s); len(got) != 1 {
			t.Errorf("%v: files %d", cause, got)
		}
		remove(t, s, ID{3})
	}
	now.Store(&fault{errorfs.OpRemove, syscall.EACCES})
	accept(t, s, ID{4}, content(spareEach+1, 4))
	remove(t, s, ID{4})
	accept(t, s, ID{5}, content(spareEach+1, 5))
	if got := readBody(t, s, ID{5}); !bytes.Equal(got, content(spareEach+1, 5)) || s.Err() != nil {
		t.Errorf("%d octets, %v", len(got), s.Err())
	}
	now.Store(nil)
}
