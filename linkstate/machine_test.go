package linkstate

import (
	"slices"
	"testing"
	"time"
)

var (
	us    = GUID{5, 's'} // in the middle, so that it dials some and is called by others
	mate  = GUID{3, 's'}
	mate2 = GUID{7, 's'}
	far   = GUID{9, 's'}
	far2  = GUID{1, 's'}

	here   = GUID{1, 'g'}
	there  = GUID{2, 'g'}
	beyond = GUID{3, 'g'}

	toThere  = GUID{1, 'c'}
	toBeyond = GUID{2, 'c'}
	outside  = GUID{3, 'c'}
)

// The organisation of these tests: us, mate and mate2 in one group; far and a
// second server in another; far2 alone in a third.
//
//	here(us, mate, mate2) ──toThere──> there(far, ...)
//	          └────────────toBeyond──> beyond(far2)        outside: to the world
func testMembers() Members {
	fast := Detection{GlitchRetries: 2, GlitchInterval: time.Second, ProbeInterval: 10 * time.Second}
	return Members{
		Self: us,
		Servers: []Member{
			{us, here}, {mate, here}, {mate2, here}, {far, there}, {GUID{8, 's'}, there}, {far2, beyond},
		},
		Connectors: []ConnectorInfo{
			{GUID: toThere, Group: here, Local: []GUID{us, mate}, Remote: []GUID{far}, Detection: fast},
			{GUID: toBeyond, Group: here, Local: []GUID{us}, Remote: []GUID{far2}, Detection: fast},
			{GUID: outside, Group: here, Local: []GUID{us}, Detection: fast},
		},
	}
}

var testTimings = Timings{Keepalive: time.Second, SuspectAfter: 5 * time.Second, RefuteWithin: 2 * time.Second, AntiEntropy: time.Minute}

// bench drives one machine and keeps what it wants done.
type bench struct {
	*testing.T
	m   *Machine
	now time.Time
	did []Effect // since the last clear
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, now: time.Unix(1000, 0), m: New(Config{Self: us, Incarnation: 1000, Random: func(int) int { return 0 }})}
	b.do(b.m.Configure(testMembers(), testTimings, b.now))
	return b
}

func (b *bench) do(effects []Effect) { b.did = append(b.did, effects...) }

func (b *bench) clear() { b.did = nil }

func (b *bench) up(peers ...GUID) {
	for _, p := range peers {
		b.do(b.m.PeerUp(p, Protocol, b.now))
	}
}

// wait lets time pass in ticks; talkers send a keep-alive at each.
func (b *bench) wait(d time.Duration, talkers ...GUID) {
	for end := b.now.Add(d); b.now.Before(end); {
		b.now = b.now.Add(b.m.TickInterval())
		for _, t := range talkers {
			b.do(b.m.Receive(t, &Keepalive{Hash: b.m.Table().Digest()}, b.now))
		}
		b.do(b.m.Tick(b.now))
	}
}

func (b *bench) receive(from GUID, records ...*Record) {
	b.do(b.m.Receive(from, &Records{Records: records}, b.now))
}

func (b *bench) link(connector GUID, ok bool) {
	b.do(b.m.LinkResult(connector, ok, "refused", b.now))
}

// sentTo lists, for one server's record, who was sent it.
func (b *bench) sentTo(server GUID) []GUID {
	var to []GUID
	for _, e := range b.did {
		if s, ok := e.(Send); ok {
			if f, ok := s.Frame.(*Records); ok && (slices.ContainsFunc(f.Records, func(r *Record) bool { return r.Server == server }) ||
				slices.ContainsFunc(f.Patches, func(p *Patch) bool { return p.Server == server })) {
				to = append(to, s.Peer)
			}
		}
	}
	slices.SortFunc(to, GUID.Compare)
	return slices.Compact(to)
}

func (b *bench) wantSent(server GUID, to ...GUID) {
	b.Helper()
	slices.SortFunc(to, GUID.Compare)
	if got := b.sentTo(server); !slices.Equal(got, to) {
		b.Errorf("record of %s was sent to %v, want %v", server, got, to)
	}
}

