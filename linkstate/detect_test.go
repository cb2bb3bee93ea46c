package linkstate

import (
	"slices"
	"testing"
	"time"
)

func TestSilentMemberIsSuspectedThenDown(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2, far)
	b.receive(mate, alive(mate, 7, 1))
	b.wait(4*time.Second, mate2, far)
	b.wantStatus(mate, Alive)
	b.wait(2*time.Second, mate2, far)
	b.wantStatus(mate, Suspect)
	if count[Reset](b) != 1 {
		t.Errorf("the silent stream was reset %d times, want once", count[Reset](b))
	}
	b.clear()
	b.wait(2*time.Second, mate2, far)
	b.wantStatus(mate, Down)
	b.wantSent(mate, mate2, far)
	if r := b.m.Table().Get(mate); r.Accuser != us || r.Incarnation != 7 {
		t.Errorf("accusation %+v", r)
	}
	b.receive(mate2, alive(mate, 8, 1))
	b.wantStatus(mate, Alive)
}

func TestMemberNeverHeard(t *testing.T) {
	b := newBench(t)
	b.wait(14 * time.Second)
	b.wantStatus(mate, 0) // three times the patience at the start
	b.wait(4 * time.Second)
	b.wantStatus(mate, Down)
	if r := b.m.Table().Get(mate); r.Incarnation != 0 {
		t.Errorf("an incarnation was made up: %+v", r)
	}
	b.wantStatus(far, 0)     // its own group speaks for it
	b.wantStatus(far2, Down) // has no group but itself
}

func TestPromotesSuspicionOfOthersOnlyWhenSilentHereToo(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2)
	b.receive(mate, alive(mate, 7, 1))
	suspicion := alive(mate, 7, 1)
	suspicion.Status, suspicion.Accuser = Suspect, mate2
	b.receive(mate2, suspicion)
	b.wait(4*time.Second, mate, mate2)
	b.wantStatus(mate, Suspect) // it is heard here: not ours to say that it is dead
}

func TestQuarrelDies(t *testing.T) {
	b := newBench(t)
	b.up(mate2)
	b.do(b.m.PeerUp(mate, Protocol, b.now))
	b.receive(mate, alive(mate, 1, 1))
	b.do(b.m.PeerLost(mate, b.now))
	accusations, incarnation := 0, uint64(1)
	for range 120 {
		b.wait(time.Second, mate2)
		if r := b.m.Table().Get(mate); r.Status == Suspect {
			accusations++
			incarnation++
			b.receive(mate2, alive(mate, incarnation, 1))
		}
	}
	// 5 s, then 10, 20, 40, 80: the fifth would come after 155 s.
	if accusations != 4 {
		t.Errorf("%d accusations in two minutes against a server that others hear, want 4", accusations)
	}
}

func TestGlitchRetriesBeforeDown(t *testing.T) {
	b := newBench(t)
	b.link(outside, false)
	b.link(outside, false) // together with the first: the same failure
	b.link(outside, false)
	b.wantLink(outside, false)
	b.clear()
	for range 2 {
		b.wantLink(outside, false)
		b.wait(time.Second)
		if n := count[Probe](b); n != 1 {
			t.Fatalf("%d probes in a glitch interval, want 1", n)
		}
		b.clear()
		b.link(outside, false)
	}
	b.wantLink(outside, true)
	if s, _ := b.m.Table().Get(us).Connector(outside); s.Reason != "refused" || s.Since != b.now.UnixMilli() {
		t.Errorf("state %+v", s)
	}
}

func TestSuccessEndsGlitch(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.link(outside, false)
		b.wait(time.Second)
		b.link(outside, true)
	}
	b.wantLink(outside, false)
	b.clear()
	b.wait(30 * time.Second)
	if n := count[Probe](b); n != 0 {
		t.Errorf("%d probes of a link that works", n)
	}
}

func takeDown(b *bench) {
	for range 3 {
		b.link(outside, false)
		b.wait(1100 * time.Millisecond)
	}
	b.wantLink(outside, true)
	b.clear()
}

