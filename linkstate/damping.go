package linkstate

import (
	"math"
	"time"
)

// Damping keeps a connector that goes up and down again and again out of use
// until it has been quiet for a while, so that one bad line does not move the
// mail and the tables of the whole organisation back and forth.
//
// Each change from up to down adds Penalty; the sum halves every HalfLife. A
// change that lifts the sum to Suppress or above suppresses the connector: it
// stays down, though it may work, until the sum has decayed to Reuse. It is then
// probed, and up at the first success. Changes that connections and probes see
// meanwhile are counted too; the organisation hears of a later return when the
// time it was told has come, so that flaps below the surface cost it one record
// for each suppression at most. The sum is bounded, so that no connector is
// suppressed for longer than Maximum after its last change.
//
// The time-based defaults follow the probe interval, as flaps do: with the
// defaults of Detection a half-life of 5 minutes and at most 15 minutes of
// suppression, which needs at least four changes within some minutes.
type Damping struct {
	Disabled bool
	Penalty  float64       // of one change; zero: 1000
	Suppress float64       // zero: 3000
	Reuse    float64       // below Suppress; zero: 1000
	HalfLife time.Duration // zero: 5 probe intervals
	Maximum  time.Duration // zero: 3 half-lives
}

// Defaults of Damping.
const (
	DefaultPenalty  = 1000
	DefaultSuppress = 3000
	DefaultReuse    = 1000
	// DefaultHalfLife is counted in probe intervals, DefaultMaximum in half-lives.
	DefaultHalfLife = 5
	DefaultMaximum  = 3
)

func (d Damping) withDefaults(probe time.Duration) Damping {
	for _, v := range []struct {
		v   *float64
		def float64
	}{{&d.Penalty, DefaultPenalty}, {&d.Suppress, DefaultSuppress}, {&d.Reuse, DefaultReuse}} {
		if !(*v.v > 0) {
			*v.v = v.def
		}
	}
	if d.HalfLife <= 0 {
		d.HalfLife = DefaultHalfLife * probe
	}
	if d.Maximum <= 0 {
		d.Maximum = DefaultMaximum * d.HalfLife
	}
	d.Reuse = min(d.Reuse, d.Suppress)
	return d
}

// flaps is what one connector has on its account.
type flaps struct {
	penalty float64   // at the time of
	at      time.Time // the last change to down
	until   time.Time // suppressed until then; zero: not suppressed
	told    time.Time // until, as the organisation knows it
}

// note counts one change from up to down.
func (f *flaps) note(d Damping, now time.Time) {
	if d.Disabled {
		*f = flaps{}
		return
	}
	if !f.at.IsZero() {
		f.penalty *= math.Exp2(-float64(now.Sub(f.at)) / float64(d.HalfLife))
	}
	ceiling := max(d.Suppress, d.Reuse*math.Exp2(float64(d.Maximum)/float64(d.HalfLife)))
	f.penalty, f.at = min(f.penalty+d.Penalty, ceiling), now
	if f.penalty >= d.Suppress || f.suppressed(now) && f.penalty > d.Reuse {
		wait := time.Duration(math.Log2(f.penalty/d.Reuse) * float64(d.HalfLife))
		f.until = now.Add(min(wait.Truncate(time.Millisecond), d.Maximum))
	}
}

// suppressed says whether the connector has to stay down at this time.
func (f *flaps) suppressed(now time.Time) bool { return now.Before(f.until) }

// tell makes what is known public.
func (f *flaps) tell() { f.told = f.until }

// overdue: the time that was told has come, and is not the right one any more.
func (f *flaps) overdue(now time.Time) bool { return !f.told.Equal(f.until) && !now.Before(f.told) }

// free ends the suppression; the penalty stays.
func (f *flaps) free() { f.until, f.told = time.Time{}, time.Time{} }

// millis is what was told in Unix milliseconds, 0 if the connector is not suppressed.
func (f *flaps) millis() int64 {
	if f.told.IsZero() {
		return 0
	}
	return f.told.UnixMilli()
}

// restore takes over what a record of an earlier run says, within new settings.
func (f *flaps) restore(d Damping, now time.Time) {
	switch {
	case d.Disabled:
		*f = flaps{}
	case f.until.After(now.Add(d.Maximum)):
		f.until = now.Add(d.Maximum)
		f.tell()
	}
}
