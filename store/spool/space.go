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

// Thresholds when Options leaves them zero.
const (
	defaultMinFree    = 128 << 20
	defaultHighFree   = 512 << 20
	defaultMediumFree = 2 << 30
)

// measureEvery is how long a measurement of free space counts.
const measureEvery = time.Second

// space watches the free disk space. Between measurements it subtracts what is
// written; what the store writes besides (tables, compactions) is what MinFree
// is kept for.
type space struct {
	free   func() (uint64, error)
	every  time.Duration
	start  time.Time
	log    *zap.Logger
	limits [High + 1]uint64 // below limits[l] the level is l; limits[Normal] is MinFree

	last  atomic.Int64 // when it was measured, since start
	left  atomic.Int64 // octets
	full  atomic.Bool
	level atomic.Uint32

	mu sync.Mutex // one measures
}

func newSpace(free func() (uint64, error), o Options, log *zap.Logger) *space {
	sp := &space{free: free, every: measureEvery, start: time.Now(), log: log}
	sp.limits = [...]uint64{Normal: o.MinFree, Medium: o.MediumFree, High: o.HighFree}
	for i, d := range [...]uint64{Normal: defaultMinFree, Medium: defaultMediumFree, High: defaultHighFree} {
		if sp.limits[i] == 0 {
			sp.limits[i] = d
		}
	}
	sp.last.Store(math.MinInt64 / 2)
	sp.refresh()
	return sp
}

// refresh measures if the last measurement is old. Others do not wait for the
// one that measures.
func (sp *space) refresh() {
	if now := time.Since(sp.start); time.Duration(now-time.Duration(sp.last.Load())) < sp.every || !sp.mu.TryLock() {
		return
	}
	defer sp.mu.Unlock()
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

// judge sets level and full. A threshold that was crossed is crossed back only
// when a quarter more than it is free.
func (sp *space) judge(free uint64) {
	under := func(limit uint64, was bool) bool {
		if was {
			limit += limit / 4
		}
		return free < limit
	}
	was := Level(sp.level.Load())
	level := Normal
	for l := Medium; l <= High; l++ {
		if under(sp.limits[l], was >= l) {
			level = l
		}
	}
	sp.full.Store(under(sp.limits[Normal], sp.full.Load()))
	if level != was {
		sp.level.Store(uint32(level))
		sp.log.Warn("spool_pressure", zap.Stringer("level", level), zap.Stringer("was", was), zap.Uint64("free_bytes", free))
	}
}

// admit asks for room for size octets of new mail.
func (s *Spool) admit(size int64) error {
	if err := s.admitInside(); err != nil {
		return err
	}
	s.space.refresh()
	left := s.space.left.Add(-size)
	if s.space.full.Load() || left < int64(s.space.limits[Normal]) {
		return fmt.Errorf("%w: %d octets are free, %d are kept in reserve; make room in its file system", ErrFull, max(0, left), s.space.limits[Normal])
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

// Level is the present call for patience, measured at most once a second.
func (s *Spool) Level() Level {
	s.space.refresh()
	if s.disk.waiting.Load() > 0 {
		return High
	}
	return Level(s.space.level.Load())
}

// Stats describes the spool.
func (s *Spool) Stats() Stats {
	level := s.Level()
	st := Stats{
		Messages: max(0, s.counts.messages.Load()),
		Bytes:    max(0, s.counts.bytes.Load()),
		Entries:  max(0, s.counts.entries.Load()),
		Counted:  s.counts.complete.Load(),
		DiskFree: uint64(max(0, s.space.left.Load())),
		Level:    level,
	}
	if s.usable() == nil {
		st.DiskUsed = s.db.Metrics().DiskSpaceUsage()
	}
	return st
}
