package verify

import (
	"fmt"
	"slices"
	"strings"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	"github.com/postroad/postroad/routing"
)

// Map checks the organisation as one node sees it now: directory and state of
// links together.
func Map(top routing.Topology) []*linkstatev1.Check {
	m := newMap(top)
	unused, spare := m.unused()
	used := check("every connector can be used", unused)
	used.Details = append(used.Details, spare...)
	lives := check("every server lives", m.dead())
	lives.Details = append(lives.Details, m.drained()...)
	return []*linkstatev1.Check{
		lives,
		check("every link is up", m.down()),
		check("no island: every group reaches every other", m.islands()),
		check("every group has a way out for *", m.wayOut()),
		check("every link between groups has one back", m.oneWay()),
		used,
	}
}

// unreachable is more than any way can cost.
const unreachable = 1 << 30

// orgMap is the topology, ready for questions. Groups are counted by their place.
type orgMap struct {
	top     routing.Topology
	group   map[routing.GUID]int
	server  map[routing.GUID]*routing.Server
	members []int   // servers of each group
	now     [][]int // least cost from group to group over links that are up
	plan    [][]int // the same if all were up
}

func newMap(top routing.Topology) *orgMap {
	m := &orgMap{
		top: top, group: make(map[routing.GUID]int), server: make(map[routing.GUID]*routing.Server),
		members: make([]int, len(top.Groups)),
	}
	for i, g := range top.Groups {
		m.group[g.GUID] = i
	}
	for i := range top.Servers {
		s := &top.Servers[i]
		m.server[s.GUID] = s
		if g, ok := m.group[s.Group]; ok {
			m.members[g]++
		}
	}
	m.now = m.distances(m.up)
	m.plan = m.distances(func(c *routing.Connector) bool { return !c.Disabled })
	return m
}

// up: at least one bridgehead lives and says that the link works.
func (m *orgMap) up(c *routing.Connector) bool {
	return !c.Disabled && c.Drain != routing.DrainHard && slices.ContainsFunc(c.Bridgeheads, func(b routing.Bridgehead) bool {
		s := m.server[b.Server]
		return b.Up && s != nil && s.Up
	})
}

// edges calls with each edge between groups that exist.
func (m *orgMap) edges(c *routing.Connector, f func(from, to, cost int)) {
	from, ok := m.group[c.Group]
	for _, e := range c.Targets {
		if to, exists := m.group[e.Group]; ok && exists {
			f(from, to, max(e.Cost, 1))
		}
	}
}

// distances by Bellman and Ford: a map has few edges for each group, and nobody
// waits for a check.
func (m *orgMap) distances(usable func(*routing.Connector) bool) [][]int {
	n := len(m.top.Groups)
	type edge struct{ from, to, cost int }
	var edges []edge
	for i := range m.top.Connectors {
		if c := &m.top.Connectors[i]; usable(c) {
			m.edges(c, func(from, to, cost int) { edges = append(edges, edge{from, to, cost}) })
		}
	}
	all := make([][]int, n)
	for start := range all {
		d := slices.Repeat([]int{unreachable}, n)
		d[start] = 0
		for better := true; better; {
			better = false
			for _, e := range edges {
				if d[e.from] < unreachable && d[e.from]+e.cost < d[e.to] {
					d[e.to], better = d[e.from]+e.cost, true
				}
			}
		}
		all[start] = d
	}
	return all
}

func (m *orgMap) dead() []string {
	var lines []string
	for _, s := range m.top.Servers {
		switch {
		case !s.Up:
			lines = append(lines, s.Name+": "+s.Reason)
		case s.Unheard:
			lines = append(lines, s.Name+": nothing is heard of it: it never ran, or no connector joins its group to this one")
		}
	}
	return lines
}

// drained is what mail is kept away from: no failure, but worth knowing.
func (m *orgMap) drained() []string {
	var lines []string
	for _, s := range m.top.Servers {
		if s.Drain != routing.DrainNone {
			lines = append(lines, s.Name+" is drained "+drainWord(s.Drain))
		}
	}
	return lines
}

func drainWord(d routing.Drain) string {
	if d == routing.DrainSoft {
		return "softly"
	}
	return "hard"
}

