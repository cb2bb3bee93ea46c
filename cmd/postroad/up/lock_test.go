package up

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func silent(string, ...any) {}

// What an `up` that was killed left behind is waited for; what stays is named.
func TestOutlast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "processes")
		first, err := outlast(t.Context(), path, silent)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := outlast(t.Context(), path, silent); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("a second one while the first lives: %v", err)
		}
		if waited := time.Since(start); waited < stopWithin {
			t.Errorf("gave up after %v, while a node may drain for %v", waited, stopWithin)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := outlast(ctx, path, silent); err != context.DeadlineExceeded {
			t.Errorf("Ctrl-C while waiting: %v", err)
		}
		time.AfterFunc(time.Second, func() { first.Close() })
		second, err := outlast(t.Context(), path, silent)
		if err != nil {
			t.Fatal(err)
		}
		second.Close()
	})
}

// The lock lives as long as a child that inherited it.
func TestChildrenHoldTheFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "processes")
	f, err := outlast(t.Context(), path, silent)
	if err != nil {
		t.Fatal(err)
	}
	cat := exec.Command("cat") // ends with its standard input
	cat.ExtraFiles = []*os.File{f}
	in, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	held := false
	next, err := outlast(t.Context(), path, func(string, ...any) { held = true; in.Close() })
	if err != nil || !held {
		t.Errorf("the folder was free while a child lived (%v)", err)
	} else {
		next.Close()
	}
	if err := cat.Wait(); err != nil {
		t.Error(err)
	}
}