func (b *bench) wantStatus(server GUID, want Status) {
	b.Helper()
	got := Status(0)
	if r := b.m.Table().Get(server); r != nil {
		got = r.Status
	}
	if got != want {
		b.Errorf("%s is %s, want %s", server, got, want)
	}
}

func (b *bench) wantLink(connector GUID, down bool) {
	b.Helper()
	s, ok := b.m.Table().Get(us).Connector(connector)
	if !ok || s.Down != down {
		b.Errorf("connector %s: down %v (known %v), want %v", connector, s.Down, ok, down)
	}
}

func count[E Effect](b *bench) int {
	n := 0
	for _, e := range b.did {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

func alive(server GUID, incarnation, sequence uint64) *Record {
	return &Record{Server: server, Incarnation: incarnation, Sequence: sequence, Status: Alive}
}

func TestConfigureConnectsNeighbours(t *testing.T) {
	b := newBench(t)
	var got []GUID
	for _, e := range b.did {
		if c, ok := e.(Connect); ok {
			got = append(got, c.Peer)
		}
	}
	if want := []GUID{far2, mate, mate2, far}; !slices.Equal(got, want) {
		t.Errorf("connects to %v, want %v", got, want)
	}
	own := b.m.Table().Get(us)
	if own == nil || own.Incarnation != 1000 || own.Sequence != 1 || len(own.Connectors) != 3 {
		t.Errorf("own record: %+v", own)
	}
	b.clear()
	b.do(b.m.Configure(testMembers(), testTimings, b.now))
	if len(b.did) != 0 {
		t.Errorf("the same directory again: %+v", b.did)
	}
}

func TestConfigureFollowsDirectory(t *testing.T) {
	b := newBench(t)
	b.up(mate, far)
	b.receive(mate, alive(mate, 1, 1), alive(mate2, 1, 1))
	b.receive(far, alive(far, 1, 1))
	b.clear()

	m := testMembers()
	gone := func(s Member) bool { return s.Server == far }
	m.Servers = append(slices.DeleteFunc(m.Servers, gone), Member{GUID{20, 's'}, beyond})
	b.do(b.m.Configure(m, testTimings, b.now))
	if b.m.Table().Get(far) != nil {
		t.Error("the record of a deleted server stays")
	}
	if !slices.Contains(b.did, Effect(Disconnect{far})) {
		t.Errorf("no Disconnect from the deleted server: %v", b.did)
	}
	asked := slices.ContainsFunc(b.did, func(e Effect) bool {
		s, ok := e.(Send)
		w, isWant := s.Frame.(*Want)
		return ok && isWant && s.Peer == mate && slices.Equal(w.Servers, []GUID{{20, 's'}})
	})
	if !asked {
		t.Errorf("nobody is asked for the new server: %v", b.did)
	}
	b.receive(mate, alive(far, 2, 1))
	if b.m.Table().Get(far) != nil {
		t.Error("the record of a deleted server came back")
	}
}

func TestDirectoryWithoutSelf(t *testing.T) {
	b := newBench(t)
	m := testMembers()
	b.do(b.m.Configure(Members{Self: us, Servers: m.Servers[1:]}, testTimings, b.now))
	if n := b.m.Table().Len(); n != 0 {
		t.Errorf("%d records, want none", n)
	}
	b.do(b.m.Configure(m, testTimings, b.now))
	if own := b.m.Table().Get(us); own == nil || own.Sequence != 2 {
		t.Errorf("own record after the return: %+v; its sequence must not go back", own)
	}
}

func TestFlooding(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   GUID
		record *Record
		to     []GUID
	}{
		{"from the group: to other groups only", mate, alive(mate, 1, 1), []GUID{far, far2}},
		{"from another group: to all but the sender", far, alive(GUID{8, 's'}, 1, 1), []GUID{mate, mate2, far2}},
		{"an accusation goes to the accused as well", mate, &Record{Server: mate2, Incarnation: 1, Status: Suspect, Accuser: mate}, []GUID{mate2, far, far2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.up(mate, mate2, far, far2)
			b.clear()
			b.receive(c.from, c.record)
			b.wantSent(c.record.Server, c.to...)
			b.clear()
			b.receive(c.from, c.record)
			b.wantSent(c.record.Server)
		})
	}
}

func TestOwnChangeGoesToAll(t *testing.T) {
	b := newBench(t)
	b.up(mate, mate2, far, far2)
	b.clear()
	b.do(b.m.SetDrain(DrainSoft, b.now))
	b.wantSent(us, mate, mate2, far, far2)
	if b.m.Table().Get(us).Drain != DrainSoft || count[Changed](b) != 1 || count[Persist](b) != 1 {
		t.Errorf("effects %v", b.did)
	}
}

func TestOlderIsAnsweredWithNewer(t *testing.T) {
	b := newBench(t)
	b.up(mate, far)
	b.receive(far, alive(far, 5, 1))
	b.clear()
	b.receive(mate, &Record{Server: far, Incarnation: 4, Status: Down})
	b.wantSent(far, mate)
	b.wantStatus(far, Alive)
}

func TestStrangersAndNonsenseAreIgnored(t *testing.T) {
	b := newBench(t)
	b.up(mate)
	before := b.m.Table()
	b.receive(far, alive(far, 1, 1)) // not connected
	b.receive(GUID{77}, alive(mate, 1, 1))
	b.receive(mate,
		alive(GUID{78}, 1, 1),
		alive(far, MaxIncarnation+1, 1),
		&Record{Server: far, Incarnation: 1},
		&Record{Server: far, Incarnation: 1, Status: Alive, Connectors: []ConnectorState{{Connector: GUID{2}}, {Connector: GUID{1}}}})
	if b.m.Table() != before {
		t.Errorf("table changed: %+v", b.m.Table().All())
	}
}

func TestRefute(t *testing.T) {
	for _, s := range []*Record{
		{Server: us, Incarnation: 1000, Status: Suspect, Accuser: mate},
		{Server: us, Incarnation: 1000, Status: Down, Accuser: mate},
		{Server: us, Incarnation: 2000, Sequence: 4, Status: Alive}, // of a run that is forgotten
	} {
		b := newBench(t)
		b.up(mate, far)
		b.clear()
		b.receive(mate, s)
		b.wantStatus(us, Alive)
		if own := b.m.Table().Get(us); own.Incarnation != s.Incarnation+1 || len(own.Connectors) != 3 {
			t.Errorf("own record %+v does not beat %+v", own, s)
		}
		b.wantSent(us, mate, far)
	}
}

func TestRestore(t *testing.T) {
	b := &bench{T: t, now: time.Unix(1000, 0), m: New(Config{Self: us, Incarnation: 1000})}
	old := []*Record{
		alive(mate, 3, 3), alive(GUID{99}, 1, 1),
		{Server: us, Incarnation: 4000, Sequence: 9, Status: Down, Accuser: mate,
			Connectors: []ConnectorState{{Connector: toBeyond, Down: true, Since: 77, Reason: "refused"}}},
	}
	b.do(b.m.Restore(old, time.Hour, b.now))
	if got := b.m.Table().Changed(mate); !got.Equal(b.now.Add(-time.Hour)) {
		t.Errorf("restored record changed at %v, want an hour ago", got)
	}
	b.do(b.m.Configure(testMembers(), testTimings, b.now))
	own := b.m.Table().Get(us)
	if own.Incarnation != 4001 || own.Status != Alive {
		t.Errorf("own record %+v does not refute the restored one", own)
	}
	if s, _ := own.Connector(toBeyond); !s.Down || s.Since != 77 || s.Reason != "refused" {
		t.Errorf("connector that was down: %+v", s)
	}
	if b.m.Table().Get(GUID{99}) != nil {
		t.Error("a server that left the directory came back from disk")
	}
	b.clear()
	b.do(b.m.Tick(b.now))
	if !slices.Contains(b.did, Effect(Probe{toBeyond, far2})) {
		t.Errorf("the connector that was down is not probed at once: %v", b.did)
	}
}
