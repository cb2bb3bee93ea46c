package node

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postroad/postroad/store/spool"
)

// deadDisk tells a test that it runs in a process of its own: a store that failed
// leaves goroutines behind.
const deadDisk = "POSTROAD_TEST_DEAD_DISK"

// ofItsOwn runs the test in a process of its own; it says whether this is the one.
func ofItsOwn(t *testing.T) bool {
	t.Helper()
	if os.Getenv(deadDisk) != "" {
		return true
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=100s")
	child.Env = append(os.Environ(), deadDisk+"=1")
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// The disk of a node dies while it takes mail: nothing is accepted any more, the node
// says why, and ends.
func TestNodeEndsWhenItsDiskDies(t *testing.T) {
	if !ofItsOwn(t) {
		return
	}
	var dead atomic.Bool
	c := startCluster(t)
	const name = "oslo-1"
	c.halt(name)
	c.disk = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if dead.Load() {
			return syscall.EIO
		}
		return nil
	}))
	c.launch(name)
	c.awaitReady(name)
	dead.Store(true)
	m := c.members[name]
	for ended := false; !ended; {
		if err := c.send(name, newLetter("oda@example.test", "oda@example.test", "late")); err == nil {
			t.Error("mail was accepted by a dead disk")
		}
		select {
		case err := <-m.done:
			m.done, ended = nil, true
			if !errors.Is(err, spool.ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	log, err := os.ReadFile(c.logFile(name))
	if err != nil || !strings.Contains(string(log), "storage_failed") || strings.Contains(string(log), "stop_overdue") {
		t.Errorf("%v, its log:\n%s", err, log)
	}
}

// The disk of a node answers nothing any more, and the mail that it takes waits: the node
// ends as with a dead disk, whatever of it still waits.
func TestNodeEndsWhenItsDiskDoesNotAnswer(t *testing.T) {
	if !ofItsOwn(t) {
		return
	}
	var hung atomic.Bool
	c := startCluster(t)
	const name = "oslo-1"
	c.halt(name)
	c.disk, c.diskTimeout = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(errorfs.Op) error {
		if hung.Load() {
			select {}
		}
		return nil
	})), 2*time.Second
	c.launch(name)
	c.awaitReady(name)
	hung.Store(true)
	m := c.members[name]
	sent := make(chan error, 1)
	go func() { sent <- c.send(name, newLetter("oda@example.test", "oda@example.test", "late")) }()
	err := <-m.done
	m.done = nil
	if !errors.Is(err, spool.ErrFailed) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("it ended with %v", err)
	}
	if err := <-sent; err == nil {
		t.Error("mail was accepted by a dead disk")
	}
	log, err := os.ReadFile(c.logFile(name))
	if err != nil || !strings.Contains(string(log), "storage_failed") {
		t.Errorf("%v, its log:\n%s", err, log)
	}
}
