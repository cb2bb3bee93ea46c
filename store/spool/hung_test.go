package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// hung is a disk that answers nothing from an operation on, until it is released.
type hung struct {
	concerns func(errorfs.Op) bool
	on       atomic.Bool
	all      bool // what comes later waits, too
	first    atomic.Pointer[errorfs.Op]
	hit      chan struct{}
	release  chan struct{}
}

func newHung(all bool, concerns func(errorfs.Op) bool) *hung {
	return &hung{all: all, concerns: concerns, hit: make(chan struct{}), release: make(chan struct{})}
}

func (h *hung) String() string { return "no answer" }

func (h *hung) MaybeError(op errorfs.Op) error {
	switch {
	case h.first.Load() != nil:
		if h.all {
			<-h.release
		}
	case h.on.Load() && h.concerns(op) && h.first.CompareAndSwap(nil, &op):
		close(h.hit)
		<-h.release
	}
	return nil
}

// hungTicks is the limit on disks that hang, in ticks.
const hungTicks = 12

// tickUntil makes ticks pass; it stops when nobody counts them any more.
func tickUntil(ticks chan<- time.Time, n int, ended <-chan struct{}) {
	for range n {
		select {
		case ticks <- time.Time{}:
		case <-ended:
			return
		}
	}
}

// stories make the disk do each kind of operation. What they do before is healthy.
var stories = []struct {
	name     string
	concerns func(errorfs.Op) bool
	// answers says that the story's call returns although the disk does not answer.
	answers bool
	before  func(s *Spool) error
	story   func(s *Spool) error
}{
	{"sync of the log", at(".log", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo), true, nil, acceptSome(100)},
	{"write of the log", at(".log", errorfs.OpFileWrite), true, nil, acceptSome(100)},
	{"new log", at(".log", errorfs.OpCreate, errorfs.OpReuseForWrite), true, nil, flush},
	{"create of a table", at(".sst", errorfs.OpCreate), true, acceptSome(100), flush},
	{"write of a table", at(".sst", errorfs.OpFileWrite), true, acceptSome(100), flush},
	{"sync of a table", at(".sst", errorfs.OpFileSync, errorfs.OpFileSyncData), true, acceptSome(100), flush},
	{"write of the manifest", at("MANIFEST", errorfs.OpFileWrite), true, acceptSome(100), flush},
	{"sync of the manifest", at("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData), true, acceptSome(100), flush},
	{"open of a table", at(".sst", errorfs.OpOpen), false, inTable, load},
	{"read of a table", at(".sst", errorfs.OpFileReadAt, errorfs.OpFileRead), false, inTable, load},
	{"merging", at(".sst", errorfs.OpFileReadAt), true, inTable, func(s *Spool) error {
		return s.guarded(func() error { return s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false) })
	}},
	{"open of a body", at("bodies/", errorfs.OpCreate, errorfs.OpOpen), true, nil, acceptSome(2 * chunkSize)},
	{"write of a body", at("bodies/", errorfs.OpFileWrite, errorfs.OpFileWriteAt), true, nil, acceptSome(2 * chunkSize)},
	{"sync of a body", at("bodies/", errorfs.OpFileSync, errorfs.OpFileSyncData), true, nil, acceptSome(2 * chunkSize)},
	{"sync of the bodies' folder", at("data/bodies", errorfs.OpFileSync), true, nil, acceptSome(2 * chunkSize)},
	{"read of a body", at("bodies/", errorfs.OpFileReadAt, errorfs.OpFileRead), false, acceptSome(2 * chunkSize), readAgain},
	// What asks for it does not wait: node/gossip does, for its neighbours.
	{"free space", at("data", errorfs.OpGetDiskUsage), true, nil, func(s *Spool) error {
		s.space.every = 0
		_, _ = s.Free(), s.Free()
		s.space.every = time.Hour
		return acceptSome(100)(s)
	}},
}

func at(part string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, k := range kinds {
			if op.Kind == k && strings.Contains(op.Path, part) {
				return true
			}
		}
		return false
	}
}

func acceptSome(size int) func(*Spool) error {
	return func(s *Spool) error {
		b := s.NewBody()
		defer b.Discard()
		if _, err := b.Write(some(size)); err != nil {
			return err
		}
		return s.Accept(Incoming{ID: ID{7, byte(s.counts.messages.Load())}, Body: b})
	}
}

func flush(s *Spool) error { return s.guarded(s.db.Flush) }

// inTable puts messages into two tables that nobody has read yet.
func inTable(s *Spool) error {
	one := acceptSome(20_000)
	return errors.Join(one(s), flush(s), one(s), flush(s))
}

func load(s *Spool) error {
	for i := range s.shards {
		s.shards[i].Lock()
		clear(s.shards[i].known)
		s.shards[i].Unlock()
	}
	_, err := s.Load(ID{1})
	return err
}

func readAgain(s *Spool) error {
	r, err := s.OpenBody(ID{7, 1})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	_, err = r.WriteTo(&b)
	return errors.Join(err, r.Close())
}

// awaitLine waits for a line of the log.
func awaitLine(logs *observer.ObservedLogs, event string) {
	for logs.FilterMessage(event).Len() == 0 {
		runtime.Gosched()
	}
}

