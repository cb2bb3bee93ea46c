package mail_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/node/mail"
)

func TestTimetableNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Paris", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"}).Draw(t, "zone")
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		tt := &mail.Timetable{Location: loc}
		for range rapid.IntRange(0, 3).Draw(t, "spans") {
			from := rapid.IntRange(0, mail.Quarters-1).Draw(t, "from")
			for i := range rapid.IntRange(1, 60).Draw(t, "length") {
				tt.Open[(from+i)%mail.Quarters] = true
			}
		}
		// A year with its changes of the clocks.
		at := time.Unix(rapid.Int64Range(1735689600, 1767225600).Draw(t, "at"), 0)
		got, ok := tt.Next(at, true)
		// The oracle walks minute by minute.
		var want time.Time
		was := tt.IsOpen(at)
		for m := at.Truncate(time.Minute); want.IsZero() && m.Sub(at) < 8*24*time.Hour; {
			m = m.Add(time.Minute)
			is := tt.IsOpen(m)
			if is && !was {
				want = m
			}
			was = is
		}
		if ok == want.IsZero() || ok && !got.Equal(want) {
			t.Fatalf("%s: opens at %s (%v), want %s", at, got, ok, want)
		}
	})
	if !(*mail.Timetable)(nil).IsOpen(time.Time{}) {
		t.Error("no timetable is shut")
	}
}

// Clocks that are put forward and back, with the times that people saw on them.
func TestTimetableOnDaysOfChange(t *testing.T) {
	for name, c := range map[string]struct {
		zone           string
		day, from, to  int    // quarters of an hour on one day of the week, 0 is Monday
		at             string // UTC
		open           bool   // then
		next           string // UTC, the next opening
		quartersOfWeek int    // open in the seven days from at
	}{
		"an hour that there is not":            {"Europe/Paris", 6, 8, 12, "2026-03-28T12:00:00Z", false, "2026-04-05T00:00:00Z", 0},
		"half of it is there":                  {"Europe/Paris", 6, 8, 16, "2026-03-28T12:00:00Z", false, "2026-03-29T01:00:00Z", 4},
		"an hour that there is twice":          {"Europe/Paris", 6, 8, 12, "2026-10-24T12:00:00Z", false, "2026-10-25T00:00:00Z", 8},
		"the second of them":                   {"Europe/Paris", 6, 8, 12, "2026-10-25T01:30:00Z", true, "2026-11-01T01:00:00Z", 4},
		"before and after, by the local clock": {"America/New_York", 0, 36, 40, "2026-03-06T00:00:00Z", false, "2026-03-09T13:00:00Z", 4},
		"a change by half an hour":             {"Australia/Lord_Howe", 6, 6, 8, "2026-04-04T12:00:00Z", false, "2026-04-04T14:30:00Z", 4},
	} {
		t.Run(name, func(t *testing.T) {
			loc, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			tt := &mail.Timetable{Location: loc}
			for q := c.from; q < c.to; q++ {
				tt.Open[c.day*96+q] = true
			}
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for q := range mail.Quarters {
				if tt.IsOpen(at.Add(time.Duration(q) * 15 * time.Minute)) {
					n++
				}
			}
			next, ok := tt.Next(at, true)
			if got := next.UTC().Format(time.RFC3339); tt.IsOpen(at) != c.open || !ok || got != c.next || n != c.quartersOfWeek {
				t.Errorf("open %v, next at %s, %d quarters a week; want %v, %s, %d", tt.IsOpen(at), got, n, c.open, c.next, c.quartersOfWeek)
			}
		})
	}
}
