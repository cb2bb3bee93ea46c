package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// problems runs Check and gives what it found, as one text a line.
func problems(t *testing.T, s *Spool) (string, Census) {
	t.Helper()
	var all []string
	n, err := s.Check(t.Context(), func(p Problem) { all = append(all, p.Text) })
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n"), n
}

// Every rule of the table is broken once, by hand; the check must say so.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	id := ID{7}
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *Spool, b *pebble.Batch)
		says string
	}{
		"no envelope": {func(_ *testing.T, _ *Spool, b *pebble.Batch) {
			_ = b.Delete(appendMessageKey(nil, id, kindEnvelope), nil)
		}, "no envelope"},
		"no queue": {func(t *testing.T, s *Spool, b *pebble.Batch) {
			for _, e := range mustLoad(t, s, id).Entries {
				_ = deleteEntry(b, id, entryKey{e.Queue, e.Due})
			}
		}, "planned and in no queue"},
		"half an entry": {func(t *testing.T, s *Spool, b *pebble.Batch) {
			e := mustLoad(t, s, id).Entries[0]
			_ = b.Delete(appendQueueKey(nil, e.Queue, e.Due, id), nil)
		}, "are not those of the queues"},
		"other tag": {func(t *testing.T, s *Spool, b *pebble.Batch) {
			e := mustLoad(t, s, id).Entries[0]
			_ = b.Set(appendQueueKey(nil, e.Queue, e.Due, id), []byte("other"), nil)
		}, "are not those of the queues"},
		"submitted and planned": {func(_ *testing.T, _ *Spool, b *pebble.Batch) {
			_ = b.Set(appendSubmittedKey(nil, id), nil, nil)
		}, "still listed as submitted"},
		"forgotten": {func(_ *testing.T, _ *Spool, b *pebble.Batch) {
			_ = b.Delete(appendSubmittedKey(nil, ID{8}), nil)
		}, "neither submitted nor planned"},
		"chunk missing": {func(t *testing.T, s *Spool, b *pebble.Batch) {
			_ = b.Delete(appendChunkKey(nil, bodyOf(t, s, ID{8}), 0), nil)
		}, "octets in 0 chunks and must have"},
		"body of nobody": {func(_ *testing.T, _ *Spool, b *pebble.Batch) {
			_ = b.Set(appendChunkKey(nil, bodyID{9}, 0), []byte("x"), nil)
		}, "belongs to no message"},
		"reference of nobody": {func(t *testing.T, s *Spool, b *pebble.Batch) {
			_ = b.Set(appendReferenceKey(nil, bodyOf(t, s, id), id), nil, nil)
		}, "has 1 references"},
		"key of no format": {func(_ *testing.T, _ *Spool, b *pebble.Batch) {
			_ = b.Set([]byte("zebra"), nil, nil)
		}, "none of this format"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir(), Options{MemTable: 2 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer closeSpool(t, s)
			accept(t, s, id, content(chunkSize+100, 1))
			plan(t, s, id, Entry{Queue: "q", Due: 5, Tag: []byte("tag")})
			accept(t, s, ID{8}, content(10, 2))
			if got, n := problems(t, s); got != "" || n.Messages != 2 || n.Submitted != 1 || n.Entries != 1 {
				t.Fatalf("before: %+v, problems:\n%s", n, got)
			}
			b := s.db.NewBatch()
			c.do(t, s, b)
			if err := s.db.Apply(b, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			if got, _ := problems(t, s); !strings.Contains(got, c.says) {
				t.Errorf("found %q, want %q", got, c.says)
			}
		})
	}
}

// A flipped octet on disk is found and named, and all other messages are read.
func TestCheckGoesOnBehindABrokenBlock(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mark := bytes.Repeat([]byte("the broken one "), 2000)
	for i := range 20 {
		text := content(40_000, uint64(i))
		if i == 11 {
			text = mark
		}
		accept(t, s, ID{byte(i + 1)}, text)
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if flip(t, dir, mark[:1000]) == 0 {
		t.Fatal("the body is in no table")
	}
	before := tree(t, dir)

	s, err = Open(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	got, n := problems(t, s)
	if !strings.Contains(got, "cannot be read") || n.Messages != 20 {
		t.Errorf("%+v, found:\n%s", n, got)
	}
	for i := range 20 {
		r, err := s.OpenBody(ID{byte(i + 1)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.WriteTo(io.Discard)
		if (i == 11) != errors.Is(err, ErrCorrupt) {
			t.Errorf("message %d: %v", i+1, err)
		}
		_ = r.Close()
	}
	_, err = s.NewBody().Write(content(2*chunkSize, 3))
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("writing into what is only looked at: %v", err)
	}
	closeSpool(t, s)
	after := tree(t, dir)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("looking changed %s", name)
		}
	}
}

func mustLoad(t *testing.T, s *Spool, id ID) Stored {
	t.Helper()
	m, err := s.loadScan(id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func bodyOf(t *testing.T, s *Spool, id ID) bodyID {
	t.Helper()
	m, err := s.message(id)
	if err != nil {
		t.Fatal(err)
	}
	return m.body.id
}

func closeSpool(t *testing.T, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// flip changes one octet of each place in the tables that holds text.
func flip(t *testing.T, dir string, text []byte) (n int) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, storeName, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(b, text)
		if i < 0 {
			continue
		}
		b[i+10] ^= 0x40
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// A merging of tables that meets a broken block stands still: Pebble would end
// the process. Mail comes and goes beside it, and an end is an end.
func TestBrokenBlockDoesNotEndTheProcess(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0) // the merging stands still until the process ends
		return
	}
	dir := t.TempDir()
	open := func() *Spool {
		s, err := Open(dir, Options{MemTable: 2 << 20, tune: func(p *pebble.Options) { p.L0CompactionThreshold = 64 }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	mark := bytes.Repeat([]byte("the broken one "), 2000)
	for i := range 20 {
		text := content(40_000, uint64(i))
		if i == 11 {
			text = mark
		}
		accept(t, s, ID{byte(i + 1)}, text)
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if flip(t, dir, mark[:1000]) == 0 {
		t.Fatal("the body is in no table")
	}
	s = open()
	// Deletions in a second table, and what they delete in the broken one.
	for i := range 20 {
		if err := s.Remove(ID{byte(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	db := s.db
	go func() { _ = db.Compact(t.Context(), []byte{0}, []byte{0xff}, false) }()
	for s.stalled.Load() == 0 {
		runtime.Gosched()
	}
	for i := range 20 {
		accept(t, s, ID{100, byte(i + 1)}, content(chunkSize+1, uint64(i))) // several memtables
	}
	closeSpool(t, s)
	// What is left of Pebble holds its folder until the process ends.
	next := t.TempDir()
	if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	dir = next
	s = open()
	for i := range 20 {
		if got := readBody(t, s, ID{100, byte(i + 1)}); len(got) != chunkSize+1 {
			t.Errorf("message %d has %d octets", i, len(got))
		}
	}
	closeSpool(t, s)
}
