package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Names in the spool's folder. formatName is written when the store exists and
// is empty; before that creatingName says that nothing in the folder matters.
const (
	lockName     = "LOCK"
	formatName   = "FORMAT"
	creatingName = "CREATING"
	storeName    = "store"

	formatPrefix = "postroad spool "
)

// makeFolder makes dir durably: a folder exists after a crash only if its
// parent was synced.
func makeFolder(fs vfs.FS, dir string) error {
	var missing []string
	for d := dir; ; d = fs.PathDir(d) {
		_, err := fs.Stat(d)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err // not knowing what is missing, nobody could sync it
		}
		if err == nil || d == fs.PathDir(d) {
			break
		}
		missing = append(missing, d)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range slices.Backward(missing) {
		if err := syncFolder(fs, fs.PathDir(d)); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile makes a small file durably, whole or not at all.
func writeFile(fs vfs.FS, dir, name, text string) error {
	temporary := fs.PathJoin(dir, name+".tmp")
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temporary, fs.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncFolder(fs, dir)
}

// openStore opens the store, or makes it in an empty folder.
func (s *Spool) openStore(dir string, o Options) (*pebble.DB, error) {
	names, err := s.disk.List(dir)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == lockName || strings.HasSuffix(n, ".tmp") })
	switch {
	case slices.Contains(names, formatName):
		if s.file, err = s.readFormat(dir); err != nil {
			return nil, err
		}
		return s.openPebble(dir, o, func(p *pebble.Options) { p.ErrorIfNotExists, p.ReadOnly = true, o.ReadOnly })
	case len(names) == 0 || slices.Contains(names, creatingName):
		return s.create(dir, o)
	}
	return nil, fmt.Errorf("the folder is not empty and holds no spool (it has %q, no file %s): name another folder", names[0], formatName)
}

// readFormat gives the version in the file FORMAT, one that this version knows.
func (s *Spool) readFormat(dir string) (version int, err error) {
	f, err := s.disk.Open(s.disk.PathJoin(dir, formatName))
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(string(text), formatPrefix+"%d\n", &version); err != nil || version < 1 {
		return 0, fmt.Errorf("%w: file %s is not as it was written; restore the folder or name another", ErrCorrupt, formatName)
	}
	if version > s.newest() {
		return 0, fmt.Errorf("a newer version wrote it (format %d, this one reads up to %d): run that version, or drain the spool with it first", version, s.newest())
	}
	return version, nil
}

