package queue

import "time"

// A clock is set: by an administrator, by NTP after a start without a battery, by the
// host of a virtual machine that was suspended. What counts in minutes goes on to do
// so: waits last as long as they would have, and mail ages by the time that has passed.
// What is meant for a time of day (schedules, deferred delivery, the end of a rule)
// follows the clock.

// jumpFrom is the least difference (ms) that is a jump; NTP slews less than that.
const jumpFrom = 10_000

// startGrace is how long after the start nothing is given up for its age. A node that
// was off for days, or started with a wrong clock, tries first, and more than once: hosts
// put off whom they do not know. It is longer than the glitch retries of a link.
const startGrace = int64(15 * time.Minute / time.Millisecond)

// jump is one time that the clock was put forward: by (ms), when it said before.
type jump struct{ before, by int64 }

// jumps are those of the process that have not been put back.
type jumps []jump

// since is by how much the clock was put forward after something was created.
func (j jumps) since(created int64) (by int64) {
	for _, one := range j {
		if created <= one.before {
			by += one.by
		}
	}
	return by
}

// and adds one; by below 0 takes the latest ones back, as far as they go.
func (j jumps) and(by, now int64) jumps {
	if by > 0 {
		return append(j[:len(j):len(j)], jump{now - by, by})
	}
	out := append(jumps(nil), j...)
	for ; by < 0 && len(out) > 0; out = out[:len(out)-1] {
		last := &out[len(out)-1]
		if last.by+by > 0 {
			last.by += by
			break
		}
		by += last.by
	}
	return out
}

// Jump is told that the clock was put forward by so much (ms; below 0: back). now is
// what it says since.
func (s *Scheduler) Jump(by, now int64) {
	s.jumps = s.jumps.and(by, now)
	shift := func(at *int64) {
		if *at != 0 {
			*at += by
		}
	}
	for _, c := range s.conns {
		for _, at := range []*int64{&c.heard, &c.life, &c.since, &c.sight.life, &c.sight.since, &c.sight.broke} {
			shift(at)
		}
		if c.timer.at != 0 {
			s.timers.set(&c.timer, c.timer.at+by)
		}
	}
	for _, l := range s.links {
		for _, at := range []*int64{&l.next, &l.failed, &l.forced, &l.stalled} {
			shift(at)
		}
		switch {
		case l.next > now:
			s.timers.set(&l.timer, l.next)
		case l.timer.at != 0:
			s.timers.set(&l.timer, now) // its schedule is looked at again
		}
	}
	shift(&s.began)
	for _, q := range s.sorted() {
		s.jumpQueue(q, by, now)
	}
}

func (s *Scheduler) jumpQueue(q *queue, by, now int64) {
	if q.fillSince != 0 {
		q.fillSince += by
	}
	if q.rush != 0 {
		q.rush += by
	}
	for _, e := range q.refs {
		if e.alone != 0 {
			e.alone += by
		}
		if e.quiet != 0 {
			e.quiet += by
		}
		if e.begun != 0 {
			e.begun += by
		}
		if e.Failed != 0 && by < 0 {
			e.Failed += by // as its time is: new intervals count from there
		}
		e.begin(now)
	}
	q.deadline = 0
	for _, e := range append([]*entry(nil), q.win.all()...) {
		// Put forward, the clock has them due sooner: that costs an attempt at most.
		if by < 0 && !q.key.Held {
			s.reset(e, e.at+by)
		}
		s.watch(e)
	}
	s.poke(q, now)
}

// begin has an entry age from now on that was created in the future: another clock, or
// this one before it was put back, said so. (One that its sender deferred ages from the
// time that he asked for.) What deferred it then did so now.
func (e *entry) begin(now int64) {
	e.Failed = min(e.Failed, now)
	if e.begun == 0 && e.Created > now && !e.queue.key.Held {
		e.begun = now
	}
}

// created is when an entry begins to age, by the clock of this moment: not in the
// future, and later by what the clock was put forward since.
func (s *Scheduler) created(e *entry) int64 {
	if e.begun != 0 {
		return e.begun
	}
	return e.Created + s.jumps.since(e.Created)
}
