package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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
	}
	for _, s := range top.Servers {
		if s.Group == c.Group && rapid.IntRange(0, 3).Draw(t, "bridgehead") > 0 {
			c.Bridgeheads = append(c.Bridgeheads, Bridgehead{Server: s.GUID, Up: rapid.IntRange(0, 4).Draw(t, "link") > 0, Reason: "refused"})
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

func drawPattern(t *rapid.T) string {
	return rapid.SampledFrom([]string{"*", "*.a", "*.b.a", "b.a", "c.b.a", "x.*.a", "*b.a", "C.*", "*.*.b.a", "c*"}).Draw(t, "pattern")
}

func drawMessage(t *rapid.T, top *Topology) *Message {
	m := &Message{
		Priority:  int8(rapid.IntRange(-1, 1).Draw(t, "priority")),
		System:    rapid.Bool().Draw(t, "system"),
		SizeBound: rapid.SampledFrom([]int64{0, 50, 100, 500, 5000}).Draw(t, "bound"),
	}
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

// The oracle: the rules of the design once more, with maps and loops and no
// thought of speed.

type oracle struct {
	top  *Topology
	m    *Message
	self Server
}

func newOracle(top *Topology, m *Message) *oracle {
	o := &oracle{top: top, m: m}
	o.self, _ = o.server(top.Self)
	return o
}

func (o *oracle) server(g GUID) (Server, bool) {
	for _, s := range o.top.Servers {
		if s.GUID == g {
			return s, true
		}
	}
	return Server{}, false
}

func (o *oracle) alive(g GUID) (up, drained bool) {
	s, ok := o.server(g)
	if !ok {
		return false, false
	}
	if g == o.top.Self {
		return true, s.Drain != DrainNone
	}
	return s.Up && s.Drain != DrainHard, s.Drain != DrainNone
}

// senders are the live local bridgeheads.
func (o *oracle) senders(c Connector) (list []GUID, drainedOnly bool) {
	drainedOnly = true
	for _, b := range c.Bridgeheads {
		if up, drained := o.alive(b.Server); up && b.Up {
			list = append(list, b.Server)
			drainedOnly = drainedOnly && drained
		}
	}
	return list, drainedOnly
}

func (o *oracle) receivers(c Connector) (list []GUID, drainedOnly bool) {
	drainedOnly = true
	for _, r := range c.Remote {
		if up, drained := o.alive(r); up {
			list = append(list, r)
			drainedOnly = drainedOnly && drained
		}
	}
	return list, drainedOnly
}

func (o *oracle) up(c Connector) bool {
	s, _ := o.senders(c)
	r, _ := o.receivers(c)
	return len(s) > 0 && (c.Kind != RoutingGroupConnector || len(r) > 0)
}

func (o *oracle) outOfUse(c Connector) bool { return c.Disabled || c.Drain == DrainHard }

func (o *oracle) usable(c Connector) bool {
	return !o.outOfUse(c) && (o.up(c) || c.OnLinkDown == Hold)
}

func (o *oracle) drains(c Connector) int {
	_, s := o.senders(c)
	_, r := o.receivers(c)
	if c.Drain == DrainSoft || o.up(c) && (s || c.Kind == RoutingGroupConnector && r) {
		return 1
	}
	return 0
}

func (o *oracle) permits(c Connector) bool {
	if c.MaxSize > 0 && o.m.SizeBound > c.MaxSize || c.NoSystem && o.m.System || c.NoUser && !o.m.System {
		return false
	}
	bit := map[int8]Priorities{-1: AllowLow, 0: AllowNormal, 1: AllowHigh}[o.m.Priority]
	return c.Priorities == 0 || c.Priorities&bit != 0
}

// length orders paths: drained connectors, cost, hops.
type length struct{ drains, cost, hops int }

var far = length{1 << 30, 0, 0}

func (a length) plus(b length) length {
	if a == far || b == far {
		return far
	}
	return length{a.drains + b.drains, a.cost + b.cost, a.hops + b.hops}
}

func (a length) less(b length) bool {
	if a.drains != b.drains {
		return a.drains < b.drains
	}
	if a.cost != b.cost {
		return a.cost < b.cost
	}
	return a.hops < b.hops
}

// distances is Floyd and Warshall's algorithm over what passes, without
// entering visited groups if avoid.
func (o *oracle) distances(avoid, all, restricted bool) map[[2]GUID]length {
	d := make(map[[2]GUID]length)
	for _, a := range o.top.Groups {
		for _, b := range o.top.Groups {
			d[[2]GUID{a.GUID, b.GUID}] = far
		}
		d[[2]GUID{a.GUID, a.GUID}] = length{}
	}
	for _, c := range o.top.Connectors {
		if !all && !o.usable(c) || restricted && !o.permits(c) {
			continue
		}
		for _, e := range c.Targets {
			at := [2]GUID{c.Group, e.Group}
			if avoid && e.Group != o.self.Group && slices.Contains(o.m.Visited, e.Group) {
				continue
			}
			if l := (length{o.drains(c), e.Cost, 1}); l.less(d[at]) {
				d[at] = l
			}
		}
	}
	for _, k := range o.top.Groups {
		for _, a := range o.top.Groups {
			for _, b := range o.top.Groups {
				via := d[[2]GUID{a.GUID, k.GUID}].plus(d[[2]GUID{k.GUID, b.GUID}])
				if via.less(d[[2]GUID{a.GUID, b.GUID}]) {
					d[[2]GUID{a.GUID, b.GUID}] = via
				}
			}
		}
	}
	return d
}

func (o *oracle) to(group GUID, avoid, all, restricted bool) length {
	return o.distances(avoid, all, restricted)[[2]GUID{o.self.Group, group}]
}

// TestServerAgainstOracle compares kind, cost and the legality of the hop.
func TestServerAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		m := drawMessage(t, &top)
		dest := rapid.SampledFrom(top.Servers).Draw(t, "destination")
		table := Build(top)
		d := table.ToServer(dest.GUID, m)
		o := newOracle(&top, m)
		switch {
		case dest.GUID == top.Self:
			expect(t, d, Local, 0)
		case dest.Group == o.self.Group && dest.Up:
			expect(t, d, ToNode, 0)
			if d.Next != dest.GUID {
				t.Fatalf("next is %x, not the server itself", d.Next)
			}
		case dest.Group == o.self.Group:
			expect(t, d, Unreachable, 0)
		default:
			o.checkGroup(t, d, dest.Group)
		}
		sameAsExplained(t, d, table.ExplainServer(dest.GUID, m))
	})
}

