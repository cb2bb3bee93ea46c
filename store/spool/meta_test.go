package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// spoilIndex breaks the last part of the index of the newest table: what the parts before
// name is found, until the table is replaced as a whole.
func spoilIndex(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isTable(n) })
	name := fs.PathJoin(dir, slices.Max(names))
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		t.Fatal(err)
	}
	keys := colblk.DefaultKeySchema(pebble.DefaultComparer, keyBundle)
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{KeySchemas: sstable.MakeKeySchemas(&keys),
		Mergers: map[string]*pebble.Merger{pebble.DefaultMerger.Name: ledgerMerger()}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Layout()
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if len(l.Index) < 3 {
		t.Fatalf("the index of %s has %d parts", name, len(l.Index))
	}
	b[l.Index[len(l.Index)-1].Offset] ^= 4
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.Write(b)
	if err := errors.Join(err, out.Sync(), out.Close(), syncFolder(fs, dir)); err != nil {
		t.Fatal(err)
	}
}

// A table that is lost as a whole had what the spool says of itself in a part that could be
// read, and an older table has older states of it: an administrator's words, the ledger, the
// epoch. Whenever the power fails, the older ones do not come back.
func TestWhatCouldBeReadOfTheSpoolItselfStays(t *testing.T) {
	small := func(p *pebble.Options) {
		p.DisableAutomaticCompactions = true
		for i := range p.Levels {
			p.Levels[i].BlockSize, p.Levels[i].IndexBlockSize = 64, 64
		}
	}
	broken := vfs.NewCrashableMem()
	open := func(fs vfs.FS, o Options) (*Spool, error) {
		o.FS, o.MemTable, o.pause, o.Recipients, o.tune = fs, 2<<20, func() {}, countTags, small
		return Open("data", o)
	}
	var epoch uint32
	for n, control := range []string{"older", "newer"} {
		s, err := open(broken, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for m := range byte(20) {
			accept(t, s, ID{byte(n), m + 1}, []byte("body"))
		}
		if err := errors.Join(s.SetControl([]byte(control)), s.db.Flush()); err != nil {
			t.Fatal(err)
		}
		epoch = s.epoch
		closeSpool(t, s)
	}
	spoilIndex(t, broken, "data/store")

	failed := errors.New("the power fails")
	for at, whole := 0, false; !whole; at++ {
		fs, passed, point := broken.CrashClone(vfs.CrashCloneCfg{}), 0, "none"
		s, err := open(fs, Options{Verify: true, Faults: func(p string) error {
			if passed++; passed-1 == at {
				point = p
				return failed
			}
			return nil
		}})
		if whole = err == nil; whole && at == 0 {
			t.Fatal("no point is passed")
		}
		if !whole {
			if !errors.Is(err, failed) {
				t.Fatal(err)
			}
			fs = fs.CrashClone(vfs.CrashCloneCfg{})
			if s, err = open(fs, Options{}); err != nil {
				t.Fatalf("after a crash at %s: %v", point, err)
			}
		}
		after := fmt.Sprintf("after a crash at %s, number %d", point, at)
		h := recordOf(t, fs, "data/quarantine")
		if len(h.Tables) != 1 || h.Tables[0].Blocks != 0 || h.Epoch || h.Ledger || h.Control {
			t.Fatalf("%s: the record is %+v", after, h)
		}
		if c, err := s.Control(); err != nil || string(c) != "newer" {
			t.Errorf("%s: control %q, %v", after, c, err)
		}
		if s.epoch != epoch+1 {
			t.Errorf("%s: epoch %d, want %d", after, s.epoch, epoch+1)
		}
		a, err := s.Audit(t.Context())
		if err != nil || !a.Balanced() || a.Ledger[Accepted].Messages != 40 {
			t.Errorf("%s: %s, %v", after, a, err)
		}
		closeSpool(t, s)
	}
}

// recordOf reads the last record of a healing.
func recordOf(t *testing.T, fs vfs.FS, dir string) (h healing) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n, ".json") {
			continue
		}
		f, err := fs.Open(fs.PathJoin(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(json.NewDecoder(f).Decode(&h), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return h
}
