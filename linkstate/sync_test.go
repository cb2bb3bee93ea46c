package linkstate

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// answer gives the frames sent to a peer since the last clear.
func (b *bench) framesTo(peer GUID) []Frame {
	var frames []Frame
	for _, e := range b.did {
		if s, ok := e.(Send); ok && s.Peer == peer {
			frames = append(frames, s.Frame)
		}
	}
	return frames
}

func TestHigherAsksWhenStreamOpens(t *testing.T) {
	for peer, asks := range map[GUID]bool{mate: true, far2: true, mate2: false, far: false} {
		b := newBench(t)
		b.clear()
		b.up(peer)
		frames := b.framesTo(peer)
		if asked := len(frames) == 1; asked != asks {
			t.Errorf("peer %s: frames %v, want a digest: %v", peer, frames, asks)
		}
		if asks {
			if d, ok := frames[0].(*Digest); !ok || len(d.Entries) != 0 || d.Hash != b.m.Table().Digest() {
				t.Errorf("first frame %+v is no bare digest", frames[0])
			}
		}
	}
}

func TestSameTablesExchangeNothing(t *testing.T) {
	b := newBench(t)
	b.up(mate2)
	b.clear()
	b.do(b.m.Receive(mate2, &Digest{Hash: b.m.Table().Digest()}, b.now))
	if len(b.did) != 0 {
		t.Errorf("effects %v", b.did)
	}
}

func TestOnlyDifferencesTravel(t *testing.T) {
	b := newBench(t)
	b.up(mate)
	b.receive(mate, alive(mate, 1, 1), alive(mate2, 1, 5), alive(far, 1, 1))
	b.now = b.now.Add(testTimings.Keepalive)
	b.clear()
	b.do(b.m.Receive(mate, &Digest{Hash: Hash{1}}, b.now))
	frames := b.framesTo(mate)
	if len(frames) != 1 {
		t.Fatalf("answer to a bare digest: %v", frames)
	}
	full, ok := frames[0].(*Digest)
	if !ok || len(full.Entries) != 4 {
		t.Fatalf("answer to a bare digest: %+v", frames[0])
	}

	theirs := slices.Clone(full.Entries)
	for i := range theirs {
		switch theirs[i].Server {
		case mate2:
			theirs[i].Sequence = 4 // older there
		case far:
			theirs[i].Incarnation = 2 // newer there
		}
	}
	theirs = slices.DeleteFunc(theirs, func(e DigestEntry) bool { return e.Server == us }) // missing there
	theirs = append(theirs, DigestEntry{Server: far2, Incarnation: 1, Status: Alive},      // missing here
		DigestEntry{Server: GUID{99}, Incarnation: 1, Status: Alive}) // not in the directory
	b.clear()
	b.do(b.m.Receive(mate, &Digest{Hash: Hash{1}, Entries: theirs}, b.now))
	b.wantSent(us, mate)
	b.wantSent(mate2, mate)
	b.wantSent(far)
	b.wantSent(mate)
	for _, f := range b.framesTo(mate) {
		if w, ok := f.(*Want); ok && !slices.Equal(w.Servers, []GUID{far2, far}) {
			t.Errorf("wants %v", w.Servers)
		}
	}
	b.clear()
	b.do(b.m.Receive(mate, &Want{[]GUID{far, far2, mate2, mate2}}, b.now))
	b.wantSent(far, mate)
	b.wantSent(mate2, mate)
	b.wantSent(far2)
}

func TestKeepalivesThatRestApartCauseComparison(t *testing.T) {
	b := newBench(t)
	b.up(mate)
	b.receive(mate, alive(mate, 1, 1))
	b.clear()
	asked := func() int {
		n := 0
		for _, f := range b.framesTo(mate) {
			if _, ok := f.(*Digest); ok {
				n++
			}
		}
		return n
	}
	for i, c := range []struct {
		hash byte
		want int
	}{{1, 0}, {2, 0}, {2, 1}, {2, 1}, {2, 1}, {3, 1}, {3, 2}} {
		b.do(b.m.Receive(mate, &Keepalive{Hash: Hash{c.hash}}, b.now))
		if got := asked(); got != c.want {
			t.Fatalf("after keep-alive %d: %d digests sent, want %d", i, got, c.want)
		}
	}
}