// create makes the store. A crash on the way leaves creatingName, and the next
// Open begins again: nothing was accepted before formatName was there.
func (s *Spool) create(dir string, o Options) (*pebble.DB, error) {
	if err := writeFile(s.disk, dir, creatingName, ""); err != nil {
		return nil, err
	}
	store := s.disk.PathJoin(dir, storeName)
	for _, old := range []string{store, s.disk.PathJoin(dir, bodiesName)} {
		if err := s.disk.RemoveAll(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if err := s.disk.MkdirAll(store, 0o700); err != nil {
		return nil, err
	}
	if err := syncFolder(s.disk, dir); err != nil {
		return nil, err
	}
	db, err := s.openPebble(dir, o, func(p *pebble.Options) { p.ErrorIfExists = true })
	if err != nil {
		return nil, err
	}
	if s.newest() > 1 {
		err := s.guarded(func() error {
			return db.Set([]byte(keyFormat), binary.BigEndian.AppendUint32(nil, uint32(s.newest())), pebble.Sync)
		})
		if err != nil {
			return nil, errors.Join(err, s.guarded(db.Close))
		}
	}
	s.file = s.newest()
	if err := s.finishCreate(dir); err != nil {
		return nil, errors.Join(err, s.guarded(db.Close))
	}
	return db, nil
}

func (s *Spool) finishCreate(dir string) error {
	if err := s.fault(faultOpenCreated); err != nil {
		return err
	}
	if err := s.writeFormat(dir); err != nil {
		return err
	}
	if err := s.fault(faultOpenMarked); err != nil {
		return err
	}
	return s.disk.Remove(s.disk.PathJoin(dir, creatingName))
}

func (s *Spool) openPebble(dir string, o Options, set func(*pebble.Options)) (*pebble.DB, error) {
	p := s.pebbleOptions(o)
	set(p)
	var db *pebble.DB
	err := s.guarded(func() (err error) {
		db, err = pebble.Open(s.disk.PathJoin(dir, storeName), p)
		return err
	})
	if err != nil && pebble.IsCorruptionError(err) {
		return nil, fmt.Errorf("%w: %w; restore the folder or name another", ErrCorrupt, err)
	}
	return db, err
}

// pebbleOptions: small bodies are most of the octets; they are written once, read
// once or twice, and most are deleted within the life of a memtable. So the
// memtable is large, and nothing is compressed.
func (s *Spool) pebbleOptions(o Options) *pebble.Options {
	if o.MemTable == 0 {
		o.MemTable = 16 << 20
	}
	p := &pebble.Options{
		FS:                          s.disk,
		Merger:                      ledgerMerger(),
		Logger:                      logger{s.log, s.fail},
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                max(o.MemTable, 2<<20),
		MemTableStopWritesThreshold: 4,
		CacheSize:                   32 << 20,
		MaxOpenFiles:                1000,
		L0CompactionThreshold:       16,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               256 << 20,
		EventListener:               s.events(),
		// One, and one for each that stands still.
		CompactionConcurrencyRange: func() (int, int) { n := 1 + int(s.stalled.Load()); return n, n },
	}
	p.Experimental.CompactionScheduler = s.turns
	if o.tune != nil {
		o.tune(p)
	}
	s.stopWrites = p.L0StopWritesThreshold
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return p
}

func (s *Spool) events() *pebble.EventListener {
	return &pebble.EventListener{
		// Without this Pebble ends the process, and one bad block takes all mail with it.
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			if _, told := s.told.LoadOrStore(i.Path, true); !told {
				s.log.Error("spool_corrupt", zap.String("file", i.Path),
					zap.String("cure", "start the node again: it heals the table as it starts; look at the disk"), zap.Error(i.Details))
			}
			s.suspect(i.Path)
			s.stall(i.Path, i.Details)
		},
		BackgroundError: s.tableFailed,
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				s.tableFailures.Store(0)
			}
			s.heldForEver()
		},
		WriteStallBegin: s.heldBack,
		WriteStallEnd: func() {
			s.held.Store(false)
			s.log.Info("spool_writes_go_on")
		},
		PossibleAPIMisuse: func(i pebble.PossibleAPIMisuseInfo) {
			s.log.Error("spool_key_deleted_wrongly", zap.String("cure", "please report this"), zap.Stringer("storage", i))
		},
	}
}

func (s *Spool) tableFailed(err error) {
	if within(collecting) {
		s.propertiesUnread(err)
		return
	}
	s.log.Error("spool_background_failed", zap.Error(err))
	if _, reading := errors.AsType[readFailure](err); !reading && !pebble.IsCorruptionError(err) && s.tableFailures.Add(1) >= maxTableFailures {
		s.disk.freeze() // or Pebble would go on trying, as fast as it can
		_ = s.fail(err)
	}
}

// propertiesUnread is told that Pebble could not read what a table says of itself, by
// which it picks tables to merge. It tries again as soon as this returns. No mail depends on it.
func (s *Spool) propertiesUnread(err error) {
	if n := s.unreadProperties.Add(1); n&(n-1) == 0 { // a line each time that it has failed twice as often
		s.log.Error("spool_properties_unread", zap.Int64("tries", n), zap.Error(err),
			zap.String("cure", "look at the disk; start the node again: it heals what is corrupt"))
	}
	time.Sleep(s.disk.every)
	s.disk.thaw() // or it would go on trying when the disk was given up
}
