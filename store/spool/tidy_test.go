package spool

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tablesOf is the octets of a spool's tables.
func tablesOf(s *Spool) (octets int64) { return int64(s.db.Metrics().Total().TablesSize) }

// Tables of finished mail go when no more comes, and what is left stays whole.
func TestTablesOfFinishedMailGo(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	s := opened(t, vfs.NewMem(), func(o *Options) { o.Free = func() (uint64, error) { return free.Load(), nil } })
	defer closeSpool(t, s)
	s.space.every = 0
	<-s.counts.done
	left := content(1000, 7)
	accept(t, s, ID{9, 9}, left)
	const many = tidyAbove/chunkSize + 40
	for n := range many {
		accept(t, s, ID{1, byte(n >> 8), byte(n)}, content(chunkSize, uint64(n)))
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	look := func() int64 {
		s.tidy(tablesOf(s))
		return tablesOf(s)
	}
	s.tidiness.after = 0
	_ = look()
	if got := look(); got < tidyAbove {
		t.Errorf("tables of %d octets while there is mail of as many", got)
	}
	for n := range many {
		remove(t, s, ID{1, byte(n >> 8), byte(n)})
	}
	accept(t, s, ID{8}, nil)
	if got := look(); got < tidyAbove {
		t.Errorf("merged while mail comes, to %d octets", got)
	}
	s.tidiness.after = tidyAfter
	if got := look(); got < tidyAbove {
		t.Errorf("merged at once, to %d octets", got)
	}
	s.tidiness.after = 0
	free.Store(16 << 20)
	if got := look(); got < tidyAbove {
		t.Errorf("merged with hardly any room, to %d octets", got)
	}
	free.Store(64 << 20)
	if got := look(); got > 1<<20 {
		t.Errorf("tables of %d octets for two small messages", got)
	}
	if got := readBody(t, s, ID{9, 9}); !bytes.Equal(got, left) {
		t.Error("what was left is not whole")
	}
	if got, _ := problems(t, s); got != "" {
		t.Error(got)
	}
}

func aTable(size uint64, largest string) pebble.SSTableInfo {
	var i pebble.SSTableInfo
	i.Size, i.Largest.UserKey = size, []byte(largest)
	return i
}

// Pieces are of about one size, in order, and none is empty; the first level is in none.
func TestPieces(t *testing.T) {
	const half = tidyPiece / 2
	for _, c := range []struct {
		levels [][]pebble.SSTableInfo
		want   []string
	}{
		{[][]pebble.SSTableInfo{{aTable(4*half, "x")}}, nil},
		{[][]pebble.SSTableInfo{nil, {aTable(half, "d")}, {aTable(half, "b")}}, []string{"d"}},
		{[][]pebble.SSTableInfo{{aTable(9*half, "z")}, {aTable(half, "d"), aTable(half, "h")}, {aTable(half, "b"), aTable(2*half, "d"), aTable(half, "f"), aTable(1, "k")}}, []string{"d", "f"}},
		{[][]pebble.SSTableInfo{nil, {aTable(2*half, "d"), aTable(3*half, "e")}}, []string{"d", "e"}},
	} {
		got := pieces(c.levels)
		if !slices.EqualFunc(got, c.want, func(a []byte, b string) bool { return string(a) == b }) {
			t.Errorf("%v: pieces end at %q, want %q", c.levels, got, c.want)
		}
	}
}

// An end of the spool ends tidying, too.
func TestClosingEndsTidying(t *testing.T) {
	s := opened(t, vfs.NewMem())
	<-s.counts.done
	s.tidiness.after = 0
	s.tidy(1 << 40) // it sees mail for the first time
	s.tidiness.stop()
	before := s.db.Metrics().Compact.Count
	s.tidy(1 << 40)
	if after := s.db.Metrics().Compact.Count; after != before {
		t.Errorf("%d mergings after the end began", after-before)
	}
}
