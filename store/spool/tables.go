package spool

import (
	"errors"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// tableBuffer is how much of a table is gathered for one write, in octets. Pebble
// writes blocks of a few kilobytes, several for each body; a table counts only
// once it was synced, so it is all the same when they get to the file.
const tableBuffer = 256 << 10

// isTable says whether a file is a table: nothing relies on it before its sync.
func isTable(name string) bool { return strings.HasSuffix(name, ".sst") }

// tables lends buffers to the tables that are being written.
type tables struct{ pool sync.Pool }

func (t *tables) file(f vfs.File) vfs.File {
	buf, ok := t.pool.Get().(*[tableBuffer]byte)
	if !ok {
		buf = new([tableBuffer]byte)
	}
	return &tableFile{File: f, lender: t, whole: buf, pending: buf[:0]}
}

// tableFile is a table that is being written.
type tableFile struct {
	vfs.File
	lender  *tables
	whole   *[tableBuffer]byte
	pending []byte // of whole, not written yet
}

// Write implements io.Writer.
func (f *tableFile) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if len(f.pending) == cap(f.pending) {
			if err := f.flush(); err != nil {
				return n, err
			}
		}
		k := copy(f.pending[len(f.pending):cap(f.pending)], b[n:])
		f.pending = f.pending[:len(f.pending)+k]
		n += k
	}
	return n, nil
}

func (f *tableFile) flush() error {
	if len(f.pending) == 0 {
		return nil
	}
	n, err := f.File.Write(f.pending)
	f.pending = f.pending[:copy(f.pending, f.pending[n:])]
	return err
}

// Sync implements vfs.File.
func (f *tableFile) Sync() error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *tableFile) SyncData() error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *tableFile) SyncTo(length int64) (fullSync bool, err error) {
	if err := f.flush(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}

// Close implements io.Closer.
func (f *tableFile) Close() error {
	err := f.flush()
	f.lender.pool.Put(f.whole)
	f.pending = nil
	return errors.Join(err, f.File.Close())
}
