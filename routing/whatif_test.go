package routing

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// lineMap is a - b - c with a dear way from a to c, and ways out of b and c.
func lineMap(t *testing.T) *story {
	t.Helper()
	s := &story{names: make(map[GUID]string)}
	for _, line := range []string{
		"server a-1 a", "server b-1 b", "server b-2 b", "server c-1 c",
		"rgc ab a b 1 local=a-1 remote=b-1,b-2", "rgc bc b c 2 local=b-1 remote=c-1", "rgc ac a c 9 local=a-1 remote=c-1",
		"smtp out c local=c-1 space=SMTP:*;1", "smtp net b local=b-1 space=SMTP:*.net;1", "self a-1",
	} {
		if err := s.line(line); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *story) must(t *testing.T, name string, words ...string) {
	t.Helper()
	if err := s.set(name, parseOptions(words)); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIf takes one edge of a line away.
func TestWhatIf(t *testing.T) {
	s := lineMap(t)
	before := s.top
	if e := WhatIf(before, before, nil); !reflect.DeepEqual(e, Effects{}) {
		t.Fatalf("nothing changed, but %+v", e)
	}
	s.must(t, "bc", "disabled")
	a, b, c, out := guid("a"), guid("b"), guid("c"), guid("out")
	ab, bc, ac := guid("ab"), guid("bc"), guid("ac")
	want := Effects{
		Ways: []Move{
			{From: a, To: c, Before: Way{Cost: 3, Path: []GUID{a, b, c}, Over: []GUID{ab, bc}}, After: Way{Cost: 9, Path: []GUID{a, c}, Over: []GUID{ac}}},
			{From: b, To: c, Before: Way{Cost: 2, Path: []GUID{b, c}, Over: []GUID{bc}}, After: Way{Cost: -1}},
		},
		Spaces: []SpaceMove{
			{
				From: a, Type: "SMTP", Pattern: "*",
				Before: Exit{Kind: ToNode, Connector: out, Cost: 4, Path: []GUID{a, b, c}, Over: []GUID{ab, bc}},
				After:  Exit{Kind: ToNode, Connector: out, Cost: 10, Path: []GUID{a, c}, Over: []GUID{ac}},
			},
			{
				From: b, Type: "SMTP", Pattern: "*",
				Before: Exit{Kind: ToNode, Connector: out, Cost: 3, Path: []GUID{b, c}, Over: []GUID{bc}},
				After:  Exit{Kind: Unreachable, Cost: -1},
			},
		},
		CutOff: []Cut{{Group: b, Out: true}},
	}
	got := WhatIf(before, s.top, nil)
	if reason := got.Spaces[1].After.Reason; reason == "" {
		t.Error("mail that cannot leave has no reason")
	}
	got.Spaces[1].After.Reason = ""
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestWhatIfHeld: a connector that holds its mail keeps its way, but the mail
// does not move, and what is behind it is cut off.
func TestWhatIfHeld(t *testing.T) {
	s := lineMap(t)
	before := s.top
	s.must(t, "net", "hold", "down=b-1")
	s.must(t, "ac", "disabled")
	s.must(t, "ab", "hold", "down=a-1")
	e := WhatIf(before, s.top, nil)
	if want := []Cut{{Group: guid("a"), Out: true}, {Group: guid("b"), In: true}}; !slices.Equal(e.CutOff, want) {
		t.Errorf("cut off: %v, want %v", e.CutOff, want)
	}
	for _, m := range e.Ways {
		if m.After.Held != guid("ab") || m.After.Cost != m.Before.Cost {
			t.Errorf("%s to %s: %+v", s.names[m.From], s.names[m.To], m.After)
		}
	}
	if len(e.Ways) != 2 {
		t.Errorf("%d ways changed, want a to b and a to c", len(e.Ways))
	}
	held := make(map[string]GUID)
	for _, m := range e.Spaces {
		held[s.names[m.From]+" "+m.Pattern] = m.After.Held
	}
	want := map[string]GUID{"a *": guid("ab"), "a *.net": guid("ab"), "b *.net": guid("net")} // c had no way to b before either
	if !reflect.DeepEqual(held, want) {
		t.Errorf("held: %v, want %v", held, want)
	}
}

// TestWhatIfNewGroup: a group that only one map has is out of reach in the other.
func TestWhatIfNewGroup(t *testing.T) {
	s := lineMap(t)
	before := s.top
	for _, line := range []string{"server d-1 d", "rgc cd c d 5 local=c-1 remote=d-1"} {
		if err := s.line(line); err != nil {
			t.Fatal(err)
		}
	}
	e := WhatIf(before, s.top, nil)
	var to []string
	for _, m := range e.Ways {
		if m.Before.Cost != -1 || m.After.Cost < 5 {
			t.Errorf("%+v", m)
		}
		to = append(to, s.names[m.From]+">"+s.names[m.To])
	}
	if want := []string{"a>d", "b>d", "c>d"}; !slices.Equal(to, want) {
		t.Errorf("new ways %v, want %v", to, want)
	}
	back := WhatIf(s.top, before, nil)
	if want := []Cut{{Group: guid("c"), Out: true}, {Group: guid("d"), In: true}}; !slices.Equal(back.CutOff, want) {
		t.Errorf("taking the group away cuts off %v, want %v", back.CutOff, want)
	}
}

// TestWhatIfLaws: no change has no effect, and undoing a change has the
// opposite effect. What is said of a way is what tables of its group decide.
func TestWhatIfLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawTopology(t)
		m := drawMessage(t, &before)
		m.Visited, m.Connector = nil, GUID{}
		after := before
		after.Connectors = slices.Clone(before.Connectors)
		if len(after.Connectors) > 0 {
			c := &after.Connectors[rapid.IntRange(0, len(after.Connectors)-1).Draw(t, "connector")]
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				c.Disabled = !c.Disabled
			case 1:
				c.Targets = []Edge{{after.Groups[0].GUID, 3}}
			case 2:
				c.Bridgeheads = nil
			}
		}
		if e := WhatIf(before, before, m); !reflect.DeepEqual(e, Effects{}) {
			t.Fatalf("no change, but %+v", e)
		}
		there, back := WhatIf(before, after, m), WhatIf(after, before, m)
		if len(there.Ways) != len(back.Ways) || len(there.Spaces) != len(back.Spaces) {
			t.Fatalf("%d ways and %d spaces changed there, %d and %d back", len(there.Ways), len(there.Spaces), len(back.Ways), len(back.Spaces))
		}
		for i, w := range there.Ways {
			if r := back.Ways[i]; !reflect.DeepEqual(w.Before, r.After) || !reflect.DeepEqual(w.After, r.Before) || reflect.DeepEqual(w.Before, w.After) {
				t.Fatalf("there %+v, back %+v", w, r)
			}
		}
		for i, s := range there.Spaces {
			if r := back.Spaces[i]; !sameExit(s.Before, r.After) || !sameExit(s.After, r.Before) {
				t.Fatalf("there %+v, back %+v", s, r)
			}
		}
	})
}

