package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// scan counts the keys of a table.
func scan(f vfs.File) (n int, err error) {
	readable, err := sstable.NewSimpleReadable(unclosed{f})
	if err != nil {
		return 0, err
	}
	keys := colblk.DefaultKeySchema(pebble.DefaultComparer, keyBundle)
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{KeySchemas: sstable.MakeKeySchemas(&keys),
		Mergers: map[string]*pebble.Merger{pebble.DefaultMerger.Name: ledgerMerger()}})
	if err != nil {
		return 0, err
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return 0, errors.Join(err, r.Close())
	}
	for kv := it.First(); kv != nil; kv = it.Next() {
		n++
	}
	return n, errors.Join(it.Error(), it.Close(), r.Close())
}

// A table that has one key only, of which nothing can be found, has room for an empty one.
func TestSmallestTableIsReplaced(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open("data", Options{FS: fs, tune: func(p *pebble.Options) { p.DisableAutomaticCompactions = true }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.db.Flush(), s.db.Delete([]byte("k"), nil), s.db.Flush(), s.db.Set([]byte("k"), nil, nil), s.db.Flush()); err != nil {
		t.Fatal(err)
	}
	known, err := s.knownTables()
	if err != nil || len(known) != 3 {
		t.Fatal(len(known), err)
	}
	closeSpool(t, s)
	for name, table := range known {
		f, err := fs.Open("data/store/" + name)
		if err != nil {
			t.Fatal(err)
		}
		st, err := f.Stat()
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		replaceWhole(t, table.bounds, st.Size())
	}
}

// replaceWhole makes an empty table, which must be sound.
func replaceWhole(t *testing.T, known bounds, size int64) {
	t.Helper()
	b, err := emptyTable(known, size)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("%d octets of %d: %v", len(b), size, err)
	}
	fs := vfs.NewMem()
	if err := writeFile(fs, "", "empty", string(b)); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("empty")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if n, err := scan(f); err != nil || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
	if d, err := examine(f, known, func() {}); err != nil || d.whole || len(d.patches) > 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

// Whichever bit of a table is wrong, it is found, and what replaces it can be read. Without
// the end of a table nothing of it can be found.
func TestAnyBrokenBit(t *testing.T) {
	for _, size := range []int{64, 300, 4096} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			s, err := Open("data", Options{FS: fs, MemTable: 2 << 20, Recipients: countTags, tune: func(p *pebble.Options) {
				p.DisableAutomaticCompactions = true
				for i := range p.Levels {
					p.Levels[i].BlockSize, p.Levels[i].IndexBlockSize = size, size
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			for n := range byte(6) {
				accept(t, s, ID{n + 1}, []byte("body"))
				plan(t, s, ID{n + 1}, Entry{"q", int64(n), []byte("tag")})
			}
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			known, err := s.knownTables()
			if err != nil || len(known) != 1 {
				t.Fatal(len(known), err)
			}
			closeSpool(t, s)
			for name, table := range known {
				breakBits(t, fs, "data/store/"+name, table.bounds)
			}
		})
	}
}

func breakBits(t *testing.T, fs vfs.FS, name string, known bounds) {
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	all, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := scan(f)
	if err != nil {
		t.Fatal(err)
	}
	end := len(all) - pebble.FormatTableFormatV6.MaxTableFormat().FooterSize()
	whole, blocks := 0, 0
	for bit := 0; bit < 8*len(all); bit += stride {
		at := bit / 8
		broken := mended{f, patch{int64(at), []byte{all[at] ^ 1<<(bit%8)}}}
		d, err := examine(broken, known, func() {})
		switch {
		case err != nil:
			t.Fatalf("octet %d, bit %d: %v", at, bit%8, err)
		case at >= end && !d.whole:
			t.Fatalf("octet %d, bit %d: %+v", at, bit%8, d)
		case d.whole:
			whole++
			continue
		}
		blocks++
		if len(d.patches) == 0 {
			t.Fatalf("octet %d, bit %d: nothing is found", at, bit%8)
		}
		var to vfs.File = broken
		for _, p := range slices.Backward(d.patches) {
			to = mended{to, p}
		}
		if n, err := scan(to); err != nil || n > keys {
			t.Fatalf("octet %d, bit %d, %+v: %d keys of %d, %v", at, bit%8, d.cause, n, keys, err)
		}
	}
	replaceWhole(t, known, int64(len(all)))
	t.Logf("%d octets: with %d bits a block is lost, with %d the table", len(all), blocks, whole)
}
