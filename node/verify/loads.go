package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/routing"
)

// Bounds of a judgement on load. Below enough messages for each connector chance
// decides. A connector is idle that carries less than a quarter of its share.
const (
	enough  = 100
	idlePer = 4
)

// Loads checks that connectors which cost the same share the mail of the last
// day. Servers choose one each, so with fewer servers than connectors, twice over,
// an uneven load is told and no failure. traffic is what the nodes sent.
func Loads(top routing.Topology, traffic []*topologyv1.TrafficResponse) *linkstatev1.Check {
	m := newMap(top)
	sent := make(map[string]int64)
	for _, t := range traffic {
		for _, f := range t.GetFlows() {
			sent[f.GetConnector()] += f.GetMessages()
		}
	}
	var uneven, told []string
	sets := m.twins()
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		set := sets[name]
		words := shares(set.connectors, sent)
		if words == "" {
			continue
		}
		line := name + ": " + words
		if set.senders < 2*len(set.connectors) {
			told = append(told, fmt.Sprintf("%s (only %s to choose)", line, servers(set.senders)))
		} else {
			uneven = append(uneven, line)
		}
	}
	c := check("connectors of equal cost share the load", uneven)
	c.Details = append(c.Details, told...)
	return c
}

func servers(n int) string {
	if n == 1 {
		return "1 server"
	}
	return fmt.Sprintf("%d servers", n)
}

// twins are connectors among which nothing but hashing decides.
type twins struct {
	connectors []*routing.Connector
	senders    int // servers that choose
}

// twins finds, by where they lead, connectors with the same cost that work now:
// from one group to another, and for one address space.
func (m *orgMap) twins() map[string]*twins {
	all := make(map[string]*twins)
	put := func(name string, c *routing.Connector, senders int) {
		if all[name] == nil {
			all[name] = &twins{senders: senders}
		}
		all[name].connectors = append(all[name].connectors, c)
	}
	for i := range m.top.Connectors {
		c := &m.top.Connectors[i]
		if !m.up(c) || c.Drain != routing.DrainNone {
			continue
		}
		m.edges(c, func(from, to, cost int) {
			put(fmt.Sprintf("%s to %s at cost %d", m.top.Groups[from].Name, m.top.Groups[to].Name, cost), c, m.members[from])
		})
		at, ok := m.group[c.Group]
		if !ok {
			continue
		}
		for _, a := range c.AddressSpaces {
			// In different groups the ways to them differ: no twins.
			name := fmt.Sprintf("%s:%s in %s at cost %d", cmp.Or(strings.ToUpper(a.Type), "SMTP"), a.Pattern, m.top.Groups[at].Name, max(a.Cost, 1))
			senders := len(m.top.Servers)
			if c.Scope == routing.ScopeGroup {
				senders = m.members[at]
			}
			put(name, c, senders)
		}
	}
	maps.DeleteFunc(all, func(_ string, t *twins) bool { return len(t.connectors) < 2 })
	return all
}

// shares says what each connector carried if one of them was idle beside the
// others, by their weights.
func shares(set []*routing.Connector, sent map[string]int64) string {
	total, weights := int64(0), int64(0)
	for _, c := range set {
		total += sent[c.Name]
		weights += int64(max(c.Weight, 1))
	}
	idle := false
	var words []string
	for _, c := range set {
		fair := total * int64(max(c.Weight, 1)) / weights
		idle = idle || sent[c.Name]*idlePer < fair
		words = append(words, fmt.Sprintf("%s %d (fair: %d)", c.Name, sent[c.Name], fair))
	}
	if !idle || total < enough*int64(len(set)) {
		return ""
	}
	return strings.Join(words, ", ") + " messages in the last day"
}
