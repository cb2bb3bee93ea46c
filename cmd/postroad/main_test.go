package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/store/spool"
)

// Whoever starts nodes tells a dead disk from a wrong configuration by the exit code.
func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("node.yaml: no such file"), 1},
		{fmt.Errorf("node paris-1: %w", errors.Join(errors.New("stopping"), spool.ErrFailed)), 74},
		{spool.ErrFull, 1},
		{fmt.Errorf("start: %w", configError{errors.New("node.yaml: name: must be set")}), 78},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

// hungFile is standard error on a disk that does not answer.
type hungFile chan struct{}

func (f hungFile) Write(b []byte) (int, error) { <-f; return len(b), nil }

func TestLastWordsDoNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		if complain(&out, spool.ErrFailed); out.String() != "postroad: spool: storage failed\n" {
			t.Errorf("said %q", out.String())
		}
		f := make(hungFile)
		begin := time.Now()
		if complain(f, spool.ErrFailed); time.Since(begin) != time.Second {
			t.Errorf("it took %v", time.Since(begin))
		}
		close(f)
	})
}
