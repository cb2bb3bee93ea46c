package main

import "testing"

func TestProcessors(t *testing.T) {
	for _, c := range []struct {
		usable int
		set    string
		want   int
	}{{1, "", 3}, {2, "", 4}, {64, "", 66}, {2, "2", 2}, {5, "5", 5}} {
		if got := processors(c.usable, c.set); got != c.want {
			t.Errorf("%d usable, GOMAXPROCS=%q: %d, want %d", c.usable, c.set, got, c.want)
		}
	}
}