func (m *orgMap) down() []string {
	var lines []string
	for i := range m.top.Connectors {
		c := &m.top.Connectors[i]
		for _, b := range c.Bridgeheads {
			// A dead server is told of by itself.
			if s := m.server[b.Server]; !c.Disabled && !b.Up && s != nil && s.Up {
				lines = append(lines, fmt.Sprintf("%s from %s: %s", c.Name, s.Name, b.Reason))
			}
		}
	}
	return lines
}

// islands says of each group with servers which others it does not reach.
func (m *orgMap) islands() []string {
	var lines []string
	for from, g := range m.top.Groups {
		var missing []string
		for to, t := range m.top.Groups {
			if m.members[from] > 0 && m.members[to] > 0 && m.now[from][to] == unreachable {
				missing = append(missing, t.Name)
			}
		}
		if len(missing) > 0 {
			lines = append(lines, fmt.Sprintf("%s does not reach %s", g.Name, strings.Join(missing, ", ")))
		}
	}
	return lines
}

func servesAll(c *routing.Connector) bool {
	return slices.ContainsFunc(c.AddressSpaces, func(a routing.AddressSpace) bool { return a.Type == "SMTP" && a.Pattern == "*" })
}

func (m *orgMap) wayOut() []string {
	var out []*routing.Connector
	exists := false
	for i := range m.top.Connectors {
		c := &m.top.Connectors[i]
		if servesAll(c) {
			exists = exists || !c.Disabled
			if m.up(c) {
				out = append(out, c)
			}
		}
	}
	if !exists && m.top.Direct {
		return nil // without any such connector servers send by themselves
	}
	var lines []string
	for from, g := range m.top.Groups {
		leads := func(c *routing.Connector) bool {
			at, ok := m.group[c.Group]
			return ok && (at == from || c.Scope == routing.ScopeOrganization && m.now[from][at] < unreachable)
		}
		if m.members[from] > 0 && !slices.ContainsFunc(out, leads) {
			lines = append(lines, g.Name+" reaches no connector for * that is up")
		}
	}
	return lines
}

func (m *orgMap) oneWay() []string {
	there := make(map[[2]int]string)
	for i := range m.top.Connectors {
		if c := &m.top.Connectors[i]; !c.Disabled {
			m.edges(c, func(from, to, _ int) { there[[2]int{from, to}] = c.Name })
		}
	}
	var lines []string
	for pair, name := range there {
		if _, back := there[[2]int{pair[1], pair[0]}]; !back {
			lines = append(lines, fmt.Sprintf("%s leads from %s to %s and nothing leads back",
				name, m.top.Groups[pair[0]].Name, m.top.Groups[pair[1]].Name))
		}
	}
	slices.Sort(lines)
	return lines
}

// unused are connectors that no message can take, with the reason; spare are
// those that one takes only while others are down.
func (m *orgMap) unused() (unused, spare []string) {
	for i := range m.top.Connectors {
		c := &m.top.Connectors[i]
		if why := m.useless(c); why != "" {
			unused = append(unused, c.Name+" "+why)
			continue
		}
		if c.Drain != routing.DrainNone {
			spare = append(spare, c.Name+" is drained "+drainWord(c.Drain))
			continue
		}
		m.edges(c, func(from, to, cost int) {
			if best := m.plan[from][to]; best < cost && len(c.AddressSpaces) == 0 {
				spare = append(spare, fmt.Sprintf("%s (%d) is a spare: another way from %s to %s costs %d",
					c.Name, cost, m.top.Groups[from].Name, m.top.Groups[to].Name, best))
			}
		})
	}
	return unused, spare
}

func (m *orgMap) useless(c *routing.Connector) string {
	switch {
	case c.Disabled:
		return "is disabled"
	case len(c.Bridgeheads) == 0:
		return "has no bridgehead: none of those named exists, or its group has no servers"
	case c.Kind == routing.RoutingGroupConnector && len(c.Remote) == 0:
		return "has no remote bridgehead: none of those named exists, or the target group has no servers"
	case len(c.Targets) == 0 && len(c.AddressSpaces) == 0:
		return "has no address space and leads to no group"
	}
	return ""
}
