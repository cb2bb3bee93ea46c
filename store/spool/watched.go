package spool

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watched is a file system of which each operation is noted while it is under way. It
// stands directly on the disk: what waits for room, or on a disk that froze, waits above.
type watched struct {
	vfs.FS
	dog *watchdog
}

func (w *watched) file(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &watchedFile{File: f, dog: w.dog, name: name}, nil
}

// Create implements vfs.FS.
func (w *watched) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	defer w.dog.begin(opCreate, &name).end()
	f, err := w.FS.Create(name, c)
	return w.file(f, name, err)
}

// Open implements vfs.FS.
func (w *watched) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	defer w.dog.begin(opOpen, &name).end()
	f, err := w.FS.Open(name, o...)
	return w.file(f, name, err)
}

// OpenReadWrite implements vfs.FS.
func (w *watched) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	defer w.dog.begin(opOpen, &name).end()
	f, err := w.FS.OpenReadWrite(name, c, o...)
	return w.file(f, name, err)
}

// ReuseForWrite implements vfs.FS.
func (w *watched) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	defer w.dog.begin(opRename, &name).end()
	f, err := w.FS.ReuseForWrite(old, name, c)
	return w.file(f, name, err)
}

// OpenDir implements vfs.FS.
func (w *watched) OpenDir(name string) (vfs.File, error) {
	defer w.dog.begin(opOpenFolder, &name).end()
	f, err := w.FS.OpenDir(name)
	return w.file(f, name, err)
}

// Link implements vfs.FS.
func (w *watched) Link(old, name string) error {
	defer w.dog.begin(opLink, &name).end()
	return w.FS.Link(old, name)
}

// Rename implements vfs.FS.
func (w *watched) Rename(old, name string) error {
	defer w.dog.begin(opRename, &name).end()
	return w.FS.Rename(old, name)
}

// Remove implements vfs.FS.
func (w *watched) Remove(name string) error {
	defer w.dog.begin(opRemove, &name).end()
	return w.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (w *watched) RemoveAll(name string) error {
	defer w.dog.begin(opRemove, &name).end()
	return w.FS.RemoveAll(name)
}

// MkdirAll implements vfs.FS.
func (w *watched) MkdirAll(dir string, perm os.FileMode) error {
	defer w.dog.begin(opMakeFolder, &dir).end()
	return w.FS.MkdirAll(dir, perm)
}

// Lock implements vfs.FS.
func (w *watched) Lock(name string) (io.Closer, error) {
	defer w.dog.begin(opLock, &name).end()
	c, err := w.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	return &watchedLock{c, w.dog, name}, nil
}

// List implements vfs.FS.
func (w *watched) List(dir string) ([]string, error) {
	defer w.dog.begin(opList, &dir).end()
	return w.FS.List(dir)
}

// Stat implements vfs.FS.
func (w *watched) Stat(name string) (vfs.FileInfo, error) {
	defer w.dog.begin(opStat, &name).end()
	return w.FS.Stat(name)
}

// GetDiskUsage implements vfs.FS.
func (w *watched) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	defer w.dog.begin(opFreeSpace, &path).end()
	return w.FS.GetDiskUsage(path)
}

// Unwrap implements vfs.FS.
func (w *watched) Unwrap() vfs.FS { return w.FS }

type watchedLock struct {
	io.Closer
	dog  *watchdog
	name string
}

// Close implements io.Closer.
func (l *watchedLock) Close() error {
	defer l.dog.begin(opUnlock, &l.name).end()
	return l.Closer.Close()
}

type watchedFile struct {
	vfs.File
	dog  *watchdog
	name string
}

// Read implements io.Reader.
func (f *watchedFile) Read(b []byte) (int, error) {
	defer f.dog.begin(opRead, &f.name).end()
	return f.File.Read(b)
}

// ReadAt implements io.ReaderAt.
func (f *watchedFile) ReadAt(b []byte, off int64) (int, error) {
	defer f.dog.begin(opRead, &f.name).end()
	return f.File.ReadAt(b, off)
}

// Prefetch implements vfs.File.
func (f *watchedFile) Prefetch(off, length int64) error {
	defer f.dog.begin(opRead, &f.name).end()
	return f.File.Prefetch(off, length)
}

// Write implements io.Writer.
func (f *watchedFile) Write(b []byte) (int, error) {
	defer f.dog.begin(opWrite, &f.name).end()
	return f.File.Write(b)
}

// WriteAt implements io.WriterAt.
func (f *watchedFile) WriteAt(b []byte, off int64) (int, error) {
	defer f.dog.begin(opWrite, &f.name).end()
	return f.File.WriteAt(b, off)
}

// Preallocate implements vfs.File.
func (f *watchedFile) Preallocate(off, length int64) error {
	defer f.dog.begin(opReserve, &f.name).end()
	return f.File.Preallocate(off, length)
}

// Stat implements vfs.File.
func (f *watchedFile) Stat() (vfs.FileInfo, error) {
	defer f.dog.begin(opStat, &f.name).end()
	return f.File.Stat()
}

// Sync implements vfs.File.
func (f *watchedFile) Sync() error {
	defer f.dog.begin(opSync, &f.name).end()
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *watchedFile) SyncData() error {
	defer f.dog.begin(opSync, &f.name).end()
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *watchedFile) SyncTo(length int64) (full bool, err error) {
	defer f.dog.begin(opSync, &f.name).end()
	return f.File.SyncTo(length)
}

// Close implements io.Closer.
func (f *watchedFile) Close() error {
	defer f.dog.begin(opClose, &f.name).end()
	return f.File.Close()
}
