package routing

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// bigTopology is the organisation of the wanted figures: 1,000 groups of two
// servers, 10,000 connectors, of which one in ten leads outside.
func bigTopology() Topology {
	const groups, connectors = 1000, 10000
	r := rand.New(rand.NewPCG(1, 2))
	id := func(kind, n int) GUID {
		return GUID{byte(kind), byte(n >> 16), byte(n >> 8), byte(n), 1, 2, 3, byte(n), byte(kind), byte(n)}
	}
	top := Topology{Version: 1, Self: id(2, 0)}
	for g := range groups {
		top.Groups = append(top.Groups, Group{id(1, g), fmt.Sprintf("g%d", g)})
		for s := range 2 {
			top.Servers = append(top.Servers, Server{GUID: id(2, 2*g+s), Name: fmt.Sprintf("g%d-%d", g, s), Group: id(1, g), Up: true})
		}
	}
	for i := range connectors {
		from := i % groups
		c := Connector{GUID: id(3, i), Name: fmt.Sprintf("c%d", i), Group: id(1, from), Bridgeheads: []Bridgehead{
			{Server: id(2, 2*from), Up: true}, {Server: id(2, 2*from+1), Up: true},
		}}
		if i/groups == 9 {
			c.Kind = SMTPConnector
			c.AddressSpaces = []AddressSpace{{Type: "SMTP", Pattern: fmt.Sprintf("*.d%d.example", i), Cost: 1 + r.IntN(100)}}
			if i%20 == 0 {
				c.AddressSpaces = append(c.AddressSpaces, AddressSpace{Type: "SMTP", Pattern: "*", Cost: 1 + r.IntN(100)})
			}
		} else {
			to := r.IntN(groups)
			if i/groups == 0 {
				to = (from + 1) % groups // a ring keeps the map in one piece
			}
			c.Targets = []Edge{{id(1, to), 1 + r.IntN(100)}}
			c.Remote = []GUID{id(2, 2*to), id(2, 2*to+1)}
		}
		top.Connectors = append(top.Connectors, c)
	}
	return top
}

func BenchmarkBuild(b *testing.B) {
	top := bigTopology()
	b.ReportAllocs()
	for b.Loop() {
		Build(top)
	}
}

func BenchmarkDecide(b *testing.B) {
	top := bigTopology()
	t := Build(top)
	far := top.Servers[len(top.Servers)/2].GUID
	visited := []GUID{top.Groups[0].GUID, {0xff}}
	b.Run("server", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.ToServer(far, &Message{SizeBound: 1 << 20})
		}
	})
	b.Run("server/visited", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.ToServer(far, &Message{Visited: visited})
		}
	})
	for i := range top.Connectors {
		if c := &top.Connectors[i]; i%3 == 0 && len(c.Targets) > 0 {
			c.Reject, c.Spread = []SenderID{SenderID(i % 7)}, PerMessage
		}
	}
	listed, sender := Build(top), NewSenderSet(2, 1000)
	b.Run("server/listed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			listed.ToServer(far, &Message{Sender: sender, Bucket: 9})
		}
	})
	b.Run("suffix", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.ToAddress("SMTP", "mail.d9500.example", &Message{})
		}
	})
	b.Run("star-of-50", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.ToAddress("SMTP", "elsewhere.test", &Message{})
		}
	})
}

func BenchmarkExplain(b *testing.B) {
	top := bigTopology()
	t := Build(top)
	b.Run("server", func(b *testing.B) {
		for b.Loop() {
			t.ExplainServer(top.Servers[1001].GUID, nil)
		}
	})
	b.Run("address", func(b *testing.B) {
		for b.Loop() {
			t.ExplainAddress("SMTP", "elsewhere.test", nil)
		}
	})
}

// BenchmarkMoved compares two tables, as a node does after each change.
func BenchmarkMoved(b *testing.B) {
	top := bigTopology()
	before := Build(top)
	top.Connectors = append([]Connector(nil), top.Connectors...)
	top.Connectors[0].Disabled = true
	after := Build(top)
	for b.Loop() {
		Moved(before, after, func(GUID, string, Decision, Decision) {})
	}
}

// BenchmarkWhatIf is one administrator's question; the second size is that of the
// largest organisation.
func BenchmarkWhatIf(b *testing.B) {
	for _, groups := range []int{100, 1000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			before := part(bigTopology(), groups)
			after := before
			after.Connectors = append([]Connector(nil), before.Connectors...)
			after.Connectors[0].Disabled = true
			for b.Loop() {
				WhatIf(before, after, nil)
			}
		})
	}
}

// part keeps the first groups of a topology and what lies between them.
func part(top Topology, groups int) Topology {
	kept := make(map[GUID]bool)
	for _, g := range top.Groups[:groups] {
		kept[g.GUID] = true
	}
	out := top
	out.Groups, out.Servers, out.Connectors = top.Groups[:groups], nil, nil
	for _, s := range top.Servers {
		if kept[s.Group] {
			out.Servers = append(out.Servers, s)
		}
	}
	for _, c := range top.Connectors {
		if kept[c.Group] && (len(c.Targets) == 0 || kept[c.Targets[0].Group]) {
			out.Connectors = append(out.Connectors, c)
		}
	}
	return out
}
