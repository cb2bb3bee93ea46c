package catalog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

const (
	formatFile   = "FORMAT"
	formatText   = "postroad-catalog 1\n"
	lockFile     = "LOCK"
	storeFolder  = "db"
	cacheSize    = 32 << 20
	memTableSize = 8 << 20
)

var (
	// ErrFolder: the folder is no catalog, or a damaged one. Nothing in it was changed.
	ErrFolder = errors.New("not a usable catalog; move the folder away, and the node fetches its contents again from the directory")
	// ErrInUse: another process has the folder open.
	ErrInUse = errors.New("in use by another process; stop it first")
	// ErrFull: the disk has too little room for a change.
	ErrFull = errors.New("too little free disk space; the catalog stays as it is until there is more")
)

// store is an open catalog folder.
type store struct {
	*pebble.DB
	lock io.Closer
}

func (s *store) Close() error { return errors.Join(s.DB.Close(), s.lock.Close()) }

// openStore opens a catalog folder, or makes one where there is nothing.
func openStore(dir string, log *zap.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if err := checkFolder(dir); err != nil {
		return nil, fmt.Errorf("catalog %s: %w", dir, err)
	}
	lock, err := vfs.Default.Lock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("catalog %s: %w (%w)", dir, ErrInUse, err)
	}
	db, err := openLocked(dir, log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("catalog %s: %w", dir, err), lock.Close())
	}
	return &store{db, lock}, nil
}

// checkFolder refuses, without writing anything, a folder that holds something else.
func checkFolder(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, formatFile))
	switch {
	case err == nil && string(text) == formatText:
		return nil
	case err == nil && strings.HasPrefix(string(text), "postroad-catalog "):
		return fmt.Errorf("has the format %q of another version; %w", strings.TrimSpace(string(text)), ErrFolder)
	case err == nil:
		return fmt.Errorf("its file %s is foreign; %w", formatFile, ErrFolder)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// A process that was killed at its first start leaves the lock, or the
		// unfinished format file.
		if e.Name() != lockFile && e.Name() != formatFile+".new" {
			return fmt.Errorf("holds %s and no file %s; %w", e.Name(), formatFile, ErrFolder)
		}
	}
	return nil
}

func openLocked(dir string, log *zap.Logger) (*pebble.DB, error) {
	path := filepath.Join(dir, storeFolder)
	_, err := os.Stat(filepath.Join(dir, formatFile))
	isNew := errors.Is(err, os.ErrNotExist)
	if isNew {
		// The store is complete before the format file says that there is one;
		// what a killed first start left of it has nothing to lose.
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
	}
	opts := &pebble.Options{
		// Without Pebble's watch over slow disks, whose goroutine outlives a
		// failed opening.
		FS:                 vfs.Default,
		Logger:             storeLog{log.Sugar()},
		CacheSize:          cacheSize,
		MemTableSize:       memTableSize,
		FormatMajorVersion: pebble.FormatNewest,
		// An empty store in place of one that was there means that it is lost.
		ErrorIfNotExists: !isNew,
	}
	for i := range opts.Levels {
		// The addresses of strangers must not cost a disk read for each level.
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrFolder, err)
	}
	if isNew {
		if err := writeFormat(dir); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func writeFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	if err := os.WriteFile(path+".new", []byte(formatText), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// storeLog passes on what Pebble complains about. Its Infof is a diary of
// compactions.
type storeLog struct{ log *zap.SugaredLogger }

func (storeLog) Infof(string, ...any) {}
func (l storeLog) Errorf(format string, args ...any) {
	l.log.Errorw("catalog_store_error", "message", fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble's state is undefined afterwards. The panic
// names the catalog, which can be moved away.
func (l storeLog) Fatalf(format string, args ...any) {
	l.log.Panicw("catalog_store_broken", "message", fmt.Sprintf(format, args...))
}
