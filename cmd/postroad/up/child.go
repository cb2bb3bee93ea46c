package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is one process that is kept running. A process that ends by itself with
// exit code 0 was asked to stop by somebody and is left stopped; one that dies
// is started again.
type child struct {
	name    string
	args    []string
	log     string
	restart bool
	delay   time.Duration
	say     func(format string, args ...any)
	// hold is inherited by the process, see outlast.
	hold *os.File
	// changed is called after each start with the new process id.
	changed func(pid int)

	mu  sync.Mutex
	cmd *exec.Cmd
}

// pid of the running process; 0 when there is none.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// start launches the process once; run calls it again.
func (c *child) start(executable string) error {
	if err := os.MkdirAll(filepath.Dir(c.log), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(c.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(executable, c.args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{c.hold}
	// A group of its own: Ctrl-C reaches `up`, which stops its nodes in order.
	// Death signal: nodes do not outlive an `up` that was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.mu.Lock()
	c.cmd = cmd
	c.mu.Unlock()
	if c.changed != nil {
		c.changed(cmd.Process.Pid)
	}
	return nil
}

// run keeps the started process alive until ctx ends, then stops it.
func (c *child) run(ctx context.Context, executable string) {
	for {
		exited := make(chan error, 1)
		cmd := c.cmd
		go func() { exited <- cmd.Wait() }()
		select {
		case <-ctx.Done():
			c.stop(exited)
			return
		case err := <-exited:
			c.gone()
			if err == nil {
				c.say("%s stopped; start it again with: %s %s", c.name, executable, strings.Join(c.args, " "))
				return
			}
			if !c.restart {
				c.say("%s died (%v) and is left so; start it again with: %s %s", c.name, err, executable, strings.Join(c.args, " "))
				return
			}
			c.say("%s died (%v); starting it again in %v (its log: %s)", c.name, err, c.delay, c.log)
		}
		if !c.revive(ctx, executable) {
			return
		}
	}
}

func (c *child) revive(ctx context.Context, executable string) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(c.delay):
		}
		err := c.start(executable)
		if err == nil {
			c.say("%s runs again, process %d", c.name, c.pid())
			return true
		}
		c.say("%s: %v; trying again in %v", c.name, err, c.delay)
	}
}

func (c *child) gone() {
	c.mu.Lock()
	c.cmd = nil
	c.mu.Unlock()
}

func (c *child) stop(exited <-chan error) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-exited:
		var exit *exec.ExitError
		if errors.As(err, &exit) && !exit.Success() {
			c.say("%s ended with %v; its log: %s", c.name, err, c.log)
		}
	case <-time.After(stopWithin):
		c.say("%s did not stop within %v and is killed", c.name, stopWithin)
		_ = c.cmd.Process.Kill()
		<-exited
	}
	c.gone()
}

// lastLines shows the end of a log, for a process that would not start.
func lastLines(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}
