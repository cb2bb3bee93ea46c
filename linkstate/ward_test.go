package linkstate

import (
	"testing"
	"time"
)

var there2 = GUID{8, 's'} // the member of there that is nobody's bridgehead

func TestSilentGroupIsAccusedFromOutside(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2, far)
	b.receive(far, alive(far, 7, 1), alive(there2, 7, 1))
	b.do(b.m.PeerLost(far, b.now))
	b.wait(19*time.Second, mate, mate2) // its own members have the first word: 4 × 5 s
	b.wantStatus(far, Alive)
	b.wantStatus(there2, Alive)
	b.clear()
	b.wait(2*time.Second, mate, mate2)
	b.wantStatus(far, Suspect)
	b.wantStatus(there2, Suspect)
	b.wantSent(there2, mate, mate2)
	b.wait(2*time.Second, mate, mate2)
	b.wantStatus(far, Down)
	b.wantStatus(there2, Down)
	if r := b.m.Table().Get(there2); r.Accuser != us || r.Incarnation != 7 {
		t.Errorf("accusation %+v", r)
	}
	b.receive(mate, alive(there2, 8, 1)) // it was cut off, and is back by another way
	b.wantStatus(there2, Alive)
}

func TestGroupWithOneMemberHeardIsLeftAlone(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	m.Connectors[0].Remote = []GUID{far, there2}
	b.do(b.m.Configure(m, testTimings, b.now))
	b.up(mate, far, there2)
	b.receive(far, alive(far, 7, 1), alive(there2, 7, 1))
	b.do(b.m.PeerLost(far, b.now))
	b.wait(3*time.Minute, mate, there2)
	b.wantStatus(far, Alive) // there2 is heard and says nothing of it
}

func TestRecordsOfMembersAreSignsOfLife(t *testing.T) {
	for _, c := range []struct {
		name string
		sign *Record
	}{
		{"a member's own record", alive(there2, 7, 2)},
		{"a member's word on another", &Record{Server: far, Incarnation: 7, Sequence: 1, Status: Suspect, Accuser: there2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.up(mate, far)
			b.receive(far, alive(far, 7, 1), alive(there2, 7, 1))
			b.do(b.m.PeerLost(far, b.now))
			b.wait(15*time.Second, mate)
			b.receive(mate, c.sign)
			b.wait(15*time.Second, mate)
			b.wantStatus(there2, Alive)
			b.wait(6*time.Second, mate)
			b.wantStatus(there2, Suspect)
		})
	}
}

func TestQuarrelWithGroupDies(t *testing.T) {
	b := newBench(t)
	b.up(mate, far)
	b.receive(far, alive(far, 7, 1), alive(there2, 7, 1))
	b.do(b.m.PeerLost(far, b.now))
	accusations, incarnation := 0, uint64(7)
	for range 240 {
		b.wait(time.Second, mate)
		if b.m.Table().Get(there2).Status == Suspect {
			accusations++
			incarnation++
			b.receive(mate, alive(far, incarnation, 1), alive(there2, incarnation, 1))
		}
	}
	// 20 s, then 40, then 80 at a time: 20, 60, 140, 220.
	if accusations != 4 {
		t.Errorf("%d accusations in four minutes against a group that others hear, want 4", accusations)
	}
	b.up(far)
	b.do(b.m.PeerLost(far, b.now))
	b.wait(21*time.Second, mate)
	b.wantStatus(there2, Suspect) // a stream worked in between: the old patience
}

func TestGroupNeverHeard(t *testing.T) {
	b := newBench(t)
	b.wait(59 * time.Second)
	b.wantStatus(there2, 0)
	b.wait(4 * time.Second)
	b.wantStatus(there2, Down)
}
