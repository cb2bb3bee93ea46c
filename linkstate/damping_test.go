package linkstate

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dampedBench has a connector without glitch retries, so that one result is one change.
func dampedBench(t *testing.T, d Damping) *bench {
	b := newBench(t)
	m := testMembers()
	m.Connectors[2].Detection = Detection{GlitchInterval: time.Second, ProbeInterval: 10 * time.Second, Damping: d}
	b.do(b.m.Configure(m, testTimings, b.now))
	return b
}

func (b *bench) suppressedUntil() int64 {
	s, _ := b.m.Table().Get(us).Connector(outside)
	return s.SuppressedUntil
}

func TestFlappingLinkIsDamped(t *testing.T) {
	b := dampedBench(t, Damping{}) // half-life 50 s
	for range 3 {
		b.link(outside, false)
		b.wantLink(outside, true)
		b.wait(time.Second)
		b.link(outside, true)
		b.wantLink(outside, false)
		b.wait(time.Second)
	}
	b.link(outside, false) // the fourth within 6 s
	until := time.UnixMilli(b.suppressedUntil())
	if wait := until.Sub(b.now); wait < 90*time.Second || wait > 100*time.Second {
		t.Fatalf("suppressed for %v, want almost two half-lives", wait)
	}
	b.clear()
	b.wait(time.Second)
	b.link(outside, true)
	b.wantLink(outside, true) // it works, and has to be quiet first
	if count[Changed](b) != 0 {
		t.Error("a success that changes nothing made a record")
	}
	for until.Sub(b.now) > time.Second { // looked at like any link that is down
		b.clear()
		b.wait(min(10*time.Second, until.Sub(b.now)-time.Second))
		if n := count[Probe](b); n > 1 {
			t.Fatalf("%d probes in a probe interval", n)
		}
		b.link(outside, true)
		b.wantLink(outside, true)
	}
	b.clear()
	b.wait(2 * time.Second)
	if n := count[Probe](b); n != 1 {
		t.Fatalf("%d probes when the suppression ends, want 1", n)
	}
	b.link(outside, true)
	b.wantLink(outside, false)
	if b.suppressedUntil() != 0 {
		t.Error("a link that is up is called suppressed")
	}
	b.link(outside, false)
	b.wait(time.Second)
	b.link(outside, true)
	b.wantLink(outside, false) // one change more is not flapping again
}

func TestSlowChangesAreNotDamped(t *testing.T) {
	b := dampedBench(t, Damping{})
	for range 20 {
		b.link(outside, false)
		b.wait(15 * time.Second)
		b.link(outside, true)
		b.wantLink(outside, false)
		b.wait(25 * time.Second)
	}
}

func TestSuppressedLinkThatFailsIsProbedOn(t *testing.T) {
	b := dampedBench(t, Damping{Suppress: 1000, Reuse: 500, HalfLife: 30 * time.Second})
	b.link(outside, false)
	if b.suppressedUntil() != b.now.Add(30*time.Second).UnixMilli() {
		t.Fatalf("suppressed until %d, want one half-life", b.suppressedUntil())
	}
	for range 4 {
		b.clear()
		b.wait(10 * time.Second)
		if n := count[Probe](b); n != 1 {
			t.Fatalf("%d probes in a probe interval, want 1", n)
		}
		b.link(outside, false)
	}
	b.link(outside, true)
	b.wantLink(outside, false) // the suppression is over, and it works
}

func TestDampingDisabled(t *testing.T) {
	b := dampedBench(t, Damping{Disabled: true})
	for range 50 {
		b.link(outside, false)
		b.link(outside, true)
	}
	b.wantLink(outside, false)
}

func TestDisablingDampingFrees(t *testing.T) {
	b := dampedBench(t, Damping{Suppress: 500, Reuse: 400})
	b.link(outside, false)
	b.wait(time.Second)
	b.link(outside, true)
	b.wantLink(outside, true)
	m := testMembers()
	m.Connectors[2].Detection.Damping.Disabled = true
	b.do(b.m.Configure(m, testTimings, b.now))
	b.link(outside, true)
	b.wantLink(outside, false)
}

func TestSuppressionSurvivesRestart(t *testing.T) {
	b := &bench{T: t, now: time.Unix(1000, 0), m: New(Config{Self: us, Incarnation: 1000})}
	until := b.now.Add(20 * time.Second)
	b.do(b.m.Restore([]*Record{{
		Server: us, Incarnation: 900, Sequence: 1, Status: Alive,
		Connectors: []ConnectorState{{Connector: outside, Down: true, Since: 77, Reason: "refused", SuppressedUntil: until.UnixMilli()}},
	}}, 0, b.now))
	b.do(b.m.Configure(testMembers(), testTimings, b.now))
	b.link(outside, true)
	b.wantLink(outside, true)
	if b.suppressedUntil() != until.UnixMilli() {
		t.Errorf("suppressed until %d, want %d", b.suppressedUntil(), until.UnixMilli())
	}
	b.wait(21 * time.Second)
	b.link(outside, true)
	b.wantLink(outside, false)
}

