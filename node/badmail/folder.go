package badmail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeFolder makes a folder, and those above it that are missing, so that their names are
// durable. The innermost one that is there may be what an attempt before has just made, so
// its name is synced too.
func makeFolder(sync func(string) error, path string) error {
	var missing []string
	at := filepath.Clean(path)
	for {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return fmt.Errorf("badmail: %w", err)
		}
		missing = append(missing, at)
		at = filepath.Dir(at)
	}
	if err := sync(filepath.Dir(at)); err != nil && !notOurs(err) {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("badmail: %w", err)
		}
		if err := sync(filepath.Dir(missing[i])); err != nil {
			return err
		}
	}
	return nil
}

// notOurs says whether a folder that cannot be synced is one in which this process makes
// nothing: it is closed to it, read-only, or of a file system that syncs no folders.
func notOurs(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS)
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("badmail: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("badmail: %w", err)
	}
	return nil
}