// TestMoved: only what goes another way now counts, servers and address spaces
// alike.
func TestMoved(t *testing.T) {
	s := lineMap(t)
	before := Build(s.top)
	if n := Moved(before, before, func(GUID, string, Decision, Decision) { t.Error("nothing changed") }); n != 6 {
		t.Errorf("%d destinations, want four servers and two spaces", n)
	}
	s.must(t, "bc", "disabled")
	var moved []string
	Moved(before, Build(s.top), func(server GUID, space string, a, b Decision) {
		moved = append(moved, s.names[server]+space)
		if a.Next == b.Next {
			t.Errorf("%s%s: still next to %s", s.names[server], space, s.names[a.Next])
		}
	})
	if want := []string{"c-1", "SMTP:*"}; !slices.Equal(moved, want) {
		t.Errorf("moved %v, want %v", moved, want)
	}
}

// TestPatternExample: the example of a pattern is matched first by that pattern.
func TestPatternExample(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		table := Build(top)
		for _, p := range spacesOf(&top) {
			cur := table.spaces[p.typ].match(p.example())
			l := cur.next()
			if l == nil {
				t.Fatalf("%q of %v is matched by nothing", p.example(), p)
			}
			if got := table.levelFor(p.typ, p.text); got != l {
				t.Fatalf("%q of %v is matched first by %+v, not by %+v", p.example(), p, l.spaces, got.spaces)
			}
		}
	})
}

// TestWhatIfTwin: of two links side by side the other one takes over; the groups
// on the way are the same, and yet mail goes another way.
func TestWhatIfTwin(t *testing.T) {
	s := lineMap(t)
	if err := s.line("rgc twin b c 3 local=b-1 remote=c-1"); err != nil {
		t.Fatal(err)
	}
	before := s.top
	s.must(t, "bc", "cost=3")
	s.must(t, "bc", "disabled")
	var over [][]GUID
	for _, m := range WhatIf(before, s.top, nil).Ways {
		over = append(over, m.After.Over)
	}
	want := [][]GUID{{guid("ab"), guid("twin")}, {guid("twin")}}
	if !reflect.DeepEqual(over, want) {
		t.Errorf("over %v, want %v", over, want)
	}
}

// sameExit compares what happens to the mail; reasons are words.
func sameExit(a, b Exit) bool {
	return a.Kind == b.Kind && a.Connector == b.Connector && a.Cost == b.Cost && a.Held == b.Held && slices.Equal(a.Path, b.Path)
}

// Who takes over when a bridgehead is drained, on either side of a connector.
func TestTakeovers(t *testing.T) {
	before := fan("remote", 0, []int{1, 1, 1}, make([]bool, 3))
	after := before
	after.Servers = slices.Clone(before.Servers)
	for i := range after.Servers {
		if after.Servers[i].GUID == guid("remote-1") {
			after.Servers[i].Drain = DrainSoft
		}
	}
	all := []GUID{guid("remote-0"), guid("remote-1"), guid("remote-2")}
	want := []Takeover{{Connector: guid("connector"), Remote: true, Before: all, After: []GUID{all[0], all[2]}}}
	if got := WhatIf(before, after, nil).Takeovers; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// A connector that loses all of them is no takeover, nor is no change.
	for i := range after.Servers {
		after.Servers[i].Drain = DrainHard
	}
	for _, other := range []Topology{before, after} {
		if got := WhatIf(before, other, nil).Takeovers; len(got) > 0 {
			t.Errorf("%+v", got)
		}
	}
}
