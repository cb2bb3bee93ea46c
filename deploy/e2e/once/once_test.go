// Package once proves `postroad up --once`: the whole organisation, from nothing
// to mail in every mailbox, and its data found again.
package once

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

type report struct {
	Sent      int   `json:"sent"`
	Delivered int   `json:"delivered"`
	Lost      int   `json:"lost"`
	Copies    int   `json:"copies"`
	ElapsedMS int64 `json:"elapsed_ms"`
	Pairs     []struct {
		From string   `json:"from"`
		To   string   `json:"to"`
		Path []string `json:"path"`
	} `json:"pairs"`
}

func TestOnceTwice(t *testing.T) {
	data := t.TempDir()
	base := fmt.Sprint(harness.Ports(t, 64))
	for run := range 2 {
		start := time.Now()
		out := harness.Command(t, "", harness.Binary(t, "postroad"), "up", "--once", "--data", data, "--base-port", base).OK(t)
		t.Logf("run %d took %v", run, time.Since(start))
		var r report
		if err := json.Unmarshal([]byte(out.Stdout), &r); err != nil {
			t.Fatalf("not one JSON object: %v\n%s", err, out.Stdout)
		}
		if r.Sent != 7 || r.Delivered != 7 || r.Lost != 0 {
			t.Errorf("run %d: sent %d, delivered %d, lost %d", run, r.Sent, r.Delivered, r.Lost)
		}
		for _, p := range r.Pairs {
			if p.From == "paris" && p.To == "oslo" && !slices.ContainsFunc(p.Path, func(n string) bool { return n == "berlin-1" || n == "berlin-2" }) {
				t.Errorf("run %d: paris to oslo went %v, not by way of berlin", run, p.Path)
			}
		}
		if _, err := os.Stat(filepath.Join(data, "endpoints.json")); !os.IsNotExist(err) {
			t.Errorf("endpoints.json outlives the cluster: %v", err)
		}
	}
	// Mail of the first run is still there after the second.
	files, err := filepath.Glob(filepath.Join(data, "nodes", "oslo-1", "maildir", "*", "new", "*"))
	if err != nil || len(files) < 2*3 {
		t.Errorf("oslo-1 holds %d messages after two runs (%v)", len(files), err)
	}
}
