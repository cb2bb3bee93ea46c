package main

import (
	"errors"
	"fmt"
	"testing"

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
