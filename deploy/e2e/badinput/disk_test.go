package badinput

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// TestFullDisk runs one node on a small disk of its own, fills it and makes room
// again.
func TestFullDisk(t *testing.T) {
	disk, c := onSmallDisk(t)
	send := func(id string) error { return sendTo(t, c, id) }
	if err := send("before@example.test"); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "ballast"), 60<<20)
	harness.Eventually(t, 10*time.Second, func() error {
		if err := send("during@example.test"); err == nil || !strings.Contains(err.Error(), "452") {
			return fmt.Errorf("with a full disk: %v, want 452", err)
		}
		return nil
	})
	showsPressure(t, c)
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, func() error { return send("after@example.test") })
	c.WaitMail(10*time.Second, "one", "a@example.test", "before@example.test")
	c.WaitMail(10*time.Second, "one", "a@example.test", "after@example.test")
}

func showsPressure(t *testing.T, c *harness.Cluster) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() error {
		if out := c.Ctl("node", "list").OK(t).Stdout; !strings.Contains(out, "high (disk)") {
			return fmt.Errorf("node list does not show the pressure:\n%s", out)
		}
		return nil
	})
}

// onSmallDisk starts a cluster of one node on a file system of its own. A spool
// refuses mail below 512 MiB of free space and takes it again above 640.
func onSmallDisk(t *testing.T) (disk string, c *harness.Cluster) {
	t.Helper()
	disk = t.TempDir()
	harness.Command(t, "", "mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", disk).OK(t)
	t.Cleanup(func() { harness.Command(t, "", "umount", "-l", disk) })
	data := filepath.Join(disk, "data")
	file := filepath.Join(disk, "given.yaml")
	org := "kind: Organization\nname: small\n---\nkind: RecipientPolicy\nname: p\nspec: {domains: [{domain: example.test}]}\n---\nkind: RoutingGroup\nname: g\n---\n" +
		"kind: Server\nname: one\nspec: {routingGroup: g, fqdn: one.small.test, backPressure: {diskSizeMedium: 512MiB}}\n---\nkind: VirtualServer\nname: v\nspec: {server: one, retry: {first: 2s, second: 2s, third: 2s, subsequent: 2s}}\n---\n" +
		"kind: Recipient\nname: a\nspec:\n  addresses: [a@example.test]\n  mailbox: {homeServer: one}\n"
	if err := os.WriteFile(file, []byte(org), 0o600); err != nil {
		t.Fatal(err)
	}
	c = harness.UpAgain(t, data, "--file", file, "--base-port", fmt.Sprint(harness.Ports(t, 64)))
	return disk, c
}

func sendTo(t *testing.T, c *harness.Cluster, id string) error {
	t.Helper()
	return harness.Send(t, c.Node("one").SMTP, "a@example.test", harness.Letter("a@example.test", "a@example.test", id, "x"), "a@example.test")
}

// A disk without one free octet, while mail flows: what was acknowledged before
// and meanwhile is delivered when there is room, once, by the same process.
func TestNotOneOctet(t *testing.T) {
	disk, c := onSmallDisk(t)
	pid := c.Node("one").PID
	var mu sync.Mutex
	var acked []string
	send := func(n int) error {
		id := fmt.Sprintf("octet-%d@example.test", n)
		err := sendTo(t, c, id)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			acked = append(acked, id)
		}
		return err
	}
	n := 0
	for range 50 {
		n++
		if err := send(n); err != nil {
			t.Fatal(err)
		}
	}
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast, 0)
	// The spool's log may hold some more messages in room that it has already, and who sends the
	// first that it cannot hold waits until there is room; who comes later is refused.
	n++
	first := make(chan error, 1)
	go func(id int) { first <- send(id) }(n)
	showsPressure(t, c)
	n++
	if err := send(n); err == nil || !strings.Contains(err.Error(), "452") {
		t.Errorf("with a full disk: %v, want 452", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Logf("the first: %v", err)
	}
	harness.Eventually(t, 40*time.Second, func() error {
		n++
		return send(n)
	})
	harness.Eventually(t, 30*time.Second, func() error {
		all := strings.Join(c.Mailbox("one", "a@example.test"), "\n")
		for _, id := range acked {
			if n := strings.Count(all, "Message-ID: <"+id+">"); n != 1 {
				return fmt.Errorf("%s is there %d times", id, n)
			}
		}
		return nil
	})
	if now := c.Node("one").PID; now != pid {
		t.Errorf("the node did not survive: process %d became %d", pid, now)
	}
	t.Logf("%d acknowledged", len(acked))
}

// fill leaves only so many octets free.
func fill(t *testing.T, path string, leave uint64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(filepath.Dir(path), &s); err != nil {
			t.Fatal(err)
		}
		if s.Bavail*uint64(s.Bsize) <= leave {
			return
		}
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
