package routing

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// drawTopology makes a small organisation in which anything may be down,
// drained, disabled or restricted.
func drawTopology(t *rapid.T) Topology {
	var top Topology
	top.Version = 7
	top.Direct = rapid.Bool().Draw(t, "direct")
	groups := rapid.IntRange(1, 6).Draw(t, "groups")
	for g := range groups {
		name := fmt.Sprintf("g%d", g)
		top.Groups = append(top.Groups, Group{guid(name), name})
		for s := range rapid.IntRange(1, 3).Draw(t, "servers") {
			name := fmt.Sprintf("g%d-%d", g, s)
			top.Servers = append(top.Servers, Server{
				GUID: guid(name), Name: name, Group: top.Groups[g].GUID,
				Up:    rapid.IntRange(0, 9).Draw(t, "up") > 0,
				Drain: rapid.SampledFrom([]Drain{0, 0, 0, 0, 0, DrainSoft, DrainHard}).Draw(t, "drain"),
			})
		}
	}
	for i := range rapid.IntRange(0, 14).Draw(t, "connectors") {
		top.Connectors = append(top.Connectors, drawConnector(t, &top, fmt.Sprintf("c%d", i)))
	}
	top.Self = rapid.SampledFrom(top.Servers).Draw(t, "self").GUID
	return top
}

func drawConnector(t *rapid.T, top *Topology, name string) Connector {
	group := rapid.SampledFrom(top.Groups).Draw(t, "source")
	other := rapid.SampledFrom(top.Groups).Draw(t, "target")
	c := Connector{
		GUID: guid(name), Name: name, Group: group.GUID,
		Kind:       rapid.SampledFrom([]ConnectorKind{RoutingGroupConnector, RoutingGroupConnector, SMTPConnector, ForeignConnector}).Draw(t, "kind"),
		Scope:      rapid.SampledFrom([]Scope{ScopeOrganization, ScopeOrganization, ScopeGroup}).Draw(t, "scope"),
		MaxSize:    rapid.SampledFrom([]int64{0, 0, 0, 100, 1000}).Draw(t, "size"),
		Priorities: rapid.SampledFrom([]Priorities{0, 0, 0, AllowNormal, AllowLow | AllowHigh}).Draw(t, "priorities"),
		NoSystem:   rapid.IntRange(0, 6).Draw(t, "nosystem") == 0,
		NoUser:     rapid.IntRange(0, 9).Draw(t, "nouser") == 0,
		OnLinkDown: rapid.SampledFrom([]OnLinkDown{Reroute, Reroute, Hold}).Draw(t, "hold"),
		Fallback:   rapid.Bool().Draw(t, "fallback"),
		Disabled:   rapid.IntRange(0, 9).Draw(t, "disabled") == 0,
		Drain:      rapid.SampledFrom([]Drain{0, 0, 0, 0, 0, 0, 0, DrainSoft, DrainHard}).Draw(t, "cdrain"),
		Accept:     drawSenders(t, "accept"),
		Reject:     drawSenders(t, "reject"),
		Spread:     rapid.SampledFrom([]Spread{PerServer, PerServer, PerMessage}).Draw(t, "spread"),
		Weight:     rapid.SampledFrom([]int{0, 1, 1, 3, 100}).Draw(t, "weight"),
		Weights:    map[GUID]int{},
	}
	for _, s := range top.Servers {
		if w := rapid.SampledFrom([]int{0, 0, 1, 2, 7}).Draw(t, "share"); w > 0 {
			c.Weights[s.GUID] = w
		}
		if s.Group == c.Group && rapid.IntRange(0, 3).Draw(t, "bridgehead") > 0 {
			c.Bridgeheads = append(c.Bridgeheads, Bridgehead{Server: s.GUID, Up: rapid.IntRange(0, 4).Draw(t, "link") > 0, Reason: "refused", Damped: rapid.IntRange(0, 4).Draw(t, "damped") == 0})
		}
		if c.Kind == RoutingGroupConnector && s.Group == other.GUID && rapid.Bool().Draw(t, "remote") {
			c.Remote = append(c.Remote, s.GUID)
		}
	}
	if c.Kind == RoutingGroupConnector || c.Kind == SMTPConnector && rapid.IntRange(0, 2).Draw(t, "leads") == 0 {
		c.Targets = []Edge{{other.GUID, rapid.IntRange(1, 6).Draw(t, "cost")}}
	}
	if c.Kind != RoutingGroupConnector {
		for range rapid.IntRange(0, 3).Draw(t, "spaces") {
			c.AddressSpaces = append(c.AddressSpaces, AddressSpace{
				Type:    rapid.SampledFrom([]string{"SMTP", "smtp", "", "FAX"}).Draw(t, "type"),
				Pattern: drawPattern(t),
				Cost:    rapid.IntRange(1, 6).Draw(t, "spacecost"),
			})
		}
	}
	return c
}

// drawSenders is a list, mostly empty; 0 is the null reverse path.
func drawSenders(t *rapid.T, name string) []SenderID {
	if rapid.IntRange(0, 4).Draw(t, name) > 0 {
		return nil
	}
	list := rapid.SliceOfNDistinct(rapid.Uint64Range(0, 4), 1, 3, rapid.ID).Draw(t, name+" list")
	slices.Sort(list)
	var ids []SenderID
	for _, id := range list {
		ids = append(ids, SenderID(id))
	}
	return ids
}

func drawPattern(t *rapid.T) string {
	return rapid.SampledFrom([]string{"*", "*.a", "*.b.a", "b.a", "c.b.a", "x.*.a", "*b.a", "C.*", "*.*.b.a", "c*"}).Draw(t, "pattern")
}

func drawMessage(t *rapid.T, top *Topology) *Message {
	m := &Message{
		Priority:  int8(rapid.IntRange(-1, 1).Draw(t, "priority")),
		System:    rapid.Bool().Draw(t, "system"),
		SizeBound: rapid.SampledFrom([]int64{0, 50, 100, 500, 5000}).Draw(t, "bound"),
		Bucket:    uint8(rapid.IntRange(0, Buckets).Draw(t, "bucket")),
	}
	var ids []SenderID
	for _, id := range rapid.SliceOfN(rapid.Uint64Range(0, 6), 0, 3).Draw(t, "sender") {
		ids = append(ids, SenderID(id))
	}
	m.Sender = NewSenderSet(ids...)
	if rapid.IntRange(0, 2).Draw(t, "hasvisited") == 0 {
		for range rapid.IntRange(1, 3).Draw(t, "visited") {
			m.Visited = append(m.Visited, rapid.SampledFrom(top.Groups).Draw(t, "visit").GUID)
		}
	}
	if len(top.Connectors) > 0 && rapid.IntRange(0, 3).Draw(t, "travels") == 0 {
		m.Connector = rapid.SampledFrom(top.Connectors).Draw(t, "travelling").GUID
	}
	return m
}