func expect(t *rapid.T, d Decision, kind Kind, cost int) {
	t.Helper()
	if d.Kind != kind || d.Cost != cost {
		t.Fatalf("got %s cost %d, want %s cost %d (%s)", d.Kind, d.Cost, kind, cost, d.Reason)
	}
}

func sameAsExplained(t *rapid.T, d Decision, x Explanation) {
	t.Helper()
	x.Decision.Path = nil
	if a, b := fmt.Sprint(d), fmt.Sprint(x.Decision); a != b {
		t.Fatalf("decision %s, explained as %s", a, b)
	}
	chosen := 0
	for _, c := range x.Candidates {
		if c.Chosen {
			chosen++
		}
		if c.Reason == "" {
			t.Fatalf("candidate %v has no reason", c)
		}
	}
	if chosen > 1 {
		t.Fatalf("%d candidates were chosen", chosen)
	}
}

// checkGroup checks a decision for mail to another group.
func (o *oracle) checkGroup(t *rapid.T, d Decision, group GUID) {
	t.Helper()
	want := o.to(group, true, false, true)
	if want != far {
		if d.Cost != want.cost {
			t.Fatalf("cost %d, want %d", d.Cost, want.cost)
		}
		o.checkHop(t, d, group, want)
		return
	}
	switch {
	case o.to(group, false, false, true) != far:
		expect(t, d, Loop, 0)
	case o.to(group, false, true, true) != far || o.to(group, false, true, false) == far:
		expect(t, d, Unreachable, 0)
	default:
		expect(t, d, NoRoute, 0)
		small := *o.m
		small.SizeBound = 0
		if fits := newOracle(o.top, &small).to(group, false, true, true) != far; fits != d.TooLarge {
			t.Fatalf("too large: got %t, want %t", d.TooLarge, fits)
		}
	}
}

