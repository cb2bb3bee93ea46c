package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lock keeps a second `up` out of the folder.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is locked: another `postroad up` runs on this data folder; stop it or choose another --data", path)
	}
	return func() { f.Close() }, nil
}

// outlast waits until the processes of an earlier `up` on this folder have ended,
// and gives the file that says so of ours. An `up` that was killed leaves nodes
// that drain and still hold their ports and spools. The lock belongs to the open
// file, which every child inherits: the kernel gives it up with the last of them.
func outlast(ctx context.Context, path string, say func(string, ...any)) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(stopWithin + 5*time.Second)
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("%s is locked (%w): nodes of an earlier `postroad up` still run on this data folder; stop them, or choose another --data", path, err)
		}
		if !told {
			say("waiting for the processes of an earlier 'postroad up' to stop")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
