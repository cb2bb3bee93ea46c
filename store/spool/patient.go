package spool

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// patient is a file system on which a full disk is not an error but a delay:
// what finds no room is tried again until there is some. Pebble never learns of
// it, because it gives up for good when its log or manifest meets ENOSPC. New
// calls are refused meanwhile (admitInside), those under way wait.
//
// A failing sync is not repeated, whatever the reason: the kernel may have
// dropped the pages and would then report success (see failure.go).
type patient struct {
	vfs.FS
	waiting atomic.Int32 // operations that wait now
	every   time.Duration
	stop    chan struct{} // closed: wait no longer
	log     *zap.Logger
}

func newPatient(fs vfs.FS, log *zap.Logger) *patient {
	return &patient{FS: fs, every: 100 * time.Millisecond, stop: make(chan struct{}), log: log}
}

// again waits after an error of a full disk and says whether to try again.
func (p *patient) again(err error) bool {
	if !isFull(err) {
		return false
	}
	if p.waiting.Add(1) == 1 {
		p.log.Error("spool_disk_full", zap.Error(err))
	}
	defer func() {
		if p.waiting.Add(-1) == 0 {
			p.log.Info("spool_writes_go_on")
		}
	}()
	t := time.NewTimer(p.every)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.stop:
		return false
	}
}

// isFull: no room, or none left for this user.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (p *patient) file(open func() (vfs.File, error)) (vfs.File, error) {
	f, err := open()
	for err != nil && p.again(err) {
		f, err = open()
	}
	if err != nil {
		return nil, err
	}
	return &patientFile{File: f, fs: p}, nil
}

func (p *patient) do(f func() error) error {
	err := f()
	for err != nil && p.again(err) {
		err = f()
	}
	return err
}

// Create implements vfs.FS.
func (p *patient) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.file(func() (vfs.File, error) { return p.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (p *patient) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return p.file(func() (vfs.File, error) { return p.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS. It may fail after the file was renamed; then
// the new name is opened afresh, as the interface allows.
func (p *patient) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.file(func() (vfs.File, error) {
		f, err := p.FS.ReuseForWrite(old, name, c)
		if errors.Is(err, os.ErrNotExist) {
			return p.FS.Create(name, c)
		}
		return f, err
	})
}

// Link implements vfs.FS.
func (p *patient) Link(old, name string) error {
	return p.do(func() error { return p.FS.Link(old, name) })
}

// Rename implements vfs.FS.
func (p *patient) Rename(old, name string) error {
	return p.do(func() error { return p.FS.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (p *patient) MkdirAll(dir string, perm os.FileMode) error {
	return p.do(func() error { return p.FS.MkdirAll(dir, perm) })
}

// Unwrap implements vfs.FS.
func (p *patient) Unwrap() vfs.FS { return p.FS }

type patientFile struct {
	vfs.File
	fs *patient
}

// Write implements io.Writer; what was written before the disk was full is not
// written again.
func (f *patientFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	for err != nil && f.fs.again(err) {
		var more int
		more, err = f.File.Write(b[n:])
		n += more
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *patientFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	for err != nil && f.fs.again(err) {
		var more int
		more, err = f.File.WriteAt(b[n:], off+int64(n))
		n += more
	}
	return n, err
}

// Preallocate is only an advice; the writes will ask for the room again.
func (f *patientFile) Preallocate(off, n int64) error {
	if err := f.File.Preallocate(off, n); !isFull(err) {
		return err
	}
	return nil
}