func TestAntiEntropyWithOneNeighbour(t *testing.T) {
	b := newBench(t)
	b.up(mate2, far)
	b.clear()
	b.wait(2*time.Minute+20*time.Second, mate2, far)
	n := 0
	for _, f := range append(b.framesTo(mate2), b.framesTo(far)...) {
		if _, ok := f.(*Digest); ok {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d comparisons in two intervals, want 2", n)
	}
}

func TestPendingRecordIsNotSentBack(t *testing.T) {
	b := newBench(t)
	b.up(far, mate)
	b.clear()
	// One frame brings an old record of mate2 and then the new one: the answer
	// to the old one has become pointless.
	b.receive(far, alive(mate2, 2, 1))
	b.clear()
	b.receive(far, alive(mate2, 1, 1), alive(mate2, 2, 1))
	b.wantSent(mate2)
}

func TestBigSynchronisationIsCutIntoFrames(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	var records []*Record
	for i := range 1000 {
		g := GUID{100, byte(i >> 8), byte(i)}
		m.Servers = append(m.Servers, Member{g, beyond})
		records = append(records, alive(g, 1, 1))
	}
	b.do(b.m.Configure(m, testTimings, b.now))
	b.up(mate, far)
	b.clear()
	b.receive(far, records...)
	var sizes []int
	for _, f := range b.framesTo(mate) {
		sizes = append(sizes, len(f.(*Records).Records))
	}
	if want := []int{256, 256, 256, 232}; !slices.Equal(sizes, want) {
		t.Errorf("frames of %v records, want %v", sizes, want)
	}
}

// Two machines with different tables must agree after one exchange, whoever asks.
func TestTwoMachinesAgree(t *testing.T) {
	for _, asker := range []GUID{us, mate} {
		t.Run(fmt.Sprint(asker), func(t *testing.T) {
			now := time.Unix(1000, 0)
			machines := map[GUID]*Machine{}
			for _, g := range []GUID{us, mate} {
				m := New(Config{Self: g, Incarnation: 1000})
				members := testMembers()
				members.Self = g
				m.Configure(members, testTimings, now)
				machines[g] = m
			}
			machines[us].Restore([]*Record{alive(mate2, 1, 1), alive(far, 2, 1)}, 0, now)
			machines[mate].Restore([]*Record{alive(mate2, 1, 2), alive(far2, 2, 1)}, 0, now)
			now = now.Add(testTimings.Keepalive)
			other := map[GUID]GUID{us: mate, mate: us}
			for g, m := range machines {
				m.PeerUp(other[g], Protocol, now)
			}
			type letter struct {
				to    GUID
				frame Frame
			}
			mail := []letter{{other[asker], &Digest{Hash: machines[asker].Table().Digest()}}}
			for i := 0; len(mail) > 0; i++ {
				if i > 20 {
					t.Fatal("the exchange does not end")
				}
				l := mail[0]
				mail = mail[1:]
				for _, e := range machines[l.to].Receive(other[l.to], l.frame, now) {
					if s, ok := e.(Send); ok {
						mail = append(mail, letter{s.Peer, s.Frame})
					}
				}
			}
			if a, b := machines[us].Table(), machines[mate].Table(); a.Digest() != b.Digest() || a.Len() != 5 {
				t.Errorf("%d and %d records, digests %s and %s", a.Len(), b.Len(), a.Digest(), b.Digest())
			}
		})
	}
}

// A neighbour whose table goes on to differ raises an alarm; one that lags behind
// does not, nor does one whose table changes all the time.
func TestDivergenceIsTold(t *testing.T) {
	told := func(b *bench) (all []Diverged) {
		for _, e := range b.did {
			if d, ok := e.(Diverged); ok {
				all = append(all, d)
			}
		}
		return all
	}
	say := func(b *bench, h Hash) {
		b.now = b.now.Add(time.Second)
		b.do(b.m.Receive(mate, &Keepalive{Hash: h}, b.now))
	}
	b := newBench(t)
	b.up(mate)
	for i := range 1000 { // always another
		say(b, Hash{1, byte(i >> 8), byte(i)})
	}
	if all := told(b); len(all) != 0 {
		t.Fatalf("alarms %v about a table that changes", all)
	}
	say(b, Hash{2})
	since := b.now
	for range 400 { // three times a minute is the default
		say(b, Hash{2})
	}
	if all := told(b); !slices.Equal(all, []Diverged{{mate, since}}) {
		t.Fatalf("alarms %v, want one, since %v", all, since)
	}
	b.clear()
	say(b, Hash{3})
	say(b, b.m.Table().Digest())
	say(b, b.m.Table().Digest())
	if all := told(b); !slices.Equal(all, []Diverged{{Peer: mate}}) {
		t.Errorf("alarms %v when the tables are the same again, want the end of it", all)
	}
	for range 400 {
		say(b, Hash{4})
	}
	b.clear()
	b.do(b.m.PeerLost(mate, b.now))
	if all := told(b); !slices.Equal(all, []Diverged{{Peer: mate}}) {
		t.Errorf("alarms %v when the stream is lost, want the end of it", all)
	}
}

// While news is under way tables differ for a moment. A comparison in that moment
// would cost an entry for each server, so it waits until the table rests; but not
// for ever, and never on a new stream.
func TestComparisonWaitsForRest(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2)
	full := func() (n int) {
		for _, peer := range []GUID{mate, mate2} {
			for _, f := range b.framesTo(peer) {
				if d, ok := f.(*Digest); ok && len(d.Entries) > 0 {
					n++
				}
			}
		}
		return n
	}
	bare := func(from GUID) { b.do(b.m.Receive(from, &Digest{Hash: Hash{1}}, b.now)) }
	b.clear()
	b.receive(mate, alive(far, 1, 1))
	for _, from := range []GUID{mate, mate2} {
		first := us.Compare(from) < 0 // who has the higher GUID has asked already
		b.clear()
		bare(from)
		if got := full() == 1; got != first {
			t.Errorf("the first digest of %s, right after a change, is answered: %v, want %v", from, got, first)
		}
	}
	b.clear()
	bare(mate)
	if full() != 0 {
		t.Error("a digest is answered while the table changes")
	}
	b.now = b.now.Add(testTimings.Keepalive)
	bare(mate)
	if full() != 1 {
		t.Error("a digest is not answered though the table rests")
	}

	// A table that never rests is compared all the same, later.
	b.clear()
	asked := 0
	for i := range 300 {
		b.receive(mate, alive(far, 1, uint64(i+2)))
		b.wait(250*time.Millisecond, mate, mate2)
	}
	for _, peer := range []GUID{mate, mate2} {
		for _, f := range b.framesTo(peer) {
			if _, ok := f.(*Digest); ok {
				asked++
			}
		}
	}
	if asked != 1 {
		t.Errorf("%d comparisons in 75 s of changes with an interval of 60 s, want 1", asked)
	}
}
