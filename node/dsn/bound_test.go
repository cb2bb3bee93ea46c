package dsn

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBound(t *testing.T) {
	l := Limits{PerSender: 2, PerSource: 3, Total: 5}
	now := accepted
	var b Bound
	for i, c := range []struct {
		to, source string
		later      time.Duration
		want       string
	}{
		{"a", "1", 0, ""}, {"a", "2", 0, ""}, {"a", "3", 0, BySender},
		{"b", "1", 0, ""}, {"c", "1", 0, ""}, {"d", "1", 0, BySource},
		{"e", "", 0, ""}, {"f", "", 0, ByTotal},
		{"a", "9", 30 * time.Minute, ""}, {"a", "9", 0, BySender}, // half of each bucket is free again
		{"g", "", 0, ""}, {"h", "", 0, ByTotal},
		{"a", "1", time.Hour, ""},
	} {
		now = now.Add(c.later)
		if got := b.Take(now, l, c.to, c.source); got != c.want {
			t.Errorf("step %d: %q, want %q", i, got, c.want)
		}
	}
	for i := range 100 {
		if over := b.Take(now, Limits{}, "a", "1"); over != "" {
			t.Fatalf("report %d without limits: %s", i, over)
		}
	}
	b.Take(now.Add(3*time.Hour), l, "z", "")
	if n := len(b.buckets); n != 2 {
		t.Errorf("%d counts are kept, want those of z and of all", n)
	}
}

// A restart changes nothing: whatever was counted before, one that was saved and
// restored says what the one that went on says. Nothing new, nothing to save.
func TestBoundIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{PerSender: rapid.IntRange(1, 4).Draw(t, "per sender"), PerSource: rapid.IntRange(0, 4).Draw(t, "per source"), Total: rapid.IntRange(1, 9).Draw(t, "total")}
		now := accepted
		name := rapid.SampledFrom([]string{"a@x", "b@x", "ü@x", ""})
		var on Bound
		off := &Bound{}
		for i := range rapid.IntRange(1, 60).Draw(t, "reports") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, fmt.Sprint("wait", i))) * time.Second)
			to, source := name.Draw(t, "to"), name.Draw(t, "source")
			if a, b := on.Take(now, l, to, source), off.Take(now, l, to, source); a != b {
				t.Fatalf("report %d: %q without a restart, %q with", i, a, b)
			}
			if rapid.Bool().Draw(t, "restart") {
				file, err := off.File(now)
				if err != nil {
					t.Fatal(err)
				}
				if more, err := off.File(now); more != nil || err != nil {
					t.Fatalf("saved twice: %s %v", more, err)
				}
				next := &Bound{}
				if file != nil { // else nothing has passed since the last restart
					if err := next.Restore(file, now); err != nil {
						t.Fatal(err)
					}
					off = next
				}
			}
		}
	})
}

func TestBoundAfterAWrongClock(t *testing.T) {
	l := Limits{PerSender: 2, Total: 9}
	var b Bound
	ahead := accepted.Add(1000 * time.Hour)
	for range 2 {
		if over := b.Take(ahead, l, "a", ""); over != "" {
			t.Fatal(over)
		}
	}
	if over := b.Take(accepted, l, "a", ""); over != BySender {
		t.Errorf("the clock was set back, and the bound is gone: %q", over)
	}
	file, err := b.File(accepted)
	if err != nil {
		t.Fatal(err)
	}
	if over := b.Take(accepted.Add(31*time.Minute), l, "a", ""); over != "" {
		t.Errorf("who waits for the clock to catch up: %q", over)
	}
	var after Bound
	if err := after.Restore(file, accepted); err != nil {
		t.Fatal(err)
	}
	if over := after.Take(accepted, l, "a", ""); over != BySender {
		t.Errorf("after the restart: %q", over)
	}
	if over := after.Take(accepted.Add(31*time.Minute), l, "a", ""); over != "" {
		t.Errorf("who waits for the wrong clock: %q", over)
	}
	for _, bad := range []string{"", "{", `{"kind":1}`, `[{"used":"x"}]`} {
		if err := new(Bound).Restore([]byte(bad), accepted); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// In any hour no more than twice the limit pass (a full bucket, and what flows in),
// and whoever keeps below the limit all the time is never stopped.
func TestBoundAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		var b Bound
		var passed []time.Time
		now := accepted
		for i := range rapid.IntRange(1, 80).Draw(t, "reports") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, fmt.Sprint("wait", i))) * time.Second)
			inHour := 0
			for _, p := range passed {
				if now.Sub(p) < time.Hour {
					inHour++
				}
			}
			over := b.Take(now, Limits{PerSender: limit}, "a", "x")
			if over == "" {
				passed = append(passed, now)
				if inHour+1 > 2*limit {
					t.Fatalf("%d within an hour, the limit is %d", inHour+1, limit)
				}
			} else if inHour+1 <= 1 {
				t.Fatalf("stopped with %d in the last hour, the limit is %d", inHour, limit)
			}
		}
	})
}
