package linkstate_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/linkstate/sim"
)

var update = flag.Bool("update", false, "record the scenarios in testdata anew")

// Each scenario answers a question that a reader would ask, by what really
// happens; see [sim.Play] for the commands.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scenarios, want 10 or more (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := sim.Play(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(text); got != want {
				t.Errorf("%s: differs first at %s\nrecord it anew with: go test ./linkstate -run TestScenarios -update", file, firstDifference(got, want))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "\n\tgot  " + g[i] + "\n\twant " + w[i]
		}
	}
	return "the end of the shorter one"
}

func TestScriptErrors(t *testing.T) {
	for script, want := range map[string]string{
		"> dance":                           "no such command",
		"> group g a\n> start b":            `no server or group is called "b"`,
		"> group g a\n> start\n> group h b": "must come before start",
		"> group g a\n> table a":            "a does not run",
		"> mail x":                          `no connector is called "x"`,
		"> wait soon":                       "invalid duration",
		"> set x=1":                         "no such setting",
		"> connector c a":                   "arguments missing",
		"> group g a\n> group h b\n> start\n> cut a": "needs two",
	} {
		if _, err := sim.Play(script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", script, err, want)
		}
	}
}