// hang lives a story on a disk that hangs in it.
func hang(t *testing.T, all bool, n int, judge func(s *Spool, h *hung, ticks chan<- time.Time, done <-chan error, logs *observer.ObservedLogs)) {
	t.Helper()
	st := stories[n]
	h := newHung(all, st.concerns)
	disk, ticks := vfs.NewCrashableMem(), make(chan time.Time)
	core, logs := observer.New(zap.InfoLevel)
	s, err := Open("data", Options{FS: &withUsage{errorfs.Wrap(disk, h)}, Logger: zap.New(core), MemTable: 2 << 20, DiskTimeout: hungTicks * tick, ticks: ticks,
		tune: func(p *pebble.Options) {
			p.L0CompactionThreshold, p.DisableTableStats, p.CacheSize = 64, true, 1
		}})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	accept(t, s, ID{1}, some(3000))
	if st.before != nil {
		if err := st.before(s); err != nil {
			t.Fatal(err)
		}
	}
	h.on.Store(true)
	done := make(chan error, 1)
	go func() { done <- st.story(s) }()
	select {
	case <-h.hit:
	case err := <-done:
		select {
		case <-h.hit: // in the background
			done <- err
		default:
			t.Fatalf("the story has no such operation: %v", err)
		}
	}
	judge(s, h, ticks, done, logs)
	after, err := Open("data", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	if got := readBody(t, after, ID{1}); !bytes.Equal(got, some(3000)) {
		t.Errorf("of what was accepted there are %d octets", len(got))
	}
	closeSpool(t, after)
}

// withUsage is a disk that is asked for its room.
type withUsage struct{ vfs.FS }

// GetDiskUsage implements vfs.FS.
func (u *withUsage) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	_, err := u.FS.GetDiskUsage(path)
	return vfs.DiskUsage{AvailBytes: 1 << 40}, err
}

// A disk does not answer, at each kind of operation, and from there on not at all: once the
// limit is reached the spool has failed, as on a disk that is dead, calls that write
// return, and Close does.
func TestDiskThatNeverAnswers(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	for n, st := range stories {
		t.Run(st.name, func(t *testing.T) {
			hang(t, true, n, func(s *Spool, h *hung, ticks chan<- time.Time, done <-chan error, logs *observer.ObservedLogs) {
				tickUntil(ticks, hungTicks, s.failed)
				if err := s.Err(); err != nil {
					t.Errorf("failed before the limit: %v", err)
				}
				tickUntil(ticks, 2, s.failed)
				<-s.Failed()
				if text := s.Err().Error(); !errors.Is(s.Err(), ErrFailed) || !strings.Contains(text, h.first.Load().Path) || !strings.Contains(text, "does not answer") {
					t.Errorf("failed with %v", s.Err())
				}
				if st.answers {
					if err := <-done; !errors.Is(err, ErrFailed) {
						t.Errorf("the call gave %v", err)
					}
				}
				if err := acceptSome(10)(s); !errors.Is(err, ErrFailed) {
					t.Errorf("accepted by a dead disk: %v", err)
				}
				if err := s.Close(); !errors.Is(err, ErrFailed) {
					t.Errorf("closed: %v", err)
				}
				awaitLine(logs, "spool_failed")
				awaitLine(logs, "spool_disk_slow")
			})
		})
	}
}

// An operation that lasts almost as long as that, and returns, ends nothing.
func TestSlowDiskEndsNothing(t *testing.T) {
	for n, st := range stories {
		t.Run(st.name, func(t *testing.T) {
			hang(t, false, n, func(s *Spool, h *hung, ticks chan<- time.Time, done <-chan error, logs *observer.ObservedLogs) {
				tickUntil(ticks, hungTicks, s.failed)
				if got := s.dog.waited(); got != (hungTicks-1)*tick && got != (hungTicks-2)*tick {
					t.Errorf("waited %v", got)
				}
				close(h.release)
				if err := <-done; err != nil {
					t.Error(err)
				}
				tickUntil(ticks, hungTicks, s.failed)
				if err := s.Err(); err != nil || s.dog.waited() != 0 {
					t.Errorf("%v, waits for %v", err, s.dog.waited())
				}
				awaitLine(logs, "spool_disk_slow")
				closeSpool(t, s)
			})
		})
	}
}

// A disk stops to answer at each operation of an Open, of a new spool and of one that was
// killed: Open gives up.
func TestOpenOnADiskThatNeverAnswers(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		inChild(t, 0)
		return
	}
	for _, old := range []bool{false, true} {
		kinds := map[errorfs.OpKind]int{}
		for at := int64(0); ; at++ {
			disk := vfs.NewCrashableMem()
			if old {
				s, err := Open("data", Options{FS: disk})
				if err != nil {
					t.Fatal(err)
				}
				accept(t, s, ID{1}, some(2*chunkSize))
				disk = disk.CrashClone(vfs.CrashCloneCfg{})
				closeSpool(t, s)
			}
			var count atomic.Int64
			var opened atomic.Bool
			h := newHung(true, func(errorfs.Op) bool { return !opened.Load() && count.Add(1) > at })
			h.on.Store(true)
			ticks, ended := make(chan time.Time), make(chan struct{})
			var s *Spool
			var err error
			go func() {
				defer close(ended)
				s, err = Open("data", Options{FS: errorfs.Wrap(disk, h), DiskTimeout: hungTicks * tick, ticks: ticks})
				opened.Store(true)
			}()
			select {
			case <-h.hit:
				tickUntil(ticks, hungTicks+2, ended)
				<-ended
			case <-ended:
			}
			switch {
			case err == nil && s.Err() == nil && h.first.Load() == nil:
				closeSpool(t, s)
			case err == nil: // an operation in the background
				<-s.Failed()
				if err := s.Close(); !errors.Is(err, ErrFailed) {
					t.Errorf("operation %d: closed: %v", at, err)
				}
			case !errors.Is(err, ErrFailed):
				t.Errorf("operation %d, %+v: %v", at, *h.first.Load(), err)
			}
			if h.first.Load() == nil {
				if at < 20 {
					t.Errorf("%d operations only", at)
				}
				t.Logf("%d operations, by kind %v", at, fmt.Sprint(kinds))
				break
			}
			kinds[h.first.Load().Kind]++
		}
	}
}
