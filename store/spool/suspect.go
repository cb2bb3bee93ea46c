package spool

import (
	"encoding/json"
	"errors"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// A table of which a block could not be read is noted in a folder of its own, as an
// empty file with the table's name. The next Open reads such tables whole, and heals
// them (heal.go).
const (
	suspectName    = "suspect"
	quarantineName = "quarantine"
	healingName    = "HEALING"
)

// suspect notes a table. It goes around patience and faults: if it fails, the table is
// met again.
func (s *Spool) suspect(path string) {
	fs := s.disk.FS
	name := fs.PathBase(path)
	if s.readOnly || !isTable(name) {
		return
	}
	noted := make(chan struct{})
	if first, met := s.suspects.LoadOrStore(name, noted); met {
		// Whoever goes on may end the spool, and the next start looks for the note.
		<-first.(chan struct{})
		return
	}
	defer close(noted)
	if err := noteSuspect(fs, s.dir, name); err != nil {
		s.log.Warn("spool_suspect_not_noted", zap.String("file", path), zap.Error(err))
	}
}

func noteSuspect(fs vfs.FS, dir, name string) error {
	folder := fs.PathJoin(dir, suspectName)
	if err := fs.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := fs.Create(fs.PathJoin(folder, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncFolder(fs, folder), syncFolder(fs, dir))
}

// suspected lists the tables that were noted.
func (s *Spool) suspected() ([]string, error) {
	names, err := s.disk.FS.List(s.disk.PathJoin(s.dir, suspectName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(n string) bool { return !isTable(n) }), err
}

// cleared ends the suspicion of a table.
func (s *Spool) cleared(name string) error {
	s.suspects.Delete(name)
	s.told.Delete(s.disk.PathJoin(s.dir, storeName, name))
	err := s.disk.FS.Remove(s.disk.PathJoin(s.dir, suspectName, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// healing is the record of a healing that is under way, the file HEALING. When that is
// over it goes into the quarantine, beside the tables that it tells of.
type healing struct {
	Tables []healedTable `json:"tables"`
	// Lost are the keys that were in lost blocks, or may have been.
	Lost []span `json:"lost"`
	// What of the spool itself could not be read any more.
	Epoch, Ledger, Control bool `json:",omitempty"`
	// Meta is what could be read of it before the tables were replaced, until it is written
	// again.
	Meta []metaRecord `json:"meta,omitempty"`

	// Damaged messages lost a part; they are set aside when they are met. Doubtful ones
	// may have been further, or finished: nobody can tell any more.
	Damaged  []string `json:"damaged,omitempty"`
	Doubtful []string `json:"doubtful,omitempty"`
}

type healedTable struct {
	Name  string `json:"name"`
	Kept  string `json:"kept"`  // its name in the quarantine
	Level int    `json:"level"` // 0 is the newest
	// Blocks that were replaced; 0: nothing of the table could be found.
	Blocks int    `json:"blocks"`
	Cause  string `json:"cause"`
}

func (s *Spool) readHealing() (*healing, error) {
	f, err := s.disk.FS.Open(s.disk.PathJoin(s.dir, healingName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var h healing
	return &h, errors.Join(json.NewDecoder(f).Decode(&h), f.Close())
}

func (s *Spool) writeHealing(h *healing) error {
	b, err := json.MarshalIndent(h, "", " ")
	if err != nil {
		return err
	}
	return writeFile(s.disk, s.dir, healingName, string(b))
}
