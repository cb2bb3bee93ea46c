package harness

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/cmd/endpoints"
)

// Cluster is a running `postroad up`.
type Cluster struct {
	t    testing.TB
	Data string
	cmd  *exec.Cmd
	done chan struct{}
	out  string // file with what it printed
}

// Demo is the organisation of `make run`.
func Demo(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Root(t), "deploy", "scenarios", "three-sites.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Up starts an organisation given as YAML on ports of its own and waits until
// all nodes are ready. More flags may be given.
func Up(t testing.TB, organization string, flags ...string) *Cluster {
	t.Helper()
	data := t.TempDir()
	file := filepath.Join(data, "given.yaml")
	if err := os.WriteFile(file, []byte(organization), 0o600); err != nil {
		t.Fatal(err)
	}
	flags = append([]string{"--file", file, "--base-port", fmt.Sprint(Ports(t, 64))}, flags...)
	return UpAgain(t, data, flags...)
}

// UpAgain starts `postroad up` on a data folder that may hold an organisation.
func UpAgain(t testing.TB, data string, flags ...string) *Cluster {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, Data: data, out: filepath.Join(data, "up.out"), done: make(chan struct{})}
	out, err := os.OpenFile(c.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.cmd = exec.Command(Binary(t, "postroad"), append([]string{"up", "--quiet", "--data", data}, flags...)...)
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait(); close(c.done) }()
	t.Cleanup(c.cleanup)
	Eventually(t, 90*time.Second, func() error {
		select {
		case <-c.done:
			t.Fatalf("postroad up ended:\n%s", c.Output())
		default:
		}
		_, err := endpoints.Read(data)
		return err
	})
	return c
}

func (c *Cluster) cleanup() {
	c.Stop()
	if c.t.Failed() {
		c.t.Logf("postroad up printed:\n%s", c.Output())
		for _, l := range must(filepath.Glob(filepath.Join(c.Data, "log", "*.log"))) {
			b, _ := os.ReadFile(l)
			c.t.Logf("%s ends:\n%s", filepath.Base(l), b[max(0, len(b)-6000):])
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only for calls whose arguments are constant
	}
	return v
}

// Output is what `postroad up` printed so far.
func (c *Cluster) Output() string {
	b, _ := os.ReadFile(c.out)
	return string(b)
}

// Stop ends the cluster as Ctrl-C does and waits for it.
func (c *Cluster) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(45 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
		c.t.Errorf("postroad up did not stop within 45s:\n%s", c.Output())
	}
}

// ExitCode is that of the ended `postroad up`.
func (c *Cluster) ExitCode() int {
	<-c.done
	return c.cmd.ProcessState.ExitCode()
}

// Endpoints reads endpoints.json anew.
func (c *Cluster) Endpoints() *endpoints.File {
	c.t.Helper()
	f, err := endpoints.Read(c.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// Node is one node's addresses and its process as they are now.
func (c *Cluster) Node(name string) endpoints.Node {
	c.t.Helper()
	n, ok := c.Endpoints().Node(name)
	if !ok {
		c.t.Fatalf("no node %q in endpoints.json", name)
	}
	return n
}

// Kill sends SIGKILL to a node and waits until the process is gone.
func (c *Cluster) Kill(name string) {
	c.t.Helper()
	c.Signal(c.Node(name).PID, syscall.SIGKILL)
}

// PIDs are the processes that `postroad up` started.
func (c *Cluster) PIDs() []int {
	c.t.Helper()
	f := c.Endpoints()
	pids := []int{f.Etcd.PID}
	for _, n := range f.Nodes {
		pids = append(pids, n.PID)
	}
	return pids
}

// KillUp sends SIGKILL to `postroad up` itself. Its nodes may live a little longer.
func (c *Cluster) KillUp() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-c.done
}

// Signal sends a signal to a process of the cluster; after SIGKILL it waits
// until the process is gone.
func (c *Cluster) Signal(pid int, sig syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		c.t.Fatalf("%v to process %d: %v", sig, pid, err)
	}
	if sig == syscall.SIGKILL {
		Eventually(c.t, 10*time.Second, func() error {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("process %d lives after SIGKILL", pid)
			}
			return nil
		})
	}
}

// StartNode runs one node by hand, as an administrator does after a stop.
func (c *Cluster) StartNode(name string) {
	c.t.Helper()
	log, err := os.OpenFile(c.Node(name).Log, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(Binary(c.t, "postroad"), "node", "--config", c.Node(name).Config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
}

// Ctl runs postroadctl on this cluster.
func (c *Cluster) Ctl(args ...string) Result {
	c.t.Helper()
	return Command(c.t, "", Binary(c.t, "postroadctl"), append([]string{"--data", c.Data}, args...)...)
}

// Mailbox lists the messages of a mailbox, oldest name first.
func (c *Cluster) Mailbox(node, address string) []string {
	c.t.Helper()
	dir := filepath.Join(c.Node(node).Maildir, strings.ToLower(address), "new")
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			c.t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// WaitMail waits until a mailbox has a message that contains text, and returns it.
func (c *Cluster) WaitMail(within time.Duration, node, address, text string) string {
	c.t.Helper()
	var found string
	Eventually(c.t, within, func() error {
		all := c.Mailbox(node, address)
		i := slices.IndexFunc(all, func(m string) bool { return strings.Contains(m, text) })
		if i < 0 {
			return fmt.Errorf("none of %d messages for %s on %s contains %q", len(all), address, node, text)
		}
		found = all[i]
		return nil
	})
	return found
}
