package directory

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Words for a connector's schedule that need no object.
const (
	ScheduleAlways = "always"
	ScheduleNever  = "never"
)

// DefaultOversize is the size in octets above which a message is oversize (the
// book, chapter 5: 2,000 kilobytes).
const DefaultOversize = 2_000_000

// Quarters of an hour in a week.
const weekQuarters = 7 * 24 * 4

// Week is a schedule read: its quarters of an hour from Monday 00:00 on, by the
// clocks of Location.
type Week struct {
	Name     string
	Open     [weekQuarters]bool
	Location *time.Location
}

// ReadSchedule reads the written form of a schedule.
func ReadSchedule(name string, s *directoryv1.Schedule) (*Week, error) {
	w := &Week{Name: name}
	var err error
	if w.Location, err = time.LoadLocation(s.GetTimeZone()); err != nil {
		return nil, fmt.Errorf("timeZone: %q is not an IANA name; write it like Europe/Paris", s.GetTimeZone())
	}
	for i, o := range s.GetOpen() {
		if !w.add(o) {
			return nil, fmt.Errorf(`%s: is %q, must be days and times in quarters of an hour; write it like "Mon-Fri 22:00-06:00"`, item("open", i), o)
		}
	}
	return w, nil
}

// add opens the quarters of "Mon-Fri 22:00-06:00"; a time that ends before it
// begins ends on the next day. Without days it is every day.
func (w *Week) add(s string) bool {
	days, times, ok := strings.Cut(s, " ")
	if !ok {
		days, times = "Mon-Sun", s
	}
	a, b, ok := strings.Cut(times, "-")
	from, ok1 := quarterOf(a)
	to, ok2 := quarterOf(b)
	if !ok || !ok1 || !ok2 || from == to || from == 24*4 {
		return false
	}
	if to < from {
		to += 24 * 4
	}
	for d := range strings.SplitSeq(days, ",") {
		first, last, isRange := strings.Cut(d, "-")
		if !isRange {
			last = first
		}
		i, j := dayOf(first), dayOf(last)
		if i < 0 || j < 0 {
			return false
		}
		if j < i {
			j += 7
		}
		for ; i <= j; i++ {
			for q := from; q < to; q++ {
				w.Open[(i*24*4+q)%weekQuarters] = true
			}
		}
	}
	return true
}

func dayOf(s string) int {
	const days = "MonTueWedThuFriSatSun"
	if i := strings.Index(days, s); len(s) == 3 && i%3 == 0 {
		return i / 3
	}
	return -1
}

func quarterOf(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 4, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*4 + t.Minute()/15, err == nil && len(s) == 5 && t.Minute()%15 == 0
}

// Opening is when a connector may be used.
type Opening struct {
	Week     *Week // nil: always
	Oversize *Week // for messages above Threshold octets; nil: always
	// Threshold: 0 if all messages go by Week.
	Threshold int64
	// Remote: mail waits until the other side asks.
	Remote bool
}

// gated is what the connectors of all kinds have of the kind.
type gated interface {
	GetSchedule() string
	GetOversizeSchedule() string
	GetOversizeThreshold() int64
}

// Opening is when the connector of whatever kind with this GUID may be used.
func (c *Configuration) Opening(g GUID) Opening {
	var spec gated
	var o Opening
	if e, ok := c.rgcs.guid(g); ok {
		spec = e.Spec
	} else if e, ok := c.smtpConnectors.guid(g); ok {
		spec, o.Remote = e.Spec, e.Spec.GetRemoteTriggered()
	} else if e, ok := c.foreign.guid(g); ok {
		spec = e.Spec
	} else {
		return o
	}
	o.Week = c.week(spec.GetSchedule())
	if name := spec.GetOversizeSchedule(); name != "" {
		o.Oversize, o.Threshold = c.week(name), cmp.Or(spec.GetOversizeThreshold(), DefaultOversize)
	}
	return o
}

// week reads a schedule by name. One that cannot be read, or is gone, is never
// open: mail that waits can still be sent, mail that went out cannot come back.
func (c *Configuration) week(name string) *Week {
	switch name {
	case "", ScheduleAlways:
		return nil
	case ScheduleNever:
		return &Week{Name: ScheduleNever}
	}
	s, ok := c.Schedule(name)
	if !ok {
		return &Week{Name: name}
	}
	w, err := ReadSchedule(name, s.Spec)
	if err != nil {
		return &Week{Name: name}
	}
	return w
}

// isScheduleWord says whether a connector's schedule needs no object.
func isScheduleWord(name string) bool {
	return name == "" || name == ScheduleAlways || name == ScheduleNever
}
