package linkstate

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// versions draws a record and what it becomes in some changes.
func versions() *rapid.Generator[[]*Record] {
	return rapid.Custom(func(t *rapid.T) []*Record {
		r := &Record{Server: mate, Incarnation: 5, Status: Alive, Version: "1"}
		for i := range rapid.IntRange(0, 6).Draw(t, "connectors") {
			r.Connectors = append(r.Connectors, ConnectorState{Connector: GUID{byte(i)}})
		}
		all := []*Record{r}
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			n := *all[len(all)-1]
			n.Connectors = slices.Clone(n.Connectors)
			n.Sequence++
			n.Incarnation += rapid.Uint64Range(0, 2).Draw(t, "refuted")
			n.Status = rapid.SampledFrom([]Status{Alive, Suspect, Down}).Draw(t, "status")
			n.Accuser = rapid.SampledFrom([]GUID{{}, mate2}).Draw(t, "accuser")
			n.Drain = rapid.SampledFrom([]Drain{DrainNone, DrainHard}).Draw(t, "drain")
			n.Since = rapid.Int64().Draw(t, "since")
			for i := range n.Connectors {
				if rapid.Bool().Draw(t, "changes") {
					n.Connectors[i] = ConnectorState{
						Connector: n.Connectors[i].Connector, Down: rapid.Bool().Draw(t, "down"), Since: rapid.Int64().Draw(t, "link since"),
						Reason: rapid.StringN(0, 5, 20).Draw(t, "reason"), SuppressedUntil: rapid.Int64Range(0, 9).Draw(t, "until"),
						Unknown: rapid.SampledFrom([][]byte{nil, {1}, {2}}).Draw(t, "unknown"),
					}
				}
			}
			all = append(all, &n)
		}
		return all
	})
}

// A patch makes of its base what it was made of, of nothing else anything; and
// patches in a row are one patch.
func TestPatchLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := versions().Draw(t, "versions")
		var joined *Patch
		for i := 1; i < len(all); i++ {
			p, ok := Diff(all[i-1], all[i])
			if !ok {
				t.Fatalf("no patch from %+v to %+v", all[i-1], all[i])
			}
			got, ok := p.Apply(all[i-1])
			if !ok || !reflect.DeepEqual(got, all[i]) {
				t.Fatalf("the patch makes %+v of %+v, want %+v", got, all[i-1], all[i])
			}
			other := *all[i-1]
			other.Since++
			if _, ok := p.Apply(&other); ok {
				t.Fatal("the patch applies to a base that it was not made of")
			}
			if joined == nil {
				joined = p
				continue
			}
			if _, ok := p.Then(joined); ok && p.Hash.short() != joined.Base {
				t.Fatal("patches join in the wrong order")
			}
			if joined, ok = joined.Then(p); !ok {
				t.Fatal("two patches in a row do not join")
			}
		}
		last := all[len(all)-1]
		if got, ok := joined.Apply(all[0]); !ok || !reflect.DeepEqual(got, last) {
			t.Fatalf("all patches as one make %+v, want %+v", got, last)
		}
	})
}

func TestNoPatch(t *testing.T) {
	base := func() *Record {
		return &Record{Server: mate, Status: Alive, Version: "1", Connectors: []ConnectorState{{Connector: GUID{1}}, {Connector: GUID{2}}}}
	}
	for name, change := range map[string]func(*Record){
		"another server":   func(r *Record) { r.Server = far },
		"version":          func(r *Record) { r.Version = "2" },
		"new fields":       func(r *Record) { r.Unknown = []byte{1} },
		"fewer connectors": func(r *Record) { r.Connectors = r.Connectors[1:] },
		"other connectors": func(r *Record) { r.Connectors[1].Connector = GUID{3} },
	} {
		r := base()
		change(r)
		if p, ok := Diff(base(), r); ok {
			t.Errorf("%s: patch %+v", name, p)
		}
	}
	p, _ := Diff(base(), base())
	p.Connectors = []PatchedConnector{{Index: 2}}
	if _, ok := p.Apply(base()); ok {
		t.Error("a patch of the third of two connectors applies")
	}
	if _, ok := p.Apply(nil); ok {
		t.Error("a patch applies to nothing")
	}
}

// sentPatches gives, for one server, who was sent a patch.
func (b *bench) sentPatches(server GUID) []GUID {
	var to []GUID
	for _, peer := range []GUID{us, mate, mate2, far, far2} {
		for _, f := range b.framesTo(peer) {
			if r, ok := f.(*Records); ok && slices.ContainsFunc(r.Patches, func(p *Patch) bool { return p.Server == server }) {
				to = append(to, peer)
			}
		}
	}
	return to
}

