package spool

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// A migration brings a store from one format to the next, while it is opened. The
// file FORMAT says the newest format that anything in the store may have, so that
// no older version opens one that is half migrated; the key says up to which
// format all of it is. A crash leaves a step begun, and the next Open begins it
// again: a step may be run on what it, or a later one, has changed already.
type migration struct {
	what string // in a few words, for the log
	run  func(*migrator) error
}

// migrations are the steps of this version: the first from format 1 to 2. A
// release that changes what keys or values mean adds one.
func migrations() []migration {
	return []migration{
		{"large bodies get files of their own, those that are there stay", func(*migrator) error { return nil }},
	}
}

const (
	keyFormat = "\x00format" // 4 octets; absent: format 1

	faultMigrateBegin = "migrate.begin"
	faultMigrateBatch = "migrate.batch"
	faultMigrateDone  = "migrate.done"
)

// migrator is what a step may use.
type migrator struct{ s *Spool }

// rewrite calls f for each key from low until high; f adds to the batch what is to
// change. What it adds is written every so often, each time all or none.
func (m *migrator) rewrite(low, high []byte, f func(batch *pebble.Batch, k, v []byte) error) error {
	batch := m.s.db.NewBatch()
	flush := func() error {
		if err := m.s.commitSynced(batch); err != nil {
			return err
		}
		batch = m.s.db.NewBatch()
		return m.s.fault(faultMigrateBatch)
	}
	err := m.s.scanRange(m.s.db, low, high, func(k, v []byte) error {
		if err := f(batch, k, v); err != nil {
			return err
		}
		if batch.Len() >= m.s.migrateBatch {
			return flush()
		}
		return nil
	})
	if err == nil && !batch.Empty() {
		err = flush()
	}
	return err
}

// newest is the format that this version writes.
func (s *Spool) newest() int { return 1 + len(s.migrations) }

// migrate brings an open store to the newest format. file is what FORMAT says.
func (s *Spool) migrate(dir string, file int) error {
	at, err := s.format()
	if err != nil {
		return err
	}
	if at == s.newest() {
		return nil
	}
	if s.readOnly {
		return fmt.Errorf("an older version wrote it (format %d, this one has %d) and it is only looked at: start the node on it once, which changes it, or use the older version", at, s.newest())
	}
	if at > s.newest() {
		return fmt.Errorf("%w: its format is %d and file %s says %d", ErrCorrupt, at, formatName, file)
	}
	if file < s.newest() {
		if err := s.writeFormat(dir); err != nil {
			return err
		}
	}
	for ; at < s.newest(); at++ {
		step := s.migrations[at-1]
		s.log.Info("spool_migrating", zap.Int("from", at), zap.Int("to", at+1), zap.String("what", step.what))
		if err := s.fault(faultMigrateBegin); err != nil {
			return err
		}
		if err := step.run(&migrator{s}); err != nil {
			return fmt.Errorf("migration from format %d to %d: %w", at, at+1, err)
		}
		if err := s.markFormat(at + 1); err != nil {
			return err
		}
		if err := s.fault(faultMigrateDone); err != nil {
			return err
		}
	}
	return nil
}

// format is the format that all of the store has.
func (s *Spool) format() (int, error) {
	v, err := s.get([]byte(keyFormat))
	switch {
	case errors.Is(err, ErrNotFound):
		return 1, nil
	case unread(err) && s.readOnly:
		return s.file, nil // to be looked at, it is as good as any
	case unread(err):
		return 1, nil // every step may be run again
	case err == nil && len(v) != 4:
		return 0, fmt.Errorf("%w: a format of %d octets", ErrCorrupt, len(v))
	case err != nil:
		return 0, err
	}
	return int(binary.BigEndian.Uint32(v)), nil
}

func (s *Spool) markFormat(version int) error {
	batch := s.db.NewBatch()
	if err := batch.Set([]byte(keyFormat), binary.BigEndian.AppendUint32(nil, uint32(version)), nil); err != nil {
		return err
	}
	return s.commitSynced(batch)
}

func (s *Spool) writeFormat(dir string) error {
	return writeFile(s.disk, dir, formatName, fmt.Sprintf("%s%d\n", formatPrefix, s.newest()))
}
