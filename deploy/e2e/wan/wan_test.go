package wan

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair is a client and an echo server that sit on two hosts of two sites.
func pair(t *testing.T) (n *Network, dial func(port uint16, within time.Duration) (net.Conn, error)) {
	t.Helper()
	n = New(t)
	a, b := n.Host("a-1", "a"), n.Host("b-1", "b")
	n.Start()
	for _, port := range []uint16{25, 691} {
		l, err := b.Listen(t.Context(), "tcp", fmt.Sprintf("%s:%d", b.Addr, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
			}
		}()
	}
	return n, func(port uint16, within time.Duration) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return a.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", b.Addr, port))
	}
}

// echo tells how long a line takes to come back, at most within.
func echo(c net.Conn, within time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := c.SetDeadline(began.Add(within)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, len("hello\n")))
	return time.Since(began), err
}

func TestPaths(t *testing.T) {
	n, dial := pair(t)
	c, err := dial(25, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := echo(c, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if there, back := n.Octets("a-1", "b-1", 25), n.Octets("b-1", "a-1", 25); there < 40 || back < 40 {
		t.Errorf("%d and %d octets were counted on port 25", there, back)
	}

	n.OneWay("b", "a", Path{Cut: true})
	if _, err := dial(25, 300*time.Millisecond); err == nil {
		t.Error("a connection came about with one direction cut")
	}
	if _, err := echo(c, 300*time.Millisecond); err == nil {
		t.Error("an echo came back over a direction that is cut")
	}
	n.OneWay("b", "a", Path{})
	if _, err := io.ReadFull(c, make([]byte, 6)); err == nil {
		t.Error("a deadline in the past has no effect")
	}
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Errorf("TCP does not repeat what was lost: %v", err)
	}

	n.Between("a", "b", Path{Delay: 60 * time.Millisecond})
	if took, err := echo(c, 5*time.Second); err != nil || took < 120*time.Millisecond {
		t.Errorf("an echo over two delays of 60ms came after %v (%v)", took, err)
	}
	n.Between("a", "b", Path{Only: []uint16{25}})
	if _, err := echo(c, 5*time.Second); err != nil {
		t.Errorf("port 25 is closed: %v", err)
	}
	if _, err := dial(691, 300*time.Millisecond); err == nil {
		t.Error("port 691 is open")
	}
	n.Between("a", "b", Path{Loss: 1})
	if _, err := echo(c, 300*time.Millisecond); err == nil {
		t.Error("an echo came back though every packet is lost")
	}
}

// What is said of two hosts goes before what is said of their sites.
func TestHostsGoBeforeSites(t *testing.T) {
	n, dial := pair(t)
	n.Between("a", "b", Path{Cut: true})
	n.Between("a-1", "b-1", Path{})
	c, err := dial(25, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// A network whose test is killed leaves no process, and so no namespace.
func TestNothingOutlivesTheTest(t *testing.T) {
	const child = "POSTROAD_WAN_VICTIM"
	if os.Getenv(child) != "" {
		n := New(t)
		h := n.Host("a-1", "a")
		cmd := exec.Command("sleep", "300")
		if err := h.Start(cmd); err != nil {
			t.Fatal(err)
		}
		inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("VICTIM", cmd.Process.Pid, inside)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	f := strings.Fields(line)
	if err != nil || len(f) != 3 || f[0] != "VICTIM" {
		t.Fatalf("the victim says %q (%v)", line, err)
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil || own == f[2] {
		t.Errorf("the process runs in the namespace of the test, %s (%v)", own, err)
	}
	pid, err := strconv.Atoi(f[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived the test that started it", pid)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// alive says whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && syscall.Kill(pid, 0) == nil && !strings.Contains(string(b), ") Z ")
}
