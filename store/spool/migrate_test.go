package spool

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// release010 lays the spool of a node of release 0.1.0 out on a disk.
func release010(t *testing.T) *vfs.MemFS {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "node", "queue", "testdata", "release-0.1.0.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewCrashableMem()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(filepath.Clean(h.Name), "spool/")
		if h.FileInfo().IsDir() || !ok {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(filepath.Join("data", "spool", name))
		if err := makeFolder(fs, dir); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(fs, dir, filepath.Base(name), string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// marked is a step that appends a mark to every envelope, and to none twice.
func marked(mark string) migration {
	return migration{"envelopes get " + mark, func(m *migrator) error {
		return m.rewrite([]byte{tagMessage}, []byte{tagMessage + 1}, func(b *pebble.Batch, k, v []byte) error {
			if key, err := parseMessageKey(k); err != nil || key.kind != kindEnvelope || bytes.HasSuffix(v, []byte(mark)) {
				return err
			}
			if err := b.Delete(k, nil); err != nil { // set keys are set once
				return err
			}
			return b.Set(k, append(bytes.Clone(v), mark...), nil)
		})
	}}
}

// everything is all keys with their values, but those that each Open writes.
func everything(t *testing.T, s *Spool) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.scanRange(s.db, []byte{0}, []byte{0xff}, func(k, v []byte) error {
		if name := string(k); k[0] != tagMeta || name == keyFormat {
			all[name] = string(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A spool of release 0.1.0 is brought to each later format, step by step. The
// power fails, or the disk says no, in the middle of each step: older versions
// refuse what is half migrated, and the next start comes to the same end.
func TestMigrations(t *testing.T) {
	steps := []migration{marked("-two"), marked("-three"), marked("-four")}
	with := func(n int) func(*Options) { return func(o *Options) { o.migrations = steps[:n] } }
	fs := release010(t)
	want := map[int]map[string]string{}
	for n := range steps {
		s := opened(t, fs.CrashClone(vfs.CrashCloneCfg{}), with(n+1))
		want[n+1] = everything(t, s)
		if at, err := s.format(); at != n+2 || err != nil {
			t.Errorf("after %d steps the format is %d, %v", n+1, at, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(fmt.Sprint(want[3]), "-two-three-four"); n != 3 {
		t.Fatalf("%d envelopes are marked, want 3", n)
	}

	type halfway struct {
		point string
		fs    *vfs.MemFS
	}
	var images []halfway
	rng := rand.New(rand.NewPCG(7, 0))
	s := opened(t, fs, with(1)) // not all at once
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	points := map[string]int{}
	s = opened(t, fs, with(3), func(o *Options) {
		o.Faults = func(point string) error {
			points[point]++
			for _, percent := range []int{0, 50} {
				images = append(images, halfway{point, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})})
			}
			return nil
		}
	})
	if got := everything(t, s); !maps.Equal(got, want[3]) {
		t.Error("two steps after one are not three")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if points[faultMigrateBegin] != 2 || points[faultMigrateBatch] < 4 || points[faultMigrateDone] != 2 {
		t.Fatalf("points %v", points)
	}
	for i, im := range images {
		for n := range 3 {
			if s, err := Open("data/spool", Options{FS: im.fs, migrations: append([]migration{}, steps[:n]...)}); err == nil || !strings.Contains(err.Error(), "a newer version wrote it (format 4") {
				t.Errorf("image %d at %s: format %d opened it: %v, %v", i, im.point, n+1, s, err)
			}
		}
		s, err := Open("data/spool", Options{FS: im.fs, migrations: steps, ReadOnly: true})
		if err == nil {
			// The last step was done; anything before may not be looked at.
			if at, e := s.format(); at != 4 || e != nil {
				t.Errorf("image %d at %s is looked at in format %d, %v", i, im.point, at, e)
			}
			err = s.Close()
		} else if strings.Contains(err.Error(), "older version wrote it") {
			err = nil
		}
		if err != nil {
			t.Errorf("image %d at %s: %v", i, im.point, err)
		}
		s = opened(t, im.fs, with(3))
		if got := everything(t, s); !maps.Equal(got, want[3]) {
			t.Errorf("image %d at %s: another end", i, im.point)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}

	for _, point := range []string{faultMigrateBegin, faultMigrateBatch, faultMigrateDone} {
		fs, no := release010(t), errors.New("no")
		if _, err := Open("data/spool", Options{FS: fs, migrations: steps, Faults: func(p string) error {
			if p == point {
				return no
			}
			return nil
		}}); !errors.Is(err, no) {
			t.Errorf("%s: %v", point, err)
		}
		s := opened(t, fs, with(3))
		if got := everything(t, s); !maps.Equal(got, want[3]) {
			t.Errorf("after an error at %s: another end", point)
		}
	}
}

// A spool that is made today needs no migration, whatever the formats before.
func TestNewSpoolHasTheNewestFormat(t *testing.T) {
	fs := vfs.NewMem()
	never := migration{"never", func(*migrator) error { return errors.New("migrated") }}
	for range 2 {
		s := opened(t, fs, func(o *Options) { o.migrations = []migration{never, never} })
		accept(t, s, ID{byte(s.epoch)}, []byte("x"))
		if at, err := s.format(); at != 3 || err != nil {
			t.Errorf("format %d, %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
