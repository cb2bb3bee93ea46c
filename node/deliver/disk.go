package deliver

import "os"

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
