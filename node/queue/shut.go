package queue

import (
	"time"
)

// forcedFor is how long (ms) a link that was forced open may take to begin. Once a
// connection is open it stays so until the last one closes.
const forcedFor = int64(10 * time.Minute / time.Millisecond)

// shut says whether the connector keeps the link closed now: by its schedule, or
// because the other side has to ask.
func (l *link) shut(now int64) bool {
	o := &l.hop.Options
	if o.Timetable == nil && !o.Remote || l.forced != 0 && (len(l.conns) > 0 || now < l.forced) {
		return false
	}
	return o.Remote || !o.Timetable.IsOpen(time.UnixMilli(now))
}

// spent says whether a link that is open only because somebody forced it has given
// out all that waited: it does not stay open for what comes later.
func (l *link) spent(now int64) bool {
	if l.forced == 0 {
		return false
	}
	for q := range l.queues {
		if q.more || q.filling {
			return false
		}
	}
	o := &l.hop.Options
	return o.Remote || !o.Timetable.IsOpen(time.UnixMilli(now))
}

// awaitOpening sets the alarm of a link that is shut by its schedule.
func (s *Scheduler) awaitOpening(l *link, now int64) {
	if l.hop.Options.Remote {
		return
	}
	if at, ok := l.hop.Options.Timetable.Next(time.UnixMilli(now), true); ok {
		s.timers.set(&l.timer, max(at.UnixMilli(), l.next))
	}
}
