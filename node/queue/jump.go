package queue

import (
	"time"

	"go.uber.org/zap"
)

// observed is what the runner remembers of the clock, to see when it is set.
type observed struct {
	began  time.Time // of the process's own clock, which cannot be set
	said   int64     // by the clock, Unix ms
	passed int64     // by the process's own, ms since began
}

// observe gives the time, and has the scheduler know if the clock was set since the last
// call; by is how much (ms). The caller holds mu.
func (r *Runner) observe() (now, by int64) {
	o := &r.seen
	now = r.now()
	passed := time.Since(o.began).Milliseconds()
	by = now - o.said - (passed - o.passed)
	o.said, o.passed = now, passed
	if max(by, -by) < jumpFrom {
		return now, 0
	}
	r.log.Warn("clock_jumped", zap.Duration("by", time.Duration(by)*time.Millisecond), zap.String("cure",
		"if the clock is wrong, set it: nothing is returned for the jump, but schedules, deferred delivery and the ends of rules follow the clock"))
	r.sched.Jump(by, now)
	r.armed = 0 // a time by the old clock: nearer alarms would be taken for later ones
	return now, by
}

// ends is when a message is given up that begins to age then, if that clock holds for it; both
// as of this moment (Unix ms).
func (r *Runner) ends(begins int64, c Clock) (end, now int64) {
	r.do(func(at int64) { end, now = r.sched.ends(begins+r.sched.jumps.since(begins), c), at })
	return end, now
}

// aged is the time (Unix ms) without what the clock was put forward since a message was
// created then, as far as this process saw it.
func (r *Runner) aged(created int64) (at int64) {
	r.do(func(now int64) { at = now - r.sched.jumps.since(created) })
	return at
}
