package queue

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		48 * time.Hour: "48h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 10 * time.Second: "10s", time.Hour + 10*time.Second: "1h0m10s", 100 * time.Hour: "100h",
		70 * time.Second: "1m10s", 0: "0s", 20 * time.Hour: "20h", 20 * time.Minute: "20m",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
