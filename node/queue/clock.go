package queue

import (
	"slices"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Clock is the retry clock of a virtual server.
type Clock struct {
	First, Second, Third, Subsequent time.Duration
	// DelayNotice: a message older than that is reported as delayed, once; 0: never.
	DelayNotice time.Duration
	// Expiration: a message older than that is given up.
	Expiration time.Duration
	// The same two for mailboxes of this server; 0: as above.
	LocalDelayNotice, LocalExpiration time.Duration
	// And for messages of these priorities, before all others; zero fields: as above.
	High, Low Lifetimes
	// Glitch retries, GlitchWait apart, come before First; for hops that do not
	// say it themselves.
	Glitch     int
	GlitchWait time.Duration
	// Stalled is how long mail may stand still for no reason, and Stuck how long a
	// delivery may give no sign of life, before the watchdog restarts it. Stuck must
	// be longer than the agent's timeouts allow.
	Stalled, Stuck time.Duration
}

// Lifetimes are the ages at which something happens to a message.
type Lifetimes struct{ DelayNotice, Expiration time.Duration }

// DefaultClock has the values of the original.
func DefaultClock() Clock {
	return Clock{
		First: 10 * time.Minute, Second: 10 * time.Minute, Third: 10 * time.Minute, Subsequent: 15 * time.Minute,
		DelayNotice: 12 * time.Hour, Expiration: 48 * time.Hour,
		Glitch: 3, GlitchWait: time.Minute, Stalled: 5 * time.Minute, Stuck: time.Hour,
	}
}

// fill puts the defaults where nothing is set.
func (c Clock) fill() Clock {
	d := DefaultClock()
	for _, f := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&c.First, d.First}, {&c.Second, d.Second}, {&c.Third, d.Third}, {&c.Subsequent, d.Subsequent},
		{&c.Expiration, d.Expiration}, {&c.GlitchWait, d.GlitchWait}, {&c.Stalled, d.Stalled}, {&c.Stuck, d.Stuck},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return c
}

// Of is the clock for mail of a priority, to mailboxes of this server or not.
func (c Clock) Of(p mail.Priority, local bool) Clock {
	if local {
		c = c.with(Lifetimes{c.LocalDelayNotice, c.LocalExpiration})
	}
	switch {
	case p > 0:
		return c.with(c.High)
	case p < 0:
		return c.with(c.Low)
	}
	return c
}

func (c Clock) with(a Lifetimes) Clock {
	if a.DelayNotice > 0 {
		c.DelayNotice = a.DelayNotice
	}
	if a.Expiration > 0 {
		c.Expiration = a.Expiration
	}
	return c
}

// interval is the wait after the nth failure, counted from 1.
func (c Clock) interval(n int) time.Duration {
	switch {
	case n <= 1:
		return c.First
	case n == 2:
		return c.Second
	case n == 3:
		return c.Third
	}
	return c.Subsequent
}

// retries say when messages that were deferred by themselves are tried again.
type retries struct {
	intervals [4]time.Duration
	// rush: what was deferred before need not wait (Unix ms).
	rush int64
}

func (c Clock) retries(rush int64) retries {
	return retries{[4]time.Duration{c.First, c.Second, c.Third, c.Subsequent}, rush}
}

// ready is when a message may be given out (Unix ms). What is on disk is the interval that
// counted when it was deferred; the one that counts now holds. What did not happen yet by
// the clock, as that was put back, counts as happening now.
func (t retries) ready(r Ref, now int64) int64 {
	switch {
	case r.Failed == 0 || r.Attempts == 0:
		return min(r.Due, now+t.longest(r.Attempts))
	case r.Failed < t.rush:
		return r.Failed
	}
	return min(r.Failed, now) + t.intervals[min(r.Attempts, len(t.intervals))-1].Milliseconds()
}

// longest is the longest wait of a message (ms); none before the first attempt.
func (t retries) longest(attempts int) int64 {
	if attempts == 0 {
		return 0
	}
	return slices.Max(t.intervals[:]).Milliseconds()
}

// linkWait is the wait after the nth failed connection of a link in a row, and
// how many glitch retries the hop allows.
func (c Clock) linkWait(hop mail.HopOptions, n int) (wait time.Duration, glitches int) {
	glitches, wait = c.Glitch, c.GlitchWait
	if hop.Glitch != 0 {
		glitches = max(hop.Glitch, 0)
	}
	if hop.GlitchWait > 0 {
		wait = hop.GlitchWait
	}
	if n <= glitches {
		return wait, glitches
	}
	return c.interval(n - glitches), glitches
}

// deadline is when something must happen to a message created at that time even
// if no connection comes: the delay notice, or giving it up. Unix ms.
func (c Clock) deadline(created int64, notified bool) int64 {
	expire := created + c.Expiration.Milliseconds()
	if notified || c.DelayNotice <= 0 {
		return expire
	}
	return min(expire, created+c.DelayNotice.Milliseconds())
}

// noticeDue says whether a message is old enough for the delay notice.
func (c Clock) noticeDue(created, now int64) bool {
	return c.DelayNotice > 0 && now >= created+c.DelayNotice.Milliseconds()
}
