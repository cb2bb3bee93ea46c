package routing

import (
	"strings"
	"testing"
)

// A bridgehead of which nothing was heard yet stands behind the others, and explain
// says so; mail for its own mailboxes goes to it all the same.
func TestUnheardBridgeheadStandsBehind(t *testing.T) {
	id := func(b byte) GUID { return GUID{b} }
	build := func(unheard ...byte) *Table {
		top := Topology{
			Self:   id(1),
			Groups: []Group{{GUID: id(100), Name: "here"}, {GUID: id(101), Name: "there"}},
			Connectors: []Connector{{
				GUID: id(50), Name: "here-there", Group: id(100), Targets: []Edge{{id(101), 1}},
				Bridgeheads: []Bridgehead{{Server: id(1), Up: true}}, Remote: []GUID{id(3), id(4)},
			}},
		}
		for b, g := range map[byte]byte{1: 100, 2: 100, 3: 101, 4: 101} {
			s := Server{GUID: id(b), Name: string('a' + rune(b)), Group: id(g), Up: true}
			for _, u := range unheard {
				s.Unheard = s.Unheard || u == b
			}
			top.Servers = append(top.Servers, s)
		}
		return Build(top)
	}
	for _, c := range []struct {
		unheard []byte
		want    GUID
	}{{[]byte{3}, id(4)}, {[]byte{4}, id(3)}} {
		table := build(c.unheard...)
		if d := table.ToServer(id(c.unheard[0]), nil); d.Kind != ToNode || d.Next != c.want {
			t.Errorf("without %v: %s to %s, want %s", c.unheard, d.Kind, d.Next, c.want)
		}
		e := table.ExplainServer(id(3), nil)
		told := false
		for _, b := range e.Bridgeheads {
			told = told || strings.Contains(b.Reason, "nothing was heard")
		}
		if !told {
			t.Errorf("explain does not say why %v stands behind: %+v", c.unheard, e.Bridgeheads)
		}
	}
	if d := build(3, 4).ToServer(id(3), nil); d.Kind != ToNode {
		t.Errorf("when nobody there was heard: %+v, want mail to try", d)
	}
	if d := build(2).ToServer(id(2), nil); d.Kind != ToNode || d.Next != id(2) {
		t.Errorf("mail for a mailbox on it: %+v", d)
	}
}
