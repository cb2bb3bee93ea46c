package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink takes what a command prints, and tells when it has so many lines.
type sink struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	want int
	full chan struct{}
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := bytes.Count(s.buf.Bytes(), []byte("\n"))
	s.buf.Write(b)
	if before < s.want && bytes.Count(s.buf.Bytes(), []byte("\n")) >= s.want {
		close(s.full)
	}
	return len(b), nil
}

// A watch outlives the node: after it returns, what changed meanwhile is told.
func TestWatchOutlivesTheNode(t *testing.T) {
	for _, k := range []struct {
		flags []string
		want  string
	}{
		{nil, `08:00:00.000  paris-1  paris-oslo  state down, was up: connection refused
08:00:00.000  paris-1  paris-oslo  state up, was down
`},
		{[]string{"--all"}, `08:00:00.000  paris-1  paris-oslo  state up
08:00:00.000  paris-1  paris-oslo  state down, was up: connection refused
08:00:00.000  paris-1  paris-oslo  state up, was down
`},
		{[]string{"-o", "json"}, `down connection refused
up 
`},
	} {
		f := &fakeNode{name: "paris-1"}
		t.Setenv("POSTROAD_ENDPOINT", "unix:"+f.serve(t))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out := &sink{want: strings.Count(k.want, "\n"), full: make(chan struct{})}
		var errs bytes.Buffer
		done := make(chan int, 1)
		go func() { done <- execute(ctx, append([]string{"linkstate", "watch"}, k.flags...), nil, out, &errs) }()
		select {
		case <-out.full:
		case <-ctx.Done():
		}
		cancel()
		if code := <-done; code != exitOK {
			t.Errorf("%v: exit code %d after Ctrl-C: %s", k.flags, code, errs.String())
		}
		got := out.buf.String()
		if len(k.flags) > 1 {
			got = ""
			for line := range strings.Lines(out.buf.String()) {
				var c struct{ Now, Reason string }
				if err := json.Unmarshal([]byte(line), &c); err != nil {
					t.Fatal(err)
				}
				got += c.Now + " " + c.Reason + "\n"
			}
		}
		if got != k.want {
			t.Errorf("%v: printed\n%s\nwant\n%s", k.flags, got, k.want)
		}
		if !strings.Contains(errs.String(), "waiting for it") {
			t.Errorf("%v: said %q of the pause", k.flags, errs.String())
		}
	}
}

// Without a node, and with a wrong flag, it ends at once.
func TestWatchRefusals(t *testing.T) {
	if code, _, stderr := run(t, "", "linkstate", "watch", "--endpoint", "/nowhere.sock"); code != exitUnavailable {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	t.Setenv("POSTROAD_ENDPOINT", "unix:"+(&fakeNode{name: "paris-1"}).serve(t))
	for _, flags := range []string{"-o name", "--watch", "extra"} {
		if code, _, stderr := run(t, "", append([]string{"linkstate", "watch"}, strings.Fields(flags)...)...); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", flags, code, stderr)
		}
	}
}