// checkHop checks that a hop is the first of some best path of this length.
func (o *oracle) checkHop(t *rapid.T, d Decision, group GUID, want length) {
	t.Helper()
	dist := o.distances(true, false, true)
	legal := false
	for _, c := range o.top.Connectors {
		if c.Group != o.self.Group || !o.usable(c) || !o.permits(c) {
			continue
		}
		for _, e := range c.Targets {
			if e.Group == c.Group || slices.Contains(o.m.Visited, e.Group) {
				continue
			}
			rest := dist[[2]GUID{e.Group, group}]
			if (length{o.drains(c), e.Cost, 1}).plus(rest) != want {
				continue
			}
			legal = legal || o.crosses(d, c, e.Group)
		}
	}
	if !legal {
		t.Fatalf("%s to %x via %x begins no best path", d.Kind, d.Next, d.Via)
	}
}

// crosses says whether the decision is the right one if c is the first connector.
func (o *oracle) crosses(d Decision, c Connector, into GUID) bool {
	senders, _ := o.senders(c)
	if !o.up(c) {
		return d.Kind == Unreachable
	}
	if !slices.Contains(senders, o.top.Self) {
		return d.Kind == ToNode && d.Via.IsZero() && d.Next == o.preferred(senders) && len(d.NextServers) == len(senders)
	}
	if c.Kind == SMTPConnector {
		return d.Kind == Outbound && d.Via == c.GUID && d.NextGroup == into
	}
	receivers, _ := o.receivers(c)
	return d.Kind == ToNode && d.Via == c.GUID && d.NextGroup == into && d.Next == o.preferred(receivers)
}

// preferred is the server with the highest weight among those not drained.
func (o *oracle) preferred(list []GUID) GUID {
	var best GUID
	bestDrained := true
	for _, g := range list {
		_, drained := o.alive(g)
		if best.IsZero() || bestDrained && !drained || bestDrained == drained && Weight(o.top.Self, g) > Weight(o.top.Self, best) {
			best, bestDrained = g, drained
		}
	}
	return best
}

// specificity is what rule 3 compares: -1 no match, then "*", then by length,
// then exact.
func specificity(typ, pattern, address string) int {
	pattern, address = strings.ToLower(pattern), strings.ToLower(address)
	if !strings.Contains(pattern, "*") {
		if pattern == address {
			return 1 << 20
		}
		return -1
	}
	// Twice the length; one more where the beginning is fixed.
	if typ != "SMTP" && strings.HasSuffix(pattern, "*") {
		begin, _, _ := strings.Cut(pattern, "*")
		if strings.HasPrefix(address, begin) && len(address) > len(begin) || begin == "" {
			if begin == "" {
				return 0
			}
			return 2*len(begin) + 1
		}
		return -1
	}
	end := pattern[strings.LastIndex(pattern, "*")+1:]
	if end == "" {
		return 0
	}
	if strings.HasSuffix(address, end) && len(address) > len(end) {
		return 2 * len(end)
	}
	return -1
}

// TestAddressAgainstOracle compares the choice of the connector.
func TestAddressAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		m := drawMessage(t, &top)
		typ := rapid.SampledFrom([]string{"SMTP", "FAX"}).Draw(t, "asked")
		address := rapid.SampledFrom([]string{"a", "b.a", "c.b.a", "d.c.b.a", "x.a", "xb.a", "c", "C.B.A", "z"}).Draw(t, "address")
		table := Build(top)
		d := table.ToAddress(typ, address, m)
		newOracle(&top, m).checkAddress(t, d, typ, address)
		sameAsExplained(t, d, table.ExplainAddress(typ, address, m))
	})
}

type match struct {
	c           Connector
	specificity int
	cost        int
}

