package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Healing happens while the store is opened, before tables are merged and before
// anybody uses it. First the tables (here), then what their lost blocks said is made
// up from what others say (reconcile.go). A crash at any point leaves the file HEALING,
// or the suspicion, and the next Open goes on:
//
//	point            a crash there leaves
//	heal.noted       the record, the table as it was
//	heal.copied      and a whole copy beside it
//	heal.kept        and the table in the quarantine too, by a second name
//	heal.replaced    the copy in its place
//	heal.restored    what could be read of the spool itself before, written again
//	heal.reconciled  some of the messages told the truth about, durably
//	heal.done        all of them; the record in the quarantine
const (
	faultHealNoted      = "heal.noted"
	faultHealCopied     = "heal.copied"
	faultHealKept       = "heal.kept"
	faultHealReplaced   = "heal.replaced"
	faultHealRestored   = "heal.restored"
	faultHealReconciled = "heal.reconciled"
	faultHealDone       = "heal.done"
)

// healRounds: reading all messages may find more that cannot be read.
const healRounds = 5

// heal mends the tables that are under suspicion, all if o.Verify is set.
func (s *Spool) heal(o Options) error {
	all := o.Verify
	var last error
	for range healRounds {
		names, err := s.suspected()
		if err != nil {
			return err
		}
		h, err := s.readHealing()
		if err != nil {
			return fmt.Errorf("file %s: %w", healingName, err)
		}
		if h == nil && len(names) == 0 && !all {
			return nil
		}
		if h == nil {
			h = &healing{}
		}
		for _, t := range h.Tables { // an earlier healing may have been broken off
			names = append(names, t.Name)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) > 0 || all {
			if err := s.healTables(o, h, names, all); err != nil {
				return err
			}
			all = false
		}
		if len(h.Tables) == 0 {
			return nil
		}
		err = s.reconcile(h)
		if err == nil {
			return s.healed(h)
		}
		if !unread(err) {
			return err
		}
		if more, e := s.suspected(); e != nil || len(more) == 0 {
			return errors.Join(err, e)
		}
		last = err
	}
	return fmt.Errorf("tables were read %d times and there are still blocks that cannot be: mend the disk, or carry the mail over with postroad spool export and import: %w", healRounds, last)
}

// table is what the store knows of one of its tables.
type table struct {
	level int
	bounds
}

// tables lists the tables by the names of their files.
func (s *Spool) knownTables() (map[string]table, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, err
	}
	known := map[string]table{}
	for level, infos := range levels {
		for _, i := range infos {
			name := fmt.Sprintf("%06d.sst", uint64(i.BackingSSTNum))
			t, more := known[name] // several parts of one file, of virtual tables
			if !more || bytes.Compare(i.Smallest.UserKey, t.smallest.UserKey) < 0 {
				t.smallest = i.Smallest.Clone()
			}
			if !more || bytes.Compare(i.Largest.UserKey, t.largest.UserKey) > 0 {
				t.largest = i.Largest.Clone()
			}
			t.level, t.last = level, max(t.last, i.LargestSeqNum)
			known[name] = t
		}
	}
	return known, nil
}

// healTables closes the store, mends tables, and opens it again.
func (s *Spool) healTables(o Options, h *healing, names []string, all bool) error {
	known, err := s.knownTables()
	if err != nil {
		return err
	}
	if all {
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	if err := s.noteMeta(h); err != nil {
		return err
	}
	err = s.guarded(s.db.Close)
	s.db = nil // until it is opened again
	if err != nil {
		return err
	}
	s.disk.reopening()
	for _, name := range names {
		t, there := known[name]
		if there {
			mended, err := s.healTable(h, name, t)
			if errors.Is(err, errLeft) {
				s.log.Error("spool_not_healed", zap.String("table", name), zap.Error(err),
					zap.String("cure", "mail in it is served around what cannot be read; mend the disk and start the node again"))
				continue
			}
			if err != nil {
				return err
			}
			if mended {
				s.log.Error("spool_table_healed", zap.Any("table", h.Tables[len(h.Tables)-1]))
			}
		}
		if err := s.cleared(name); err != nil {
			return err
		}
	}
	if len(h.Lost) == 0 { // what could not be read before can be now
		h.Epoch, h.Ledger, h.Control = false, false, false
	}
	s.turns = newTurns()
	if s.db, err = s.openStore(s.dir, o); err != nil {
		return err
	}
	return s.putBackMeta(h)
}

// errLeft: a table was left as it was, and the spool may be opened on it.
var errLeft = errors.New("the table is left as it was")

// healTable reads a table whole and replaces it if that is needed.
func (s *Spool) healTable(h *healing, name string, t table) (mended bool, err error) {
	fs, path := s.disk, s.disk.PathJoin(s.dir, storeName, name)
	f, err := fs.FS.Open(path)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errLeft, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	d, err := examine(f, t.bounds, s.pause)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errLeft, err)
	}
	if len(d.patches) == 0 && !d.whole {
		return false, nil
	}
	var instead []byte
	if d.whole {
		if instead, err = emptyTable(t.bounds, d.size); err != nil {
			return false, err
		}
	}
	kept := h.note(name, t.level, d, time.Now())
	if err := s.writeHealing(h); err != nil {
		return false, err
	}
	if err := s.fault(faultHealNoted); err != nil {
		return false, err
	}
	if err := s.copyTable(f, d, instead); err != nil {
		return false, err
	}
	if err := s.fault(faultHealCopied); err != nil {
		return false, err
	}
	if err := s.keep(path, kept); err != nil {
		return false, err
	}
	if err := s.fault(faultHealKept); err != nil {
		return false, err
	}
	if err := fs.Rename(fs.PathJoin(s.dir, copyName), path); err != nil {
		return false, err
	}
	if err := syncFolder(fs, fs.PathJoin(s.dir, storeName)); err != nil {
		return false, err
	}
	return true, s.fault(faultHealReplaced)
}

