package spool

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// mergingSpool is one in the middle of a merging, which meets what cannot be read when merged
// is closed. Once it is slow, it writes no table until written is closed.
func mergingSpool(t *testing.T) (s *Spool, logs *observer.ObservedLogs, merged, written chan struct{}, slow *atomic.Bool) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	met := make(chan struct{}, 9)
	merged, written, slow = make(chan struct{}), make(chan struct{}), new(atomic.Bool)
	s, err := Open("data", Options{Logger: zap.New(core), FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch {
		case !isTable(op.Path):
		case op.Kind == errorfs.OpFileReadAt && within(merging) && !within(opening):
			met <- struct{}{}
			<-merged
			return syscall.EIO
		case op.Kind == errorfs.OpCreate && slow.Load():
			<-written
		}
		return nil
	})), tune: func(p *pebble.Options) {
		p.L0CompactionThreshold, p.L0StopWritesThreshold, p.DisableTableStats = 3, 3, true
		p.MemTableSize, p.MemTableStopWritesThreshold = 256<<10, 2
	}})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	for n := range byte(2) {
		accept(t, s, ID{1 + n}, some(100))
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _ = s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false) }()
	<-met
	return s, logs, merged, written, slow
}

// Writes are held back already when the merging that they wait for stops for ever.
func TestMergingStopsWhileWritesAreHeldBack(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	s, logs, merged, _, _ := mergingSpool(t)
	done := make(chan error, 1)
	go func() {
		for {
			if err := errors.Join(acceptSome(100)(s), flush(s)); err != nil {
				done <- err
				return
			}
		}
	}()
	awaitLine(logs, "spool_writes_held_back")
	close(merged)
	if err := <-done; !errors.Is(err, ErrFailed) { // used to wait for ever
		t.Error(err)
	}
}

// Writes are held back for memory, which Pebble tells, and then for tables that are not
// merged any more, which it does not.
func TestWritesAreHeldBackForASecondReason(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	s, logs, merged, written, slow := mergingSpool(t)
	close(merged)
	<-s.stalling
	slow.Store(true)
	done := make(chan error, 1)
	go func() {
		for n := byte(1); ; n++ {
			b := s.NewBody()
			_, err := b.Write(some(50_000))
			if err = errors.Join(err, s.Accept(Incoming{ID: ID{n, n}, Body: b})); err != nil {
				done <- err
				return
			}
		}
	}()
	awaitLine(logs, "spool_writes_held_back")
	if err := s.Err(); err != nil {
		t.Errorf("it failed for what ends: %v", err)
	}
	close(written)
	if err := <-done; !errors.Is(err, ErrFailed) { // used to wait for ever
		t.Error(err)
	}
}
