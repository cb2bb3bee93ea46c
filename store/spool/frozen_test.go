package spool

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// The disk fails while somebody reads from a table that was merged away
// meanwhile. The reader, who is the last, closes the table's file and goes on.
func TestReadersEndOnAFrozenDisk(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	s, err := Open("data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	write := func(b ...byte) {
		t.Helper()
		if err := errors.Join(s.SetControl(b), s.db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	it, err := s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !it.First() {
		t.Fatal("nothing to read", it.Error())
	}
	write(2)
	if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	_ = s.fail(errors.New("the disk is dead"))
	if err := it.Close(); err != nil { // used to wait for ever
		t.Error(err)
	}
	if b, err := s.Control(); err != nil || b[0] != 2 {
		t.Errorf("Control() = %v, %v", b, err)
	}
}

// While the manifest waits for room nobody waits with it who only looks, nor who
// reads a message that another call holds.
func TestReadersDoNotWaitForRoom(t *testing.T) {
	var full atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && needsRoom(op) && strings.Contains(op.Path, "MANIFEST") {
			return syscall.ENOSPC
		}
		return nil
	}))
	s, err := Open("data", Options{FS: disk, again: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, ID{1}, content(2*chunkSize, 1))
	_ = s.used()
	full.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- s.db.Flush() }()
	for s.disk.waiting.Load() == 0 {
		runtime.Gosched()
	}
	s.shards[shardOf(ID{1})].Lock() // as a call that waits has it
	if st := s.Stats(); st.DiskUsed == 0 || st.DiskFree != 0 {
		t.Errorf("%+v", st)
	}
	if a, err := s.Audit(t.Context()); err != nil || !a.Balanced() {
		t.Errorf("%s, %v", a, err)
	}
	if got, _ := problems(t, s); got != "" {
		t.Error(got)
	}
	if _, err := s.Load(ID{1}); err != nil {
		t.Error(err)
	}
	if got := readBody(t, s, ID{1}); len(got) != 2*chunkSize {
		t.Errorf("%d octets", len(got))
	}
	s.shards[shardOf(ID{1})].Unlock()
	full.Store(false)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	closeSpool(t, s)
}

// An end while there is no room is an end.
func TestCloseDoesNotWaitForRoom(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	var full atomic.Bool
	s, err := Open("data", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && needsRoom(op) {
			return syscall.ENOSPC
		}
		return nil
	})), again: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, ID{1}, content(2*chunkSize, 1))
	full.Store(true)
	go func() { _ = s.db.Flush() }()
	for s.disk.waiting.Load() == 0 {
		runtime.Gosched()
	}
	if _, err := s.Audit(t.Context()); err != nil { // its snapshot ends later, or never
		t.Error(err)
	}
	if err := s.Close(); !errors.Is(err, ErrFull) {
		t.Errorf("closed: %v", err)
	}
}

// A table that cannot be opened while tables are merged stops that merging, not the
// process, and an end is an end, also if it began before.
func TestTableThatDoesNotOpenStopsItsMerging(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	for _, fault := range []error{syscall.EIO, pebble.ErrCorruption} {
		for _, early := range []bool{false, true} {
			var bad atomic.Bool
			gate, met := make(chan struct{}), make(chan struct{}, 9)
			s, err := Open("data", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if bad.Load() && op.Kind == errorfs.OpOpen && isTable(op.Path) {
					met <- struct{}{}
					<-gate
					return fault
				}
				return nil
			})), tune: func(p *pebble.Options) { p.L0CompactionThreshold, p.DisableTableStats = 64, true }})
			if err != nil {
				t.Fatal(err)
			}
			settled(t, s)
			bad.Store(true) // no table was opened yet
			for n := range byte(2) {
				accept(t, s, ID{1 + n}, content(50_000, 1))
				if err := s.Remove(ID{n}); n > 0 && err != nil {
					t.Fatal(err)
				}
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			go func() { _ = s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false) }()
			<-met
			closed := make(chan error, 1)
			if early {
				go func() { closed <- s.Close() }()
				for s.pins.TryRLock() { // until Close is past what it waits for before
					s.pins.RUnlock()
					runtime.Gosched()
				}
			}
			close(gate)
			<-s.stalling
			if !early {
				accept(t, s, ID{9}, content(50_000, 1))
				go func() { closed <- s.Close() }()
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
	}
}

// A merging that waited for somebody else to open a table ends when that fails. It is
// tried again, and does not count as one that cannot write.
func TestMergingWaitsForATableThatDoesNotOpen(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	var bad atomic.Pointer[string] // the table that somebody opened first
	gate, met := make(chan struct{}), make(chan struct{}, 9)
	s, err := Open("data", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpOpen || !isTable(op.Path) {
			return nil
		}
		if bad.CompareAndSwap(nil, &op.Path); *bad.Load() == op.Path {
			met <- struct{}{}
			<-gate
			return syscall.EIO
		}
		return nil
	})), tune: func(p *pebble.Options) { p.L0CompactionThreshold, p.DisableTableStats = 64, true }})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	for n := range byte(2) {
		accept(t, s, ID{1 + n}, content(50_000, 1))
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	read, merged := make(chan error, 1), make(chan error, 1)
	go func() { _, _, err := s.db.Get(appendMessageKey(nil, ID{1}, kindEnvelope)); read <- err }()
	<-met
	merge := func() { merged <- s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false) }
	go merge()
	for !anybodyIn("[chan receive", merging, opening) {
		runtime.Gosched()
	}
	close(gate)
	if err := <-read; !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
	if err := <-merged; !errors.Is(err, syscall.EIO) {
		t.Errorf("merged: %v", err)
	}
	if n := s.tableFailures.Load(); n != 0 {
		t.Errorf("%d tables could not be written", n)
	}
	go merge()
	<-s.stalling
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// settled waits for what an Open begins in the background, which reads tables.
func settled(t *testing.T, s *Spool) {
	t.Helper()
	if err := s.WaitCounted(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitReclaimed(s)
}

// anybodyIn says whether the trace of a goroutine has these parts.
func anybodyIn(parts ...string) bool {
	b := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(stack, part) }) {
			return true
		}
	}
	return false
}

// Writes that Pebble holds back for a merging that never ends fail the spool; for one
// that ends they wait.
func TestHeldBackForEver(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	s, err := Open("data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	full := pebble.WriteStallBeginInfo{Reason: "L0 file count limit exceeded"}
	s.heldBack(full)
	s.stalled.Add(1)
	s.heldBack(pebble.WriteStallBeginInfo{Reason: "memtable count limit reached"})
	if err := s.Err(); err != nil {
		t.Errorf("it failed: %v", err)
	}
	s.heldBack(full)
	if err := s.SetControl(nil); !errors.Is(err, ErrFailed) || s.Err() == nil {
		t.Errorf("it goes on: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrFailed) {
		t.Errorf("closed: %v", err)
	}
}