func TestStateChangesSuppressed(t *testing.T) {
	b := newBench(t)
	b.up(far2)
	b.do(b.m.PeerLost(far2, b.now))
	b.link(toBeyond, false)
	b.wantLink(toBeyond, true)
	m := testMembers()
	m.Connectors[1].Detection.SuppressStateChanges = true
	b.do(b.m.Configure(m, testTimings, b.now))
	b.wantLink(toBeyond, false) // up by decree
	for range 10 {
		b.link(toBeyond, false)
		b.wait(2 * time.Second)
	}
	b.wantLink(toBeyond, false)
}

// Whatever the settings and the times of the changes: the suppression is never
// longer than Maximum, and when it ends the penalty has decayed to Reuse, unless
// Maximum cut it short.
func TestSuppressionIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Damping{
			Penalty:  rapid.Float64Range(0, 5000).Draw(t, "penalty"),
			Suppress: rapid.Float64Range(0, 5000).Draw(t, "suppress"),
			Reuse:    rapid.Float64Range(0, 5000).Draw(t, "reuse"),
			HalfLife: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "half-life")),
			Maximum:  time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "maximum")),
		}.withDefaults(time.Second)
		now := time.Unix(1000, 0)
		var f flaps
		for range rapid.IntRange(1, 30).Draw(t, "changes") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "quiet")))
			f.note(d, now)
			wait := f.until.Sub(now)
			if wait > d.Maximum {
				t.Fatalf("suppressed for %v, maximum is %v", wait, d.Maximum)
			}
			if f.penalty >= d.Suppress && wait < d.Maximum {
				left := f.penalty * math.Exp2(-float64(wait)/float64(d.HalfLife))
				// The end is cut to a millisecond.
				if slack := math.Exp2(float64(2*time.Millisecond) / float64(d.HalfLife)); left > d.Reuse*slack {
					t.Fatalf("released at %v, reuse is %v", left, d.Reuse)
				}
			}
		}
	})
}

// A node of the first version has the field among the unknown ones, as bytes.
func TestHashIsThatOfOlderVersions(t *testing.T) {
	record := func(until int64, unknown string) *Record {
		return &Record{Server: us, Status: Alive, Connectors: []ConnectorState{{
			Connector: outside, Down: true, SuppressedUntil: until, Unknown: []byte(unknown),
		}}}
	}
	const field, more = "\x28\xac\x02", "\xf8\x01\x01" // field 5 is 300; another of the future
	older, newer := record(0, field+more), record(300, more)
	if older.Hash() != newer.Hash() {
		t.Error("nodes of two versions would never agree on a record")
	}
	if newer.Hash() == record(301, more).Hash() || newer.Hash() == record(0, more).Hash() {
		t.Error("the field does not count")
	}
}

// Below the surface a suppressed link may go on flapping. That is counted, and
// costs the organisation nothing until the time it was told has come.
func TestFlapsWhileSuppressedAreCounted(t *testing.T) {
	b := dampedBench(t, Damping{Suppress: 2500, Reuse: 1000, HalfLife: 30 * time.Second, Maximum: 5 * time.Minute})
	for range 3 {
		b.link(outside, false)
		b.wait(time.Second)
		b.link(outside, true)
	}
	b.wantLink(outside, true)
	told := time.UnixMilli(b.suppressedUntil())
	before := b.m.Table().Get(us).Sequence
	said := func() uint64 { return b.m.Table().Get(us).Sequence - before }
	flaps := 0
	for told.Sub(b.now) > 4*time.Second {
		b.link(outside, false)
		b.wait(time.Second)
		b.link(outside, true)
		b.wait(time.Second)
		flaps++
	}
	if said() != 0 || b.suppressedUntil() != told.UnixMilli() {
		t.Fatalf("%d flaps below the surface made %d changes", flaps, said())
	}
	b.wait(told.Sub(b.now) + time.Second)
	b.link(outside, true)
	b.wantLink(outside, true)
	later := time.UnixMilli(b.suppressedUntil())
	if n := said(); n != 1 || !later.After(told.Add(30*time.Second)) {
		t.Fatalf("%d changes when the time came, suppressed until %v after %v, want one and at least a half-life more", n, later, told)
	}
	b.wait(later.Sub(b.now) + time.Second)
	b.link(outside, true)
	b.wantLink(outside, false)
}

// A failure that is only a glitch is no flap, suppressed or not.
func TestGlitchWhileSuppressedIsNoFlap(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	m.Connectors[2].Detection = Detection{GlitchRetries: 2, GlitchInterval: time.Second, ProbeInterval: 10 * time.Second, Damping: Damping{Suppress: 1000, Reuse: 500, HalfLife: time.Minute}}
	b.do(b.m.Configure(m, testTimings, b.now))
	takeDown(b)
	until := b.suppressedUntil()
	b.link(outside, true)
	b.wait(30 * time.Second)
	b.link(outside, false)
	b.wait(2 * time.Second)
	b.link(outside, true)
	b.wait(time.UnixMilli(until).Sub(b.now) + time.Second)
	b.link(outside, true)
	b.wantLink(outside, false)
}
