package routing

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The oracle: the rules of the design once more, with maps and loops and no
// thought of speed.

type oracle struct {
	top  *Topology
	m    *Message
	self Server
	// anyone: sender lists do not count.
	anyone bool
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
		if up, drained := o.alive(b.Server); up && (b.Up || b.Damped) {
			list = append(list, b.Server)
			drainedOnly = drainedOnly && (drained || !b.Up)
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

// outOfUse: a drained connector is still there for its own bridgeheads.
func (o *oracle) outOfUse(c Connector) bool {
	own := false
	for _, b := range c.Bridgeheads {
		own = own || b.Server == o.top.Self
	}
	return c.Disabled || c.Drain == DrainHard && !own
}

func (o *oracle) usable(c Connector) bool {
	return !o.outOfUse(c) && (o.up(c) || c.OnLinkDown == Hold)
}

func (o *oracle) drains(c Connector) int {
	_, s := o.senders(c)
	_, r := o.receivers(c)
	if c.Drain == DrainSoft || c.Drain == DrainHard || o.up(c) && (s || c.Kind == RoutingGroupConnector && r) {
		return 1
	}
	return 0
}

func (o *oracle) permits(c Connector) bool {
	if c.MaxSize > 0 && o.m.SizeBound > c.MaxSize || c.NoSystem && o.m.System || c.NoUser && !o.m.System {
		return false
	}
	if !o.anyone && !o.welcome(c) {
		return false
	}
	bit := map[int8]Priorities{-1: AllowLow, 0: AllowNormal, 1: AllowHigh}[o.m.Priority]
	return c.Priorities == 0 || c.Priorities&bit != 0
}

// welcome is the rule of sender lists: named in none of the one, and in the other
// if that names anybody; the null reverse path needs not be named.
func (o *oracle) welcome(c Connector) bool {
	accepted := len(c.Accept) == 0
	for i := range o.m.Sender.Len() {
		id := o.m.Sender.ID(i)
		if slices.Contains(c.Reject, id) {
			return false
		}
		accepted = accepted || slices.Contains(c.Accept, id) || id == NullSender
	}
	return accepted
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
		any := newOracle(o.top, o.m)
		any.anyone = true
		if may := !d.TooLarge && any.to(group, false, true, true) != far; may != d.Forbidden {
			t.Fatalf("forbidden: got %t, want %t", d.Forbidden, may)
		}
	}
}

// checkHop checks that a hop is the first of a best path of this length, the one
// that goes before the others.
func (o *oracle) checkHop(t *rapid.T, d Decision, group GUID, want length) {
	t.Helper()
	dist := o.distances(true, false, true)
	first := Connector{}
	into := map[GUID][]GUID{}
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
			into[c.GUID] = append(into[c.GUID], e.Group)
			if first.GUID.IsZero() || o.ahead(c, first) {
				first = c
			}
		}
	}
	if !slices.ContainsFunc(into[first.GUID], func(g GUID) bool { return o.crosses(d, first, g) }) {
		t.Fatalf("%s to %x via %x does not begin the best path, which is over %s", d.Kind, d.Next, d.Via, first.Name)
	}
}

// ahead orders connectors of one price.
func (o *oracle) ahead(a, b Connector) bool {
	for _, rule := range []func(Connector) bool{
		func(c Connector) bool { return o.up(c) && o.mine(c) },
		func(c Connector) bool { return c.Group == o.self.Group },
	} {
		if rule(a) != rule(b) {
			return rule(a)
		}
	}
	return o.score(a, a.GUID, a.Weight) > o.score(b, b.GUID, b.Weight)
}

// score draws lots as [Score] says, by hand.
func (o *oracle) score(c Connector, of GUID, share int) uint64 {
	by := chooser(o.top.Self, c.Spread, o.m.Bucket)
	lots := []uint64{Weight(by, of)}
	for len(lots) < share {
		lots = append(lots, mix(lots[len(lots)-1]+0x9e3779b97f4a7c15))
	}
	return slices.Max(lots)
}

// crosses says whether the decision is the right one if c is the first connector.
func (o *oracle) crosses(d Decision, c Connector, into GUID) bool {
	senders, _ := o.senders(c)
	if !o.up(c) {
		return d.Kind == Unreachable
	}
	if !o.mine(c) {
		return d.Kind == ToNode && d.Via.IsZero() && d.Next == o.preferred(c, senders, o.damped(c)) && len(d.NextServers) == len(senders)
	}
	if c.Kind == SMTPConnector {
		return d.Kind == Outbound && d.Via == c.GUID && d.NextGroup == into
	}
	receivers, _ := o.receivers(c)
	return d.Kind == ToNode && d.Via == c.GUID && d.NextGroup == into && d.Next == o.preferred(c, receivers, nil)
}

// damped are the bridgeheads whose link flaps.
func (o *oracle) damped(c Connector) (list []GUID) {
	for _, b := range c.Bridgeheads {
		if !b.Up && b.Damped {
			list = append(list, b.Server)
		}
	}
	return list
}

// mine says whether this server sends over the connector itself. It leaves that
// to another bridgehead if its own link flaps and the other's link and server are
// in full use.
func (o *oracle) mine(c Connector) bool {
	senders, drainedOnly := o.senders(c)
	return slices.Contains(senders, o.top.Self) && (!slices.Contains(o.damped(c), o.top.Self) || drainedOnly)
}

// preferred is the server with the highest weight among those not drained and
// not damped.
func (o *oracle) preferred(c Connector, list, damped []GUID) GUID {
	var best GUID
	bestDrained := true
	for _, g := range list {
		_, drained := o.alive(g)
		drained = drained || slices.Contains(damped, g)
		if best.IsZero() || bestDrained && !drained || bestDrained == drained && o.score(c, g, c.Weights[g]) > o.score(c, best, c.Weights[best]) {
			best, bestDrained = g, drained
		}
	}
	return best
}
