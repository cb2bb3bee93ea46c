package main

import (
	"bytes"
	"strings"
	"testing"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// Clocks that differ are named, and no event comes before the first.
func TestTrackWithClocksApart(t *testing.T) {
	ahead := map[string]int64{"oslo-1": -600_000_000, "rome-1": 3_600_000_000}
	var out bytes.Buffer
	apart(&out, ahead)
	for _, want := range []string{"the clock of oslo-1 is 10m0s behind: ", "the clock of rome-1 is 1h0m0s ahead: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, &out)
		}
	}
	out.Reset()
	err := new(client).events(&out, []*trackingv1.Event{
		{Node: "paris-1", TimeUnixUs: 1_000_000_000}, {Node: "oslo-1", TimeUnixUs: 402_000_000}, {Node: "rome-1", TimeUnixUs: 4_603_000_000},
	}, ahead)
	if text := out.String(); err != nil || strings.Contains(text, "+-") || !strings.Contains(text, "+2.0 s") || !strings.Contains(text, "+3.0 s") {
		t.Errorf("%v: %s", err, text)
	}
}
