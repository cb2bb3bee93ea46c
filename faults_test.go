package postroad

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// exchangeFaults is how many faults the original is known for.
const exchangeFaults = 23

// The table of the original's faults has each of them, and names for each what
// shows that it is none here: a test, a benchmark or a story that exists.
func TestExchangeFaults(t *testing.T) {
	text, err := os.ReadFile("docs/exchange-faults.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, row := testSources(t), 0
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		n, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil || !strings.HasPrefix(line, "|") {
			continue
		}
		if row++; n != row {
			t.Fatalf("row %d has the number %d", row, n)
		}
		if len(cells) != 4 {
			t.Errorf("row %d has %d cells, not 4", n, len(cells))
			continue
		}
		tests := quoted.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("row %d names no test", n)
		}
		for _, m := range tests {
			if err := sources.find(m[1]); err != nil {
				t.Errorf("row %d: %v", n, err)
			}
		}
	}
	if row != exchangeFaults {
		t.Errorf("%d rows, want %d", row, exchangeFaults)
	}
}