func (o *oracle) matches(typ, address string) []match {
	var list []match
	for _, c := range o.top.Connectors {
		for _, as := range c.AddressSpaces {
			t := strings.ToUpper(as.Type)
			if t == "" {
				t = "SMTP"
			}
			if s := specificity(t, as.Pattern, address); t == typ && s >= 0 {
				list = append(list, match{c, s, as.Cost})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b match) int { return b.specificity - a.specificity })
	return list
}

func (o *oracle) away(c Connector) bool { return c.Scope == ScopeGroup && c.Group != o.self.Group }

func (o *oracle) price(x match) (length, bool) {
	if !o.usable(x.c) {
		return far, false
	}
	l := length{}
	if x.c.Group != o.self.Group {
		if l = o.to(x.c.Group, true, false, true); l == far {
			return far, false
		}
	}
	l = l.plus(length{o.drains(x.c), x.cost, 0})
	l.hops = 0
	return l, true
}

func (o *oracle) checkAddress(t *rapid.T, d Decision, typ, address string) {
	t.Helper()
	all := o.matches(typ, address)
	if best, ok := o.travelled(all); ok {
		o.checkChoice(t, d, []match{best})
		return
	}
	waits := false
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].specificity == all[0].specificity {
			n++
		}
		level := all[:n]
		all = all[n:]
		level = slices.DeleteFunc(slices.Clone(level), func(x match) bool {
			return o.away(x.c) || o.outOfUse(x.c) || !o.permits(x.c)
		})
		if best := o.cheapest(level); len(best) > 0 {
			o.checkChoice(t, d, best)
			return
		}
		waits = waits || len(level) > 0
		if slices.ContainsFunc(level, func(x match) bool { return !x.c.Fallback }) {
			break
		}
	}
	if waits {
		if d.Kind != Unreachable && d.Kind != Loop && d.Kind != NoRoute {
			t.Fatalf("got %s, want it to wait", d.Kind)
		}
		return
	}
	o.checkNothing(t, d, typ, o.matches(typ, address))
}

func (o *oracle) travelled(all []match) (match, bool) {
	var best match
	for _, x := range all {
		if x.c.GUID == o.m.Connector && (best.c.GUID.IsZero() || x.cost < best.cost) {
			best = x
		}
	}
	if best.c.GUID.IsZero() || o.outOfUse(best.c) || !o.permits(best.c) {
		return match{}, false
	}
	_, ok := o.price(best)
	return best, ok
}

// cheapest gives all of a level with the lowest price, narrowed by the rules for ties.
func (o *oracle) cheapest(level []match) []match {
	var best []match
	low := far
	for _, x := range level {
		p, ok := o.price(x)
		if !ok || low.less(p) {
			continue
		}
		if p != low {
			best, low = nil, p
		}
		best = append(best, x)
	}
	for _, rule := range []func(match) bool{
		func(x match) bool {
			s, _ := o.senders(x.c)
			return o.up(x.c) && slices.Contains(s, o.top.Self)
		},
		func(x match) bool { return x.c.Group == o.self.Group },
	} {
		if slices.ContainsFunc(best, rule) {
			best = slices.DeleteFunc(best, func(x match) bool { return !rule(x) })
		}
	}
	slices.SortFunc(best, func(a, b match) int {
		if Weight(o.top.Self, a.c.GUID) > Weight(o.top.Self, b.c.GUID) {
			return -1
		}
		return 1
	})
	return best[:min(len(best), 1)]
}

func (o *oracle) checkChoice(t *rapid.T, d Decision, best []match) {
	t.Helper()
	x := best[0]
	p, _ := o.price(x)
	if d.Connector != x.c.GUID || d.Cost != p.cost {
		t.Fatalf("connector %x cost %d, want %s cost %d", d.Connector, d.Cost, x.c.Name, p.cost)
	}
	if x.c.Group != o.self.Group {
		o.checkHop(t, d, x.c.Group, o.to(x.c.Group, true, false, true))
		return
	}
	senders, _ := o.senders(x.c)
	switch {
	case !o.up(x.c):
		expect(t, d, Unreachable, d.Cost)
	case slices.Contains(senders, o.top.Self):
		expect(t, d, Outbound, d.Cost)
	default:
		expect(t, d, ToNode, d.Cost)
		if d.Next != o.preferred(senders) {
			t.Fatalf("handed to %x, not to the preferred bridgehead", d.Next)
		}
	}
}

func (o *oracle) checkNothing(t *rapid.T, d Decision, typ string, all []match) {
	t.Helper()
	paused, barred := false, false
	for _, x := range all {
		if o.away(x.c) {
			continue
		}
		paused = paused || o.outOfUse(x.c)
		barred = barred || !o.outOfUse(x.c)
	}
	star := false
	for _, c := range o.top.Connectors {
		for _, as := range c.AddressSpaces {
			smtp := as.Type == "" || strings.EqualFold(as.Type, "SMTP")
			star = star || smtp && !o.away(c) && strings.HasSuffix(as.Pattern, "*")
		}
	}
	switch {
	case paused:
		expect(t, d, Unreachable, 0)
	case typ == "SMTP" && o.top.Direct && !star:
		expect(t, d, Direct, 0)
	default:
		expect(t, d, NoRoute, 0)
		if !barred && d.TooLarge {
			t.Fatalf("too large for nothing")
		}
	}
}
