package spool

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// Tables are merged when others come. Where no more mail comes, those of mail that is
// finished would stay: a small disk would be full of them, and, as new mail is refused
// then, for ever.
const (
	// tidyAbove is how many octets tables may have beside twice what mail has.
	tidyAbove = 64 << 20
	// tidyPiece is how many octets of tables are merged at a time.
	tidyPiece = 64 << 20
	// tidyAfter is how long no mail has come.
	tidyAfter = time.Minute
)

// tidiness is how it was when somebody looked last.
type tidiness struct {
	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	after  time.Duration
	bodies uint64
	since  time.Time // no body has come
}

func (t *tidiness) begin() {
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.after, t.since = tidyAfter, time.Now()
}

// tidy merges tables that are mostly of finished mail, if no mail comes. The caller has
// pinned the spool.
func (s *Spool) tidy(tables int64) {
	t := &s.tidiness
	if !t.mu.TryLock() {
		return // one is at it
	}
	defer t.mu.Unlock()
	now, n := time.Now(), s.bodies.Load()
	mail := s.inTables()
	if n != t.bodies || s.readOnly || !s.counts.complete.Load() || s.stalled.Load() > 0 || tables < tidyAbove+2*mail {
		t.bodies, t.since = n, now
		return
	}
	if now.Sub(t.since) < t.after {
		return
	}
	t.since = now
	levels, err := s.db.SSTables()
	if err != nil {
		s.log.Warn("spool_not_tidied", zap.Error(err))
		return
	}
	// What is merged takes room beside what it replaces.
	need := min(mail, sizeOf(levels[:1])+2*tidyPiece) + int64(s.space.least)/4
	low := []byte{0}
	for _, high := range append(pieces(levels), []byte{0xff}) {
		if t.ctx.Err() != nil || s.bodies.Load() != n || s.Err() != nil {
			return
		}
		if free := s.Free(); free < uint64(need) {
			s.log.Warn("spool_not_tidied", zap.Uint64("free_bytes", free), zap.Int64("needed_bytes", need),
				zap.String("cure", "make room on the disk; tables of finished mail are merged then, when no mail comes"))
			return
		}
		if err := s.merge(low, high); err != nil {
			if !errors.Is(err, context.Canceled) {
				s.log.Warn("spool_not_tidied", zap.Error(err))
			}
			return
		}
		low = high
	}
	s.log.Info("spool_tidied", zap.Int64("table_bytes_before", tables), zap.Duration("took", time.Since(now)))
}

// inTables is about what mail takes in tables, in octets.
func (s *Spool) inTables() int64 {
	const besideContent = 2 << 10 // envelope, plan, entries of a message
	return max(0, s.counts.bytes.Load()-s.files.octets.Load()) + besideContent*max(0, s.counts.messages.Load())
}

func (s *Spool) merge(low, high []byte) (err error) {
	defer s.recoverFailure(&err)
	return s.db.Compact(s.tidiness.ctx, low, high, false)
}

func sizeOf(levels [][]pebble.SSTableInfo) (octets int64) {
	for _, level := range levels {
		for _, t := range level {
			octets += int64(t.Size)
		}
	}
	return octets
}

// pieces are keys between which tables below the first level have tidyPiece octets each,
// about: one merging of everything cannot be ended, and needs room for all that is left.
func pieces(levels [][]pebble.SSTableInfo) (cuts [][]byte) {
	var all []pebble.SSTableInfo
	for _, level := range levels[1:] {
		all = append(all, level...)
	}
	slices.SortFunc(all, func(a, b pebble.SSTableInfo) int { return bytes.Compare(a.Largest.UserKey, b.Largest.UserKey) })
	var size uint64
	last := []byte{0}
	for _, t := range all {
		if size += t.Size; size < tidyPiece || bytes.Equal(last, t.Largest.UserKey) {
			continue
		}
		last, size = t.Largest.UserKey, 0
		cuts = append(cuts, last)
	}
	return cuts
}
