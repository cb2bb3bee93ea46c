package harness

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Root is the project's top folder.
func Root(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("go env GOMOD: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// Binary is the path of bin/NAME, built by `make build`.
func Binary(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run `make build` (or `make test`, which does)", err)
	}
	return path
}

// Program is the path of a peer's program.
func Program(t testing.TB, path string) string {
	t.Helper()
	if full, err := exec.LookPath(path); err == nil {
		return full
	}
	t.Fatalf("%s is not installed; run deploy/e2e/peers.sh as root (`make test` does)", path)
	return ""
}

// Result is a finished command.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Command runs a program to its end, at most a minute.
func Command(t testing.TB, stdin, name string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also called while cleaning up
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 5 * time.Second // what it started may hold its output open
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	if ctx.Err() != nil && err != nil {
		t.Fatalf("%s %s did not end within a minute\n%s\n%s", name, strings.Join(args, " "), out.String(), errs.String())
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// OK fails the test unless the command exited with 0.
func (r Result) OK(t testing.TB) Result {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Eventually waits until check gives nil, and fails with its last error after
// within. It is for events in other processes, which no virtual clock reaches.
func Eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", within, err)
		}
		<-tick.C
	}
}
