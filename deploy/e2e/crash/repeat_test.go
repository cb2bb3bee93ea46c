package crash

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
)

// event is what this package reads of a line of message tracking.
type event struct {
	At         int64    `json:"at"` // Unix time in microseconds
	Event      string   `json:"event"`
	Origin     string   `json:"origin"`
	MessageID  string   `json:"message_id"`
	Recipients []string `json:"recipients"`
}

// life is what tracking tells of one copy: how often it was stored, and when last.
type life struct {
	deliveries int
	end        time.Time
}

// explainRepetitions counts the copies that were stored more than once, the
// second over the first. That may happen to what was in flight when a process
// died, and to nothing else: so a process must have died in that copy's life.
func (l *ledger) explainRepetitions(t *testing.T, c *harness.Cluster, kills []time.Time) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Data, "nodes", "*", "tracking", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tracking files (%v)", err)
	}
	lives := make(map[string]*life)
	origins := make(map[string]string)
	for _, path := range files {
		read(t, path, func(e event) {
			at := time.UnixMicro(e.At)
			if o := origins[e.MessageID]; o != "" && o != e.Origin {
				t.Errorf("%s has the origins %s and %s: one did not travel", e.MessageID, o, e.Origin)
			}
			origins[e.MessageID] = e.Origin
			if e.Event != "DELIVER" {
				return
			}
			for _, r := range e.Recipients {
				key := e.MessageID + " " + r
				if lives[key] == nil {
					lives[key] = new(life)
				}
				lives[key].deliveries++
				if at.After(lives[key].end) {
					lives[key].end = at
				}
			}
		})
	}
	repeated := 0
	for key, c := range lives {
		if c.deliveries < 2 {
			continue
		}
		repeated += c.deliveries - 1
		id, _, _ := strings.Cut(key, " ")
		const clock = 100 * time.Millisecond // between the kill and the note of it
		if !slices.ContainsFunc(kills, func(k time.Time) bool {
			return k.After(l.begun[id].Add(-clock)) && k.Before(c.end.Add(clock))
		}) {
			t.Errorf("%s was stored %d times between %v and %v, and no process died then", key, c.deliveries, l.begun[id], c.end)
		}
	}
	t.Logf("%d of %d copies were stored again over the first, in flight when a process died", repeated, len(lives))
	if repeated > len(lives)/10 {
		t.Errorf("more than what can have been in flight")
	}
}

// read gives the events of a file; a line that a kill cut short is passed over.
func read(t *testing.T, path string, with func(event)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.MessageID != "" {
			with(e)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}