func TestDownIsProbedWithoutMail(t *testing.T) {
	b := newBench(t)
	takeDown(b)
	for range 3 {
		b.wait(10 * time.Second)
		if n := count[Probe](b); n != 1 {
			t.Fatalf("%d probes in a probe interval, want 1", n)
		}
		b.clear()
		b.link(outside, false)
		if count[Changed](b) != 0 {
			t.Error("a failure of a link that is down changed the table")
		}
	}
	b.wait(5 * time.Second)
	b.link(outside, true)
	b.wantLink(outside, false)
}

func TestOneProbeAtATime(t *testing.T) {
	b := newBench(t)
	takeDown(b)
	b.wait(60 * time.Second) // the first probe never answers
	if n := count[Probe](b); n != 1 {
		t.Errorf("%d probes while the first is out", n)
	}
}

func TestNoGlitchRetries(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	m.Connectors[2].Detection = Detection{GlitchRetries: 0, GlitchInterval: time.Second}
	b.do(b.m.Configure(m, testTimings, b.now))
	b.link(outside, false)
	b.wantLink(outside, true)
}

func TestBrokenGossipProbesAtOnce(t *testing.T) {
	b := newBench(t)
	b.up(far, far2)
	b.clear()
	b.do(b.m.PeerLost(far, b.now))
	if !slices.Contains(b.did, Effect(Probe{toThere, far})) || count[Probe](b) != 1 {
		t.Fatalf("effects of a broken stream: %v", b.did)
	}
	b.link(toThere, false)
	b.wantLink(toThere, true) // two signs: no glitch retries
	b.clear()
	b.up(far)
	if !slices.Contains(b.did, Effect(Probe{toThere, far})) {
		t.Errorf("gossip is back and mail is not tried: %v", b.did)
	}
	b.link(toThere, true)
	b.wantLink(toThere, false)
}

func TestBrokenGossipWithWorkingMail(t *testing.T) {
	b := newBench(t)
	b.up(far)
	b.do(b.m.PeerLost(far, b.now))
	b.link(toThere, true)
	b.link(toThere, false)
	b.wantLink(toThere, false) // an ordinary glitch again
}

func TestOtherRemoteBridgeheadLeft(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	m.Connectors[0].Remote = []GUID{far, {8, 's'}}
	b.do(b.m.Configure(m, testTimings, b.now))
	b.up(far, GUID{8, 's'})
	b.clear()
	b.do(b.m.PeerLost(far, b.now))
	if n := count[Probe](b); n != 0 {
		t.Errorf("%d probes though another remote bridgehead is connected", n)
	}
	b.do(b.m.PeerLost(GUID{8, 's'}, b.now))
	if !slices.Contains(b.did, Effect(Probe{toThere, GUID{}})) {
		t.Errorf("no probe of any remote bridgehead: %v", b.did)
	}
}

func TestResultsOfOthersConnectorsAreIgnored(t *testing.T) {
	b := newBench(t)
	b.clear()
	b.link(GUID{99, 'c'}, false)
	if len(b.did) != 0 {
		t.Errorf("effects %v", b.did)
	}
}

// waitingBench has one connector to the far group, with idle probing or not.
func waitingBench(t *testing.T, idle time.Duration) *bench {
	b := newBench(t)
	m := testMembers()
	m.Connectors[0].Detection = Detection{GlitchInterval: time.Second, ProbeInterval: 10 * time.Second, IdleProbe: idle}
	b.do(b.m.Configure(m, testTimings, b.now))
	b.up(far)
	b.clear()
	return b
}

func TestIdleLinkIsProbedOnlyIfAsked(t *testing.T) {
	for idle, want := range map[time.Duration]int{0: 0, 30 * time.Second: 4} {
		b := waitingBench(t, idle)
		n := 0
		for range 130 {
			b.wait(time.Second, far)
			if count[Probe](b) > 0 {
				n++
				b.clear()
				b.link(toThere, true)
			}
		}
		if n != want {
			t.Errorf("probed %d times in 130 s with an interval of %v, want %d", n, idle, want)
		}
		b.wantLink(toThere, false)
	}
}

func TestMailPutsOffTheIdleProbe(t *testing.T) {
	b := waitingBench(t, 30*time.Second)
	for range 10 {
		b.wait(20*time.Second, far)
		b.link(toThere, true)
	}
	if n := count[Probe](b); n != 0 {
		t.Errorf("%d probes of a link that mail used all the time", n)
	}
}

