package spool

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// defaultMinFree is Options.MinFree when it is zero.
const defaultMinFree = 128 << 20

// measureEvery is how long a measurement of free space counts.
const measureEvery = time.Second

// space watches the free disk space. Between measurements it subtracts what is
// written; what the store writes besides (tables, compactions) is what MinFree
// is kept for.
type space struct {
	free  func() (uint64, error)
	every time.Duration
	start time.Time
	log   *zap.Logger
	least uint64 // MinFree

	last atomic.Int64 // when it was measured, since start
	left atomic.Int64 // octets
	full atomic.Bool

	mu sync.Mutex // one measures
}

func newSpace(free func() (uint64, error), o Options, log *zap.Logger) *space {
	sp := &space{free: free, every: measureEvery, start: time.Now(), log: log}
	if sp.least = o.MinFree; sp.least == 0 {
		sp.least = defaultMinFree
	}
	sp.last.Store(math.MinInt64 / 2)
	sp.refresh()
	return sp
}

// refresh measures if the last measurement is old. Others do not wait for the
// one that measures, and that one not for a disk that does not answer.
func (sp *space) refresh() {
	if now := time.Since(sp.start); time.Duration(now-time.Duration(sp.last.Load())) < sp.every || !sp.mu.TryLock() {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer sp.mu.Unlock()
		sp.measure()
	}()
	limit := time.NewTimer(usageWait)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

func (sp *space) measure() {
	free, err := sp.free()
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		free = math.MaxInt64
	case err != nil:
		// Not knowing is no reason to refuse mail: a disk that is really full is
		// met again by the writes themselves.
		sp.log.Warn("spool_disk_free_unknown", zap.Error(err))
		free = math.MaxInt64
	}
	free = min(free, math.MaxInt64)
	sp.left.Store(int64(free))
	sp.last.Store(int64(time.Since(sp.start)))
	sp.judge(free)
}

// judge sets full, which ends when a quarter more than MinFree is free.
func (sp *space) judge(free uint64) {
	least, was := sp.least, sp.full.Load()
	if was {
		least += least / 4
	}
	if full := free < least; full != was {
		sp.full.Store(full)
		fields := []zap.Field{zap.Bool("full", full), zap.Uint64("free_bytes", free), zap.Uint64("needed_bytes", sp.least)}
		if full {
			fields = append(fields, zap.String("cure", "make room on the disk; until then new mail is refused with 452"))
		}
		sp.log.Warn("spool_reserve", fields...)
	}
}

// admit asks for room for size octets of new mail.
func (s *Spool) admit(size int64) error {
	if err := s.admitInside(); err != nil {
		return err
	}
	s.space.refresh()
	left := s.space.left.Add(-size)
	if s.space.full.Load() || left < int64(s.space.least) {
		return fmt.Errorf("%w: %d octets are free, %d are kept in reserve; make room in its file system", ErrFull, max(0, left), s.space.least)
	}
	return nil
}

// admitInside is for what concerns mail that is already in: it makes room in
// the end, so the reserve is for it. Only a disk without any room stops it.
func (s *Spool) admitInside() error {
	if err := s.usable(); err != nil {
		return err
	}
	if s.disk.waiting.Load() > 0 {
		return fmt.Errorf("%w: writes wait for room; make room in its file system", ErrFull)
	}
	return nil
}

// Free is the free space in octets, measured at most once a second; 0 while
// writes wait for room.
func (s *Spool) Free() uint64 {
	s.space.refresh()
	if s.disk.waiting.Load() > 0 {
		return 0
	}
	return uint64(max(0, s.space.left.Load()))
}

// Stats describes the spool.
func (s *Spool) Stats() Stats {
	return Stats{
		Messages: max(0, s.counts.messages.Load()),
		Bytes:    max(0, s.counts.bytes.Load()),
		Entries:  max(0, s.counts.entries.Load()),
		Aside:    int64(len(s.aside.ids())),
		Counted:  s.counts.complete.Load(),
		DiskFree: s.Free(),
		DiskUsed: s.used(),
		DiskWait: s.dog.waited(),
	}
}
