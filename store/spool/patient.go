package spool

import (
	"errors"
	"os"
	"strings"
	"sync"
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
// dropped the pages and would then report success.
//
// What fails for another reason in the log, the manifest or the folder ends
// everything, and Pebble does not learn of that either: it would take the whole
// process with it. The disk freezes (see failure.go).
type patient struct {
	vfs.FS
	waiting atomic.Int32 // operations that wait now
	every   time.Duration
	stop    chan struct{} // closed: wait no longer
	log     *zap.Logger
	tables  tables

	// fatal is told why the disk freezes; it closes frozen. nil while the store is
	// being opened: that may simply fail. But once that has written a table, or a job in the
	// background has met an error, jobs use what it would put away: then it becomes opener's, and
	// everything that is no table is vital.
	fatal  atomic.Pointer[func(error)]
	opener func(error)
	midway atomic.Bool
	frozen chan struct{}
	freeze func()
	// unreadable is told of a read that failed, and gives the error to go on with; it
	// may not return.
	unreadable func(file string, cause error) error
}

func newPatient(fs vfs.FS, every time.Duration, log *zap.Logger) *patient {
	if every == 0 {
		every = 100 * time.Millisecond
	}
	p := &patient{FS: fs, every: every, stop: make(chan struct{}), log: log, frozen: make(chan struct{})}
	p.freeze = sync.OnceFunc(func() { close(p.frozen) })
	return p
}

// again tries what met a full disk until there is room. Until then the disk
// counts as full, also between two tries.
func (p *patient) again(err error, try func() error) error {
	if !isFull(err) {
		return err
	}
	if p.waiting.Add(1) == 1 {
		p.log.Error("spool_disk_full", zap.Error(err))
	}
	defer func() {
		if p.waiting.Add(-1) == 0 {
			p.log.Info("spool_writes_go_on")
		}
	}()
	t := time.NewTicker(p.every)
	defer t.Stop()
	for isFull(err) {
		select {
		case <-t.C:
			err = try()
		case <-p.stop:
			return err
		}
	}
	return err
}

// isFull: no room, or none left for this user.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// thaw waits for ever if the disk is frozen.
func (p *patient) thaw() {
	select {
	case <-p.frozen:
		select {}
	default:
	}
}

// vital says whether Pebble cannot survive an error with this file: the log,
// the manifest with what points to it, the folder.
func (p *patient) vital(name string) bool {
	if p.midway.Load() && !isTable(name) {
		return true
	}
	base := p.FS.PathBase(name)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST") || strings.HasPrefix(base, "marker.") || base == storeName
}

// verdict passes an error on, or freezes.
func (p *patient) verdict(name string, err error) error {
	p.thaw()
	if err != nil && p.fatal.Load() == nil && within(flushing) && p.fatal.CompareAndSwap(nil, &p.opener) {
		p.midway.Store(true) // as with a table, though this one had nothing to write
	}
	fatal := p.fatal.Load()
	if err == nil || fatal == nil || !p.vital(name) {
		return err
	}
	(*fatal)(err)
	select {}
}

func (p *patient) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	p.thaw()
	f, err := open()
	err = p.again(err, func() (err error) { f, err = open(); return err })
	if err = p.verdict(name, err); err != nil {
		return nil, err
	}
	return &patientFile{File: f, fs: p, name: name}, nil
}

func (p *patient) do(name string, f func() error) error {
	p.thaw()
	return p.verdict(name, p.again(f(), f))
}

// opened ends the time in which opening may simply fail.
func (p *patient) opened() {
	p.fatal.Store(&p.opener)
	p.midway.Store(false)
}

// reopening is told that the store was closed and will be opened again.
func (p *patient) reopening() {
	p.fatal.Store(nil)
	p.midway.Store(false)
}

// List implements vfs.FS.
func (p *patient) List(dir string) ([]string, error) {
	names, err := p.FS.List(dir)
	if err != nil && p.midway.Load() {
		err = p.verdict(dir, err)
	}
	return names, err
}

