package routing

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

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
	slices.SortFunc(best, func(a, b match) int {
		if o.ahead(a.c, b.c) {
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
	case o.mine(x.c):
		expect(t, d, Outbound, d.Cost)
	default:
		expect(t, d, ToNode, d.Cost)
		if d.Next != o.preferred(x.c, senders, o.damped(x.c)) {
			t.Fatalf("handed to %x, not to the preferred bridgehead", d.Next)
		}
	}
}

func (o *oracle) checkNothing(t *rapid.T, d Decision, typ string, all []match) {
	t.Helper()
	paused, barred, sender := false, false, true
	for _, x := range all {
		if o.away(x.c) {
			continue
		}
		paused = paused || o.outOfUse(x.c)
		barred = barred || !o.outOfUse(x.c)
		sender = sender && !o.outOfUse(x.c) && o.foremost(x.c) == "sender"
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
		if want := barred && sender; want != d.Forbidden {
			t.Fatalf("forbidden: got %t, want %t", d.Forbidden, want)
		}
	}
}

// foremost is what a message that may not use a connector is told.
func (o *oracle) foremost(c Connector) string {
	lenient := *o
	lenient.anyone = true
	if !lenient.permits(c) {
		return "content"
	}
	return "sender"
}
