package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Options of a spool. The zero value is usable.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS vfs.FS
	// Logger; nil logs nothing.
	Logger *zap.Logger
	// Faults, if set, is called at each named point of each transition (see the
	// package documentation); an error it returns fails the call there.
	Faults func(point string) error
	// Free measures the free disk space in octets; nil asks FS.
	Free func() (uint64, error)
	// Thresholds of Level and of ErrFull, in octets of free space: below
	// MinFree nothing new is accepted (default 128 MiB), below HighFree the level
	// is High (default 512 MiB), below MediumFree it is Medium (default 2 GiB).
	// A level is left when a quarter more than its threshold is free.
	MinFree, HighFree, MediumFree uint64
	// MemTable is how much is kept in memory before tables are written, in
	// octets (default 64 MiB, at least 2 MiB; up to four exist at once). Mail that
	// is delivered while it is still there is never written to a table.
	MemTable uint64
}

// Spool is an open spool. Its methods may be called from many goroutines.
type Spool struct {
	db     *pebble.DB
	log    *zap.Logger
	faults func(string) error
	lock   io.Closer
	disk   *patient
	space  *space
	// watched is disk, reporting slowness; unwatch ends that.
	watched vfs.FS
	unwatch io.Closer

	epoch   uint32 // see bodyID
	bodies  atomic.Uint64
	buffers *buffers
	shards  *[shardCount]shard
	// references is locked after shards.
	references sync.Mutex
	counts     *counts

	failOnce sync.Once
	failed   chan struct{}
	cause    atomic.Pointer[error]
	closed   atomic.Bool
}

// Open opens or creates the spool in the folder dir, repairs what a crash left
// (see the package documentation) and begins to count. It refuses a folder that
// holds something else, that is in use, or that a newer version wrote; it then
// leaves it as it was.
func Open(dir string, o Options) (*Spool, error) {
	s := &Spool{
		log:     o.Logger,
		faults:  o.Faults,
		buffers: newBuffers(),
		shards:  newShards(),
		counts:  newCounts(),
		failed:  make(chan struct{}),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
	}
	s.disk = newPatient(fs, s.log)
	s.watched, s.unwatch = vfs.WithDiskHealthChecks(s.disk, slowDisk, nil, s.diskSlow)
	if o.Free == nil {
		o.Free = func() (uint64, error) {
			u, err := fs.GetDiskUsage(dir)
			return u.AvailBytes, err
		}
	}
	if err := s.open(dir, o); err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, errors.Join(err, s.unwatch.Close()))
	}
	return s, nil
}

func (s *Spool) open(dir string, o Options) (err error) {
	defer s.recoverFailure(&err)
	if err := makeFolder(s.disk, dir); err != nil {
		return err
	}
	if s.lock, err = s.disk.Lock(s.disk.PathJoin(dir, lockName)); err != nil {
		return fmt.Errorf("it is in use by another process (%w)", err)
	}
	defer func() {
		if err != nil {
			_ = s.lock.Close()
		}
	}()
	if s.db, err = s.openStore(dir, o); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		_ = s.db.Close()
		return err
	}
	s.space = newSpace(o.Free, o, s.log)
	go s.countInBackground(s.db.NewSnapshot())
	return nil
}

// begin starts a new epoch and deletes bodies whose envelopes never came.
func (s *Spool) begin() error {
	v, closer, err := s.db.Get([]byte(keyEpoch))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return s.readError(err)
	default:
		if len(v) != 4 {
			return fmt.Errorf("%w: an epoch of %d octets", ErrCorrupt, len(v))
		}
		s.epoch = binary.BigEndian.Uint32(v)
		_ = closer.Close()
	}
	s.epoch++
	batch := s.db.NewBatch()
	if err := batch.Set([]byte(keyEpoch), binary.BigEndian.AppendUint32(nil, s.epoch), nil); err != nil {
		return err
	}
	// Synced before the first body: its name must not be given again.
	if err := s.commitSynced(batch); err != nil {
		return err
	}
	return s.sweep()
}

// sweep runs before the first NewBody, so every open body is an orphan.
func (s *Spool) sweep() error {
	var orphans []bodyID
	err := s.scan([]byte{tagOpenBody}, []byte{tagOpenBody + 1}, func(it *pebble.Iterator) (bool, error) {
		b, err := parseOpenBodyKey(it.Key())
		orphans = append(orphans, b)
		return it.Next(), err
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	for _, b := range orphans {
		if err := s.sweepBody(b); err != nil {
			return err
		}
	}
	s.log.Info("spool_orphans_deleted", zap.Int("bodies", len(orphans)))
	return nil
}

func (s *Spool) sweepBody(b bodyID) error {
	if err := s.fault(faultSweepBegin); err != nil {
		return err
	}
	batch := s.db.NewBatch()
	low := appendChunkKey(nil, b, 0)
	err := s.scan(low, append(appendChunkKey(nil, b, ^uint32(0)), 0), func(it *pebble.Iterator) (bool, error) {
		err := batch.SingleDelete(it.Key(), nil)
		return it.Next(), err
	})
	if err != nil {
		return err
	}
	if err := batch.SingleDelete(appendOpenBodyKey(nil, b), nil); err != nil {
		return err
	}
	if err := s.commitUnsynced(batch); err != nil {
		return err
	}
	return s.fault(faultSweepDone)
}

func (s *Spool) countInBackground(snap *pebble.Snapshot) {
	defer close(s.counts.done)
	start := time.Now()
	err := s.count(snap)
	if e := snap.Close(); err == nil {
		err = e
	}
	switch {
	case err != nil:
		s.log.Error("spool_count_failed", zap.Error(err))
	case !s.closed.Load():
		s.counts.complete.Store(true)
		s.log.Info("spool_counted", zap.Int64("messages", s.counts.messages.Load()),
			zap.Int64("entries", s.counts.entries.Load()), zap.Duration("took", time.Since(start)))
	}
}

// Close syncs and closes. The caller has ended its calls; one that waits for
// room on a full disk is failed.
func (s *Spool) Close() error {
	if s.closed.Swap(true) {
		return ErrClosed
	}
	<-s.counts.done
	full := s.disk.waiting.Load() > 0
	close(s.disk.stop)
	select {
	case <-s.failed:
		return s.failure() // Pebble would wait for what never ends
	default:
	}
	if full {
		return s.fail(ErrFull)
	}
	err := s.closeStore()
	return errors.Join(err, s.unwatch.Close(), s.lock.Close())
}

func (s *Spool) closeStore() (err error) {
	defer s.recoverFailure(&err)
	return s.db.Close()
}