// Create implements vfs.FS.
func (p *patient) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if isTable(name) && p.fatal.CompareAndSwap(nil, &p.opener) {
		p.midway.Store(true)
	}
	f, err := p.file(name, func() (vfs.File, error) { return p.FS.Create(name, c) })
	if err != nil || !isTable(name) {
		return f, err
	}
	return p.tables.file(f), nil
}

// OpenReadWrite implements vfs.FS.
func (p *patient) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return p.file(name, func() (vfs.File, error) { return p.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS. It may fail after the file was renamed; then
// the new name is opened afresh, as the interface allows.
func (p *patient) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.file(name, func() (vfs.File, error) {
		f, err := p.FS.ReuseForWrite(old, name, c)
		if errors.Is(err, os.ErrNotExist) {
			return p.FS.Create(name, c)
		}
		return f, err
	})
}

// Link implements vfs.FS.
func (p *patient) Link(old, name string) error {
	return p.do(name, func() error { return p.FS.Link(old, name) })
}

// Rename implements vfs.FS.
func (p *patient) Rename(old, name string) error {
	return p.do(name, func() error { return p.FS.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (p *patient) MkdirAll(dir string, perm os.FileMode) error {
	return p.do(dir, func() error { return p.FS.MkdirAll(dir, perm) })
}

// Open implements vfs.FS.
func (p *patient) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.Open(name, o...)
	if err != nil {
		return nil, p.unreadable(name, err)
	}
	return &readFile{patientFile{File: f, fs: p, name: name}}, nil
}

// OpenDir implements vfs.FS; a folder is opened to be synced.
func (p *patient) OpenDir(name string) (vfs.File, error) {
	return p.file(name, func() (vfs.File, error) { return p.FS.OpenDir(name) })
}

// Remove implements vfs.FS. It frees room, and Pebble survives its failure.
func (p *patient) Remove(name string) error {
	p.thaw()
	return p.FS.Remove(name)
}

// Unwrap implements vfs.FS.
func (p *patient) Unwrap() vfs.FS { return p.FS }

type patientFile struct {
	vfs.File
	fs   *patient
	name string
}

// Write implements io.Writer; what was written before the disk was full is not
// written again.
func (f *patientFile) Write(b []byte) (int, error) {
	f.fs.thaw()
	n, err := f.File.Write(b)
	err = f.fs.again(err, func() error {
		more, err := f.File.Write(b[n:])
		n += more
		return err
	})
	return n, f.fs.verdict(f.name, err)
}

// WriteAt implements io.WriterAt.
func (f *patientFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.thaw()
	n, err := f.File.WriteAt(b, off)
	err = f.fs.again(err, func() error {
		more, err := f.File.WriteAt(b[n:], off+int64(n))
		n += more
		return err
	})
	return n, f.fs.verdict(f.name, err)
}

// Preallocate is only an advice; the writes will ask for the room again.
func (f *patientFile) Preallocate(off, n int64) error {
	if err := f.File.Preallocate(off, n); !isFull(err) {
		return err
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *patientFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if err != nil && n < len(b) {
		err = f.fs.unreadable(f.name, err)
	}
	return n, err
}

// Sync implements vfs.File.
func (f *patientFile) Sync() error {
	f.fs.thaw()
	return f.fs.verdict(f.name, f.File.Sync())
}

// SyncData implements vfs.File.
func (f *patientFile) SyncData() error {
	f.fs.thaw()
	return f.fs.verdict(f.name, f.File.SyncData())
}

// SyncTo implements vfs.File.
func (f *patientFile) SyncTo(length int64) (full bool, err error) {
	f.fs.thaw()
	full, err = f.File.SyncTo(length)
	return full, f.fs.verdict(f.name, err)
}

// Close implements io.Closer.
func (f *patientFile) Close() error {
	f.fs.thaw()
	return f.fs.verdict(f.name, f.File.Close())
}

// readFile was opened to be read: its end changes nothing, so it does not wait
// for a disk that froze. The last reader of a table that was merged away closes
// it, and that may be anybody who reads mail.
type readFile struct{ patientFile }

// Close implements io.Closer.
func (f *readFile) Close() error { return f.File.Close() }