// healedForm is how names in the quarantine begin: with the time.
const healedForm = "20060102T150405Z"

// Healed is when tables of this spool were healed last, in whole seconds, as far as the records
// in the quarantine tell; zero: never. What was set aside before may be whole. One that a wrong
// clock put into the future does not count: all that is set aside until then would be before it,
// at each start.
func (s *Spool) Healed() (last time.Time) {
	now := time.Now()
	names, err := s.disk.List(s.disk.PathJoin(s.dir, quarantineName))
	if err != nil {
		return last
	}
	for _, n := range names {
		if at, err := time.Parse(healedForm, n[:min(len(n), len(healedForm))]); err == nil && at.After(last) && !at.After(now) {
			last = at
		}
	}
	return last
}

// copyName is the copy that is to replace a table, in the spool's folder.
const copyName = "healed.tmp"

// note adds a table to the record, once, and gives the name under which it is kept.
func (h *healing) note(name string, level int, d *damage, now time.Time) string {
	h.Lost = append(h.Lost, d.lost...)
	for _, t := range h.Tables {
		if t.Name == name {
			return t.Kept // an earlier healing was broken off
		}
	}
	kept := fmt.Sprintf("%s-level%d-%s.sst", now.UTC().Format(healedForm), level, name[:len(name)-len(".sst")])
	blocks := len(d.patches)
	if d.whole {
		blocks = 0
	}
	h.Tables = append(h.Tables, healedTable{Name: name, Kept: kept, Level: level, Blocks: blocks, Cause: d.cause.Error()})
	return kept
}

// keep gives the broken table its second name. The store's is taken away by what
// replaces it, so it is never gone.
func (s *Spool) keep(path, kept string) error {
	fs, folder := s.disk, s.disk.PathJoin(s.dir, quarantineName)
	if err := fs.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := fs.Link(path, fs.PathJoin(folder, kept)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return errors.Join(syncFolder(fs, folder), syncFolder(fs, s.dir))
}

// copyTable writes the table that replaces one, durably:
// instead is the whole of it, if that is not patched.
func (s *Spool) copyTable(f vfs.File, d *damage, instead []byte) error {
	out, err := s.disk.Create(s.disk.PathJoin(s.dir, copyName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if d.whole {
		_, err = out.Write(instead)
	} else {
		err = patched(out, f, d.size, d.patches)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// patched copies a file, and never reads what patches replace.
func patched(out vfs.File, in vfs.File, size int64, patches []patch) error {
	slices.SortFunc(patches, func(a, b patch) int { return int(a.at - b.at) })
	buf := make([]byte, 256<<10)
	at := int64(0)
	until := func(end int64) error {
		for at < end {
			n := min(end-at, int64(len(buf)))
			if _, err := in.ReadAt(buf[:n], at); err != nil {
				return err
			}
			if _, err := out.Write(buf[:n]); err != nil {
				return err
			}
			at += n
		}
		return nil
	}
	for _, p := range patches {
		if err := until(p.at); err != nil {
			return err
		}
		if _, err := out.Write(p.b); err != nil {
			return err
		}
		at += int64(len(p.b))
	}
	return until(size)
}

// healed puts the record away.
func (s *Spool) healed(h *healing) error {
	last := h.Tables[len(h.Tables)-1].Kept
	name := last[:len(last)-len(".sst")] + ".json"
	if err := s.writeHealing(h); err != nil {
		return err
	}
	fs, folder := s.disk, s.disk.PathJoin(s.dir, quarantineName)
	if err := fs.Rename(fs.PathJoin(s.dir, healingName), fs.PathJoin(folder, name)); err != nil {
		return err
	}
	for _, d := range []string{folder, s.dir} { // in this order: it must not be in neither
		if err := syncFolder(fs, d); err != nil {
			return err
		}
	}
	s.log.Error("spool_healed", zap.Int("tables", len(h.Tables)), zap.Int("damaged_messages", len(h.Damaged)), zap.Int("doubtful_messages", len(h.Doubtful)),
		zap.String("record", fs.PathJoin(folder, name)),
		zap.String("cure", "messages that lost something are set aside when they are met; doubtful ones may be delivered twice; look at the disk"))
	return s.fault(faultHealDone)
}
