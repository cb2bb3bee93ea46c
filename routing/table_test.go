package routing

import (
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestNothingAllocated: deciding about mail that can move costs no allocation.
func TestNothingAllocated(t *testing.T) {
	top := bigTopology()
	table := Build(top)
	far := top.Servers[1001].GUID
	visited := []GUID{top.Groups[0].GUID, guid("elsewhere")}
	// The same map with sender lists on every third connector, and spreading on all.
	other := top
	other.Connectors = slices.Clone(top.Connectors)
	for i := range other.Connectors {
		c := &other.Connectors[i]
		c.Spread, c.Weight = PerMessage, 1+i%5
		if i%3 == 0 && len(c.Targets) > 0 {
			c.Reject, c.Accept = []SenderID{SenderID(i % 7)}, []SenderID{90, 91}
		}
	}
	listed, sender := Build(other), NewSenderSet(91, 1000)
	travelling := table.ToAddress("SMTP", "mail.d9500.example", nil).Connector
	for _, c := range []struct {
		name string
		kind Kind
		ask  func() Decision
	}{
		{"server", ToNode, func() Decision { return table.ToServer(far, &Message{SizeBound: 1 << 20}) }},
		{"visited", ToNode, func() Decision { return table.ToServer(far, &Message{Visited: visited}) }},
		{"own group", ToNode, func() Decision { return table.ToServer(top.Servers[1].GUID, nil) }},
		{"suffix", ToNode, func() Decision { return table.ToAddress("SMTP", "mail.d9500.example", nil) }},
		{"star", Outbound, func() Decision { return table.ToAddress("SMTP", "elsewhere.test", nil) }},
		{"travelled", ToNode, func() Decision {
			return table.ToAddress("SMTP", "mail.d9500.example", &Message{Connector: travelling})
		}},
		{"sender and bucket", ToNode, func() Decision {
			return listed.ToServer(far, &Message{Sender: sender, Bucket: 5})
		}},
		{"spread address", Outbound, func() Decision {
			return listed.ToAddress("SMTP", "elsewhere.test", &Message{Sender: sender, Bucket: 5})
		}},
	} {
		if d := c.ask(); d.Kind != c.kind {
			t.Errorf("%s: %s, want %s: %s", c.name, d.Kind, c.kind, d.Reason)
		}
		if n := testing.AllocsPerRun(100, func() { c.ask() }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// TestOrderDoesNotMatter: the same map written down in another order gives the
// same decisions.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		m := drawMessage(t, &top)
		other := top
		other.Groups = rapid.Permutation(top.Groups).Draw(t, "groups")
		other.Servers = rapid.Permutation(top.Servers).Draw(t, "servers")
		other.Connectors = rapid.Permutation(top.Connectors).Draw(t, "connectors")
		a, b := Build(top), Build(other)
		ask := func(what string, x, y Decision) {
			if x.Kind == ToNode || x.Kind == Outbound || y.Kind == ToNode {
				if !reflect.DeepEqual(x, y) {
					t.Fatalf("%s: %+v, in another order %+v", what, x, y)
				}
			} else if x.Kind != y.Kind {
				t.Fatalf("%s: %s, in another order %s", what, x.Kind, y.Kind)
			}
		}
		for _, s := range top.Servers {
			ask("server", a.ToServer(s.GUID, m), b.ToServer(s.GUID, m))
		}
		ask("address", a.ToAddress("SMTP", "c.b.a", m), b.ToAddress("SMTP", "c.b.a", m))
	})
}

func TestOffTheMap(t *testing.T) {
	for name, top := range map[string]Topology{
		"empty":         {},
		"self unknown":  {Self: guid("me"), Groups: []Group{{guid("g"), "g"}}},
		"group unknown": {Self: guid("me"), Servers: []Server{{GUID: guid("me"), Group: guid("g"), Up: true}}},
	} {
		table := Build(top)
		if d := table.ToServer(guid("you"), nil); d.Kind != Unreachable || d.Reason == "" {
			t.Errorf("%s: ToServer: %+v", name, d)
		}
		if d := table.ToAddress("SMTP", "example.com", nil); d.Kind != Unreachable {
			t.Errorf("%s: ToAddress: %+v", name, d)
		}
		if x := table.ExplainServer(guid("you"), nil); x.Kind != Unreachable {
			t.Errorf("%s: ExplainServer: %+v", name, x)
		}
	}
}

// TestWeightSpreads: bridgeheads get even shares, and losing one moves nothing
// but its share.
func TestWeightSpreads(t *testing.T) {
	const servers, bridgeheads = 20000, 5
	number := func(kind byte, n int) (g GUID) {
		g[0] = kind
		binary.BigEndian.PutUint32(g[12:], uint32(n)) // GUIDs that differ in few bits
		return g
	}
	best := func(server GUID, list []GUID) GUID {
		return slices.MaxFunc(list, func(a, b GUID) int {
			if Weight(server, a) < Weight(server, b) {
				return -1
			}
			return 1
		})
	}
	var list []GUID
	for i := range bridgeheads {
		list = append(list, number('b', i))
	}
	share := make(map[GUID]int)
	for i := range servers {
		s := number('s', i)
		b := best(s, list)
		share[b]++
		if without := best(s, list[1:]); b != list[0] && without != b {
			t.Fatalf("losing one bridgehead moved a server that used another")
		}
	}
	for _, b := range list {
		want := float64(servers) / bridgeheads
		if got := float64(share[b]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("a bridgehead has %v of %d servers, want about %v", got, servers, want)
		}
	}
}

// TestLimits: the caller puts messages into size classes by them.
func TestLimits(t *testing.T) {
	top := Topology{Version: 3, Connectors: []Connector{{MaxSize: 500}, {MaxSize: 0}, {MaxSize: 100}, {MaxSize: 500}}}
	table := Build(top)
	if got := table.Limits(); !slices.Equal(got, []int64{100, 500}) {
		t.Errorf("limits %v", got)
	}
	if table.Version() != 3 {
		t.Errorf("version %d", table.Version())
	}
}
