package mail

import "time"

// Quarters are the quarters of an hour of a week.
const Quarters = 7 * 24 * 4

// Timetable is when a connector is open: a week in quarters of an hour (the book,
// chapter 5, "delivery options"), by the clocks of one place. It must not be
// changed once it is used.
type Timetable struct {
	Name string // of the schedule, for people
	// Open has the quarters from Monday 00:00 on.
	Open [Quarters]bool
	// Location gives the time of day; nil: UTC.
	Location *time.Location
}

// IsOpen says whether it is open at that time; a nil Timetable always is.
func (t *Timetable) IsOpen(at time.Time) bool { return t == nil || t.Open[t.quarter(at)] }

func (t *Timetable) quarter(at time.Time) int {
	if t.Location != nil {
		at = at.In(t.Location)
	} else {
		at = at.UTC()
	}
	day := (int(at.Weekday()) + 6) % 7 // Monday is 0
	return day*24*4 + at.Hour()*4 + at.Minute()/15
}

// Next is the first time after at when the answer of IsOpen becomes open; ok is
// false if it never does. Where clocks are put forward over an opening, it opens
// with the first quarter that there is.
func (t *Timetable) Next(at time.Time, open bool) (next time.Time, ok bool) {
	if t == nil {
		return time.Time{}, false
	}
	// All offsets of zones from UTC are whole quarters, today's at least; those of
	// old were not, and then an opening is found up to a quarter late.
	next = at.Truncate(15 * time.Minute)
	was := t.IsOpen(at)
	for range 2 * Quarters {
		next = next.Add(15 * time.Minute)
		is := t.IsOpen(next)
		if is == open && was != open {
			return next, true
		}
		was = is
	}
	return time.Time{}, false
}
