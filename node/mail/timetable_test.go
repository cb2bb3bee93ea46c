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
