package linkstate

import (
	"testing"
	"time"
)

// A server that stood still for longer than its patience accuses nobody when it goes
// on, whether its clock ticks first or what the others sent is read first; nor does
// it give up its streams. Who is dead is still found out, after the usual silence.
func TestWhoStoodStillBlamesNobody(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2, far)
	b.receive(mate, alive(mate, 7, 1), alive(mate2, 7, 1), alive(far, 7, 1), alive(there2, 7, 1))
	b.do(b.m.PeerLost(far, b.now))
	b.wait(3*time.Second, mate, mate2)
	b.clear()

	b.now = b.now.Add(time.Minute)
	b.do(b.m.Receive(mate2, &Keepalive{}, b.now))
	b.do(b.m.Tick(b.now))
	for _, s := range []GUID{mate, mate2, far, there2} {
		b.wantStatus(s, Alive)
	}
	if n := count[Reset](b); n != 0 {
		t.Errorf("%d streams were given up", n)
	}
	if n := count[Woke](b); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	b.wait(4*time.Second, mate2)
	b.wantStatus(mate, Alive)
	b.wait(2*time.Second, mate2)
	b.wantStatus(mate, Suspect)
	b.wantStatus(mate2, Alive)
	b.wait(10*time.Second, mate2)
	b.wantStatus(mate, Down)
	b.wantStatus(there2, Alive) // 20 s for the group, of which 19 have been listened to
	b.wait(2*time.Second, mate2)
	b.wantStatus(there2, Suspect)
}

// A suspicion that was known before the pause may have been taken back during it.
func TestSuspicionFromBeforeThePause(t *testing.T) {
	b := newBench(t)
	b.up(mate2)
	b.receive(mate2, alive(mate, 7, 1), alive(there2, 7, 1))
	b.do(b.m.PeerUp(mate, Protocol, b.now))
	b.do(b.m.PeerLost(mate, b.now))
	b.wait(6*time.Second, mate2)
	b.wantStatus(mate, Suspect)
	b.now = b.now.Add(time.Minute)
	b.do(b.m.Tick(b.now))
	b.wantStatus(mate, Suspect)
	b.receive(mate2, alive(mate, 8, 1))
	b.wantStatus(mate, Alive)
}
