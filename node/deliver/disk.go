package deliver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is what decides which of a delivery's files a crash leaves, and in what state;
// tests look at its order and break it at each step.
type disk interface {
	// Sync makes the content of a file durable.
	Sync(f *os.File) error
	// Rename gives a file its name, atomically.
	Rename(from, to string) error
	// SyncFolder makes the names in a folder durable.
	SyncFolder(path string) error
}

// realDisk is the system's.
type realDisk struct{}

func (realDisk) Sync(f *os.File) error { return f.Sync() }

func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) SyncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// makeFolder makes a folder, and those above it that are missing, so that their names are
// durable. The innermost one that is there may be what a killed process has just made, so its
// name is synced too; those above were by whoever went on below them.
func makeFolder(on disk, path string) error {
	var missing []string
	at := filepath.Clean(path)
	for {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return err
		}
		missing = append(missing, at)
		at = filepath.Dir(at)
	}
	if err := on.SyncFolder(filepath.Dir(at)); err != nil && !notOurs(err) {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := on.SyncFolder(filepath.Dir(missing[i])); err != nil {
			return err
		}
	}
	return nil
}

// notOurs says whether a folder that cannot be synced is one in which no process like this has
// made anything: it is closed to this one, or, above a mount point, of a file system that is
// read-only or syncs no folders. Errors of the disk are none of these.
func notOurs(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS)
}