// An idle link that is found broken goes down without any mail.
func TestIdleProbeFindsTheBreak(t *testing.T) {
	b := waitingBench(t, 30*time.Second)
	b.wait(31*time.Second, far)
	b.link(toThere, false)
	b.wantLink(toThere, true) // no glitch retries in this test
}

// A connector that waits for its schedule, or for the far end to call, is up: no
// attempt, no failure. Nor is it called by a probe when gossip breaks.
func TestWaitingConnectorIsUp(t *testing.T) {
	b := waitingBench(t, 0)
	b.do(b.m.SetWaiting([]GUID{toThere}, b.now))
	b.do(b.m.PeerLost(far, b.now))
	b.wait(time.Hour)
	b.do(b.m.PeerUp(far, Protocol, b.now))
	b.wantLink(toThere, false)
	if n := count[Probe](b); n != 0 {
		t.Errorf("%d probes of a connector that waits", n)
	}
	if s, _ := b.m.Table().Get(us).Connector(toThere); s.Since != 1_000_000 {
		t.Errorf("waiting changed the state: %+v", s)
	}
}

func TestWaitingConnectorIsProbedIfAsked(t *testing.T) {
	b := waitingBench(t, 30*time.Second)
	b.do(b.m.SetWaiting([]GUID{toThere}, b.now))
	b.wait(31*time.Second, far)
	if n := count[Probe](b); n != 1 {
		t.Errorf("%d probes in an idle interval, want 1", n)
	}
}

// What was down when the waiting began stays down, unprobed, and is tried at once
// when the connector opens.
func TestDownWhileWaiting(t *testing.T) {
	b := waitingBench(t, 0)
	b.link(toThere, false)
	b.wantLink(toThere, true)
	b.do(b.m.SetWaiting([]GUID{toThere}, b.now))
	b.clear()
	b.wait(10*time.Minute, far)
	if n := count[Probe](b); n != 0 {
		t.Errorf("%d probes of a connector that waits", n)
	}
	b.wantLink(toThere, true)
	b.do(b.m.SetWaiting(nil, b.now))
	b.wait(time.Second, far)
	if n := count[Probe](b); n != 1 {
		t.Errorf("%d probes when it opens, want 1", n)
	}
	b.link(toThere, true)
	b.wantLink(toThere, false)
}

// Waiting is told before the directory names the connector, and over changes of it.
func TestWaitingOutlivesConfigure(t *testing.T) {
	b := &bench{T: t, now: time.Unix(1000, 0), m: New(Config{Self: us, Incarnation: 1000, Random: func(int) int { return 0 }})}
	b.do(b.m.SetWaiting([]GUID{toThere}, b.now))
	b.do(b.m.Configure(testMembers(), testTimings, b.now))
	b.do(b.m.Configure(testMembers(), testTimings, b.now))
	b.up(far)
	b.do(b.m.PeerLost(far, b.now))
	if n := count[Probe](b); n != 0 {
		t.Errorf("%d probes of a connector that waits", n)
	}
}

func TestLinkWithoutStateChangesIsNotProbed(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	m.Connectors[2].Detection = Detection{GlitchInterval: time.Second, IdleProbe: time.Second, SuppressStateChanges: true}
	b.do(b.m.Configure(m, testTimings, b.now))
	b.clear()
	before := b.m.Table().Get(us)
	for range 10 {
		b.link(outside, false)
		b.wait(2 * time.Second)
	}
	b.wantLink(outside, false)
	if n := count[Probe](b); n != 0 || b.m.Table().Get(us) != before {
		t.Errorf("%d probes; it says %+v", n, b.m.Table().Get(us))
	}
}

// Whoever loses a stream to a member of its group says nothing about it: liveness
// stays in the group until the silence has lasted, and then it is one record.
func TestBrokenStreamStaysLocal(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2, far)
	b.receive(mate, alive(mate, 1, 1))
	b.clear()
	for range 10 {
		b.do(b.m.PeerLost(mate, b.now))
		b.wait(time.Second, mate2, far)
		b.up(mate)
	}
	for _, g := range []GUID{us, mate} {
		if to := b.sentTo(g); len(to) != 0 {
			t.Errorf("ten broken streams in the group: the record of %s was sent to %v", g, to)
		}
	}
}
