package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// FS is a file system that a spool may stand on.
type FS = vfs.FS

// Options of a spool. The zero value is usable.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS FS
	// Logger; nil logs nothing.
	Logger *zap.Logger
	// Faults, if set, is called at each named point of each transition (see the
	// package documentation); an error it returns fails the call there.
	Faults func(point string) error
	// Free measures the free disk space in octets; nil asks FS.
	Free func() (uint64, error)
	// MinFree is the reserve, in octets of free space: below it nothing new is
	// accepted (ErrFull) until a quarter more is free. Default 128 MiB.
	MinFree uint64
	// MemTable is how much is kept in memory before tables are written, in
	// octets (default 16 MiB, at least 2 MiB; up to four exist at once). Mail that
	// is delivered while it is still there is never written to a table.
	MemTable uint64
	// Recipients counts those that a message has yet: of its plan (nil: it is only
	// submitted, count its envelope's) and the tags of its entries. nil: the ledger
	// counts recipients and nobody compares them.
	Recipients func(envelope, plan []byte, tags [][]byte) (int, error)
	// DiskTimeout is how long one operation of the disk may last, in steps of a second:
	// then the disk is taken for dead, and the spool has failed (ErrFailed). Default 5 minutes.
	DiskTimeout time.Duration
	// ReadOnly opens an existing spool to look at it: nothing in its store is
	// changed, orphans stay, and every call that writes returns ErrInvalid.
	ReadOnly bool
	// Verify reads all tables whole before the spool is opened, and heals those of which
	// something cannot be read; else that is done with those that a read has met.
	Verify bool

	// What tests change: how soon a full disk is tried again, the watchdog's clock, the
	// store, and the formats there are.
	again      time.Duration
	ticks      <-chan time.Time
	pause      func() // between two reads of a block that fails
	tune       func(*pebble.Options)
	migrations []migration
}

// Spool is an open spool. Its methods may be called from many goroutines.
type Spool struct {
	db     *pebble.DB
	log    *zap.Logger
	faults func(string) error
	lock   io.Closer
	disk   *patient
	dog    *watchdog
	space  *space
	turns  *turns

	epoch   uint32 // see bodyID
	bodies  atomic.Uint64
	buffers *buffers
	files   *bodyFiles
	shards  *[shardCount]shard
	// references is locked after shards.
	references sync.Mutex
	counts     *counts
	aside      asides

	migrations   []migration
	migrateBatch int // octets that a step gathers for one write
	file         int // what the file FORMAT says
	book         book
	since        time.Time // when the ledger began
	recipients   func(envelope, plan []byte, tags [][]byte) (int, error)

	readOnly bool

	failOnce sync.Once
	failed   chan struct{}
	cause    atomic.Pointer[error]
	// tableFailures counts tables in a row that could not be written.
	tableFailures atomic.Int32
	// unreadProperties counts how often properties of tables could not be read.
	unreadProperties atomic.Int64
	// stalled counts mergings of tables that met something unreadable; stalling is
	// closed at the first.
	stalled   atomic.Int32
	stallOnce sync.Once
	stalling  chan struct{}
	// held: Pebble lets no write through now, as it does when there are stopWrites tables on
	// top of each other that are not merged.
	held       atomic.Bool
	stopWrites int
	closed     atomic.Bool

	// pins is read-locked by what uses the store in the background (pin.go).
	pins      sync.RWMutex
	usage     atomic.Uint64
	told      sync.Map // lists and files of which the log has heard
	suspects  sync.Map // tables that were noted (suspect.go)
	dir       string
	pause     func()
	measuring atomic.Bool
	reclaims  reclaims
	tidiness  tidiness
}