// A change travels as a patch to a peer that has the record before, as a whole to
// one of which that is not known, and to one that knows no patches.
func TestPatchOnlyWhereBaseIsKnown(t *testing.T) {
	b := newBench(t)
	b.up(mate, far)
	b.do(b.m.PeerUp(far2, OldestProtocol, b.now))
	b.do(b.m.Receive(far, &Keepalive{Hash: b.m.Table().Digest()}, b.now))
	b.do(b.m.Receive(far2, &Keepalive{Hash: b.m.Table().Digest()}, b.now))
	b.clear()
	for i, want := range [][]GUID{{far}, {mate, far}} {
		b.clear()
		b.do(b.m.SetDrain([]Drain{DrainSoft, DrainHard}[i], b.now))
		b.wantSent(us, mate, far, far2)
		if got := b.sentPatches(us); !slices.Equal(got, want) {
			t.Errorf("change %d: patches to %v, want %v", i+1, got, want)
		}
	}
	// A new stream: what was known is not any more.
	b.do(b.m.PeerLost(far, b.now))
	b.up(far)
	b.clear()
	b.do(b.m.SetDrain(DrainNone, b.now))
	if got := b.sentPatches(us); !slices.Equal(got, []GUID{mate}) {
		t.Errorf("patches to %v after the stream to far is new", got)
	}
}

func TestPatchReceived(t *testing.T) {
	first := alive(far, 1, 1)
	second, third := alive(far, 1, 2), alive(far, 1, 3)
	patch := func(from, to *Record) *Patch {
		p, ok := Diff(from, to)
		if !ok {
			t.Fatal("no patch")
		}
		return p
	}
	broken := patch(first, second)
	broken.Hash[0]++
	for name, c := range map[string]struct {
		have *Record
		get  *Patch
		want *Record // in the table afterwards
		asks bool
		send bool // the own one is sent back
	}{
		"fits":                    {first, patch(first, second), second, false, false},
		"known already":           {second, patch(first, second), second, false, false},
		"base is another":         {first, patch(second, third), first, true, false},
		"nothing is known":        {nil, patch(first, second), nil, true, false},
		"ours is newer":           {third, patch(first, second), third, false, true},
		"something else came out": {first, broken, first, true, false},
		"of an unknown server":    {first, &Patch{Server: GUID{77}}, first, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.up(far, far2)
			if c.have != nil {
				b.receive(far2, c.have)
			}
			b.clear()
			b.do(b.m.Receive(far, &Records{Patches: []*Patch{c.get}}, b.now))
			if got := b.m.Table().Get(far); (got == nil) != (c.want == nil) || got != nil && Compare(got, c.want) != 0 {
				t.Errorf("table has %+v, want %+v", got, c.want)
			}
			asked, sent := false, false
			for _, f := range b.framesTo(far) {
				switch f := f.(type) {
				case *Want:
					asked = slices.Equal(f.Servers, []GUID{far})
				case *Records:
					sent = true
				}
			}
			if asked != c.asks || sent != c.send {
				t.Errorf("asked %v, sent its own %v; want %v, %v", asked, sent, c.asks, c.send)
			}
		})
	}
}

// Whoever asks for a record gets it whole: it has just been shown that a patch does
// not do.
func TestWantedRecordIsWhole(t *testing.T) {
	b := newBench(t)
	b.up(mate)
	b.do(b.m.Receive(mate, &Keepalive{Hash: b.m.Table().Digest()}, b.now))
	b.clear()
	b.do(b.m.Receive(mate, &Want{[]GUID{us}}, b.now))
	if f := b.framesTo(mate); len(f) != 1 || len(f[0].(*Records).Records) != 1 {
		t.Errorf("answer %+v, want one whole record", f)
	}
}

// Two servers accuse a third in the same moment: each has the patch of the other
// to apply to a record that it has just replaced.
func TestPatchOfTheRecordBefore(t *testing.T) {
	b := newBench(t)
	b.up(far, far2)
	first := alive(mate, 1, 1)
	accusation := func(by GUID) *Record {
		r := *first
		r.Status, r.Accuser = Suspect, by
		return &r
	}
	one, other := accusation(far), accusation(far2)
	b.receive(far, first)
	b.receive(far, one)
	b.clear()
	p, _ := Diff(first, other)
	b.do(b.m.Receive(far2, &Records{Patches: []*Patch{p}}, b.now))
	if got, want := b.m.Table().Get(mate), Merge(one, other); Compare(got, want) != 0 {
		t.Errorf("table has %+v, want %+v", got, want)
	}
	for _, f := range b.framesTo(far2) {
		if _, asks := f.(*Want); asks {
			t.Error("asks for what it could have made itself")
		}
	}
}