// Open opens or creates the spool in the folder dir, repairs what a crash left
// (see the package documentation) and begins to count. It refuses a folder that
// holds something else, that is in use, or that a newer version wrote; it then
// leaves it as it was.
func Open(dir string, o Options) (*Spool, error) {
	s := &Spool{
		log:      o.Logger,
		faults:   o.Faults,
		buffers:  newBuffers(),
		shards:   newShards(),
		counts:   newCounts(),
		turns:    newTurns(),
		failed:   make(chan struct{}),
		stalling: make(chan struct{}),
		readOnly: o.ReadOnly, recipients: o.Recipients,
		dir: dir, pause: o.pause,
	}
	if s.pause == nil {
		s.pause = func() { time.Sleep(readPause) }
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
	}
	s.migrations, s.migrateBatch = migrations(), 1<<20
	if o.migrations != nil {
		s.migrations, s.migrateBatch = o.migrations, 1
	}
	s.dog = newWatchdog(o.DiskTimeout, s.giveUp, s.log)
	fs = &watched{fs, s.dog}
	s.disk = newPatient(fs, o.again, s.log)
	s.disk.unreadable = s.unreadable
	s.disk.opener = func(err error) { _ = s.fail(err) }
	s.files = &bodyFiles{fs: s.disk}
	if o.Free == nil {
		o.Free = func() (uint64, error) {
			u, err := fs.GetDiskUsage(dir)
			return u.AvailBytes, err
		}
	}
	if o.ticks == nil {
		s.dog.start()
	} else {
		go s.dog.run(o.ticks)
	}
	opened := make(chan error, 1)
	go func() { opened <- s.open(dir, o) }()
	var err error
	select {
	case err = <-opened:
	case <-s.dog.given: // what waits is left behind, on a disk that froze
		<-s.failed
		err = s.failure()
	}
	if err != nil {
		s.dog.stop()
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	return s, nil
}

// lockError tells a folder that somebody has from one that cannot be written, by its
// user or by anybody.
func lockError(err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("its file system is read-only; look why (the kernel makes it so after errors), mend it and mount it for writing (%w)", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("it belongs to another user; run as that one, or give it the folder (%w)", err)
	}
	return fmt.Errorf("it is in use by another process: two nodes cannot share a folder; end that one, or name another folder (%w)", err)
}

func (s *Spool) open(dir string, o Options) (err error) {
	defer s.recoverFailure(&err)
	if o.ReadOnly {
		if _, err := s.readFormat(dir); err != nil {
			return fmt.Errorf("it cannot be looked at: %w", err)
		}
	} else if err := makeFolder(s.disk, dir); err != nil {
		return err
	}
	if s.lock, err = s.disk.Lock(s.disk.PathJoin(dir, lockName)); err != nil {
		return lockError(err)
	}
	defer func() {
		if err != nil {
			_ = s.lock.Close()
		}
	}()
	if s.db, err = s.openStore(dir, o); err != nil {
		return err
	}
	if !o.ReadOnly {
		err = s.heal(o)
	}
	s.disk.opened()
	var there []uint64
	if err == nil {
		there, err = s.files.open(dir, o.ReadOnly)
	}
	if err == nil {
		err = s.migrate(dir, s.file)
	}
	if err == nil && !o.ReadOnly {
		err = s.begin()
	}
	if err == nil {
		err = s.loadLedger()
	}
	if err == nil {
		err = s.loadAside()
	}
	if err != nil {
		select {
		case <-s.failed: // Pebble would wait for what never ends
		default:
			if s.db != nil {
				_ = s.closeStore()
			}
		}
		return err
	}
	s.turns.begin()
	s.tidiness.begin()
	s.space = newSpace(o.Free, o, s.log)
	snap, release, _ := s.snapshot()
	go s.countInBackground(snap, release, maps.Clone(s.aside.of), there)
	s.reclaimInBackground()
	return nil
}

// begin starts a new epoch, with it the ledger if there is none, and deletes
// bodies whose envelopes never came.
func (s *Spool) begin() error {
	var err error
	if s.epoch, err = s.lastEpoch(); err != nil {
		return err
	}
	s.epoch++
	batch := s.db.NewBatch()
	if err := batch.Set([]byte(keyEpoch), binary.BigEndian.AppendUint32(nil, s.epoch), nil); err != nil {
		return err
	}
	if err := s.beginLedger(batch); err != nil {
		return err
	}
	// Synced before the first body: its name must not be given again.
	if err := s.commitSynced(batch); err != nil {
		return err
	}
	return s.sweep()
}

// lastEpoch is how often the spool was opened. If nobody can tell any more, it is a
// number far above that of the last body: no body's name may be given again.
func (s *Spool) lastEpoch() (uint32, error) {
	v, err := s.get([]byte(keyEpoch))
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, nil
	case err == nil && len(v) == 4:
		return binary.BigEndian.Uint32(v), nil
	case err == nil:
		err = fmt.Errorf("%w: an epoch of %d octets", ErrCorrupt, len(v))
	case !unread(err):
		return 0, err
	}
	return s.epochBeyond(err)
}

// epochBeyond is an epoch far above that of the last body.
func (s *Spool) epochBeyond(cause error) (uint32, error) {
	it, e := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tagBody}, UpperBound: []byte{tagBody + 1}})
	if e != nil {
		return 0, s.readError(e)
	}
	var last uint32
	if it.Last() && len(it.Key()) > 5 {
		last = binary.BigEndian.Uint32(it.Key()[1:])
	}
	if e := it.Close(); e != nil {
		return 0, s.readError(e)
	}
	s.log.Error("spool_epoch_lost", zap.Uint32("last_body", last), zap.Error(cause), zap.String("cure", "none is needed: names of bodies go on far above"))
	return last + 1<<20, nil
}

// sweep runs before the first NewBody, so every open body is an orphan. Those of which
// the list cannot be read stay.
func (s *Spool) sweep() error {
	var orphans []bodyID
	err := s.scan([]byte{tagOpenBody}, []byte{tagOpenBody + 1}, func(it *pebble.Iterator) (bool, error) {
		b, err := parseOpenBodyKey(it.Key())
		if err == nil {
			orphans = append(orphans, b)
		}
		return it.Next(), err
	})
	if unread(err) {
		s.log.Error("spool_orphans_unread", zap.Error(err), zap.String("cure", "none is needed: content that nobody waits for stays on the disk"))
		err = nil
	}
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

func (s *Spool) countInBackground(snap *pebble.Snapshot, release func(), aside map[ID]map[entryKey]struct{}, there []uint64) {
	defer close(s.counts.done)
	start := time.Now()
	named, whole, err := s.count(snap, aside)
	release()
	if err == nil && whole && !s.readOnly {
		s.removeOrphans(there, named)
	}
	switch {
	case err != nil && !errors.Is(err, ErrClosed):
		s.log.Error("spool_count_failed", zap.Error(err))
	case !s.closed.Load():
		s.counts.complete.Store(true)
		s.log.Info("spool_counted", zap.Int64("messages", s.counts.messages.Load()),
			zap.Int64("entries", s.counts.entries.Load()), zap.Duration("took", time.Since(start)))
	}
}
