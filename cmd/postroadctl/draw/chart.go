package draw

import (
	"strconv"
	"strings"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// chart is the map as a graph: what all pictures have in common.
type chart struct {
	nodes []node
	edges []edge
	dead  dead
}

// node is a group, or a place outside that one connector leads to.
type node struct {
	group     *topologyv1.Group     // nil: outside
	connector *topologyv1.Connector // that leads there; nil: a group
}

// edge is one direction of a link.
type edge struct {
	from, to  int
	connector *topologyv1.Connector
}

// newChart leaves out edges between groups that the map does not have.
func newChart(m *topologyv1.ShowResponse) *chart {
	c := &chart{dead: deadServers(m)}
	at := make(map[string]int)
	for _, g := range m.GetGroups() {
		at[g.GetName()] = len(c.nodes)
		c.nodes = append(c.nodes, node{group: g})
	}
	outside := make(map[string]bool) // connectors whose outside is drawn
	for _, k := range m.GetConnectors() {
		from, ok := at[k.GetSourceGroup()]
		if !ok {
			continue
		}
		if to, ok := at[k.GetTargetGroup()]; ok {
			c.edges = append(c.edges, edge{from, to, k})
		}
		// One that leads to groups stands in the map once for each of them.
		if outgoing(k) && !outside[k.GetName()] {
			outside[k.GetName()] = true
			c.edges = append(c.edges, edge{from, len(c.nodes), k})
			c.nodes = append(c.nodes, node{connector: k})
		}
	}
	return c
}

func outgoing(k *topologyv1.Connector) bool {
	return k.GetTargetGroup() == "" || len(k.GetAddressSpaces()) > 0
}

// state is "up", "down", "disabled", or "drained" for one that is up.
func (e *edge) state() string {
	switch {
	case e.connector.GetDisabled():
		return "disabled"
	case !e.connector.GetUp():
		return "down"
	case e.connector.GetDrain() != "":
		return "drained"
	}
	return "up"
}

// inside says whether the edge leads to another group.
func (c *chart) inside(e *edge) bool { return c.nodes[e.to].group != nil }

// label is what stands at an edge: cost with state if that is not up, and what
// waits; at most two lines.
func (c *chart) label(e *edge) []string {
	var first string
	if c.inside(e) {
		first = strconv.Itoa(int(e.connector.GetCost()))
	}
	if s := e.stateWords(); s != "" {
		first = strings.TrimSpace(first + " " + s)
	}
	var lines []string
	if first != "" {
		lines = append(lines, first)
	}
	if n := e.connector.GetQueued(); n > 0 {
		lines = append(lines, strconv.FormatInt(n, 10)+" queued")
	}
	return lines
}

// stateWords are empty for an edge that is simply up.
func (e *edge) stateWords() string {
	switch s := e.state(); {
	case s == "up":
		return ""
	case e.connector.GetDrain() != "" && s != "disabled":
		return strings.TrimSpace(strings.ToUpper(strings.TrimSuffix(s, "drained")) + " DRAINED " + e.connector.GetDrain())
	default:
		return strings.ToUpper(s)
	}
}

// spacesListed bounds the address spaces that a place outside shows.
const spacesListed = 4

// lines are the texts in a place outside.
func (n *node) lines() []string {
	spaces := n.connector.GetAddressSpaces()
	var out []string
	for i, s := range spaces {
		if i == spacesListed {
			out = append(out, "and "+strconv.Itoa(len(spaces)-i)+" more")
			break
		}
		out = append(out, s)
	}
	if hosts := n.connector.GetSmartHosts(); len(hosts) > 0 {
		out = append(out, "by "+hosts[0])
	}
	return out
}

// serverMark tells states apart without colour.
func serverMark(s *topologyv1.Server) string {
	if s.GetState() == "up" {
		return "●"
	}
	return "○"
}

// serverText is a server with its state where that is not plainly up.
func serverText(s *topologyv1.Server) string {
	text := s.GetName()
	if s.GetState() != "up" {
		text += " " + s.GetState()
	}
	if s.GetDrain() != "" {
		text += ", drained " + s.GetDrain()
	}
	return text
}

// load is what a connector carried; empty for nothing.
func load(k *topologyv1.Connector) string {
	if k.GetMessages() == 0 {
		return ""
	}
	return plural(int(k.GetMessages()), "message") + ", " + size(k.GetBytes())
}

// size writes octets in the unit that leaves one to four digits.
func size(octets int64) string {
	f, unit := float64(octets), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for ; f >= 1024 && unit < len(units)-1; unit++ {
		f /= 1024
	}
	if unit == 0 {
		return strconv.FormatInt(octets, 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[unit]
}

// story is all that is known of a connector, for whoever points at it.
func (c *chart) story(k *topologyv1.Connector) string {
	lines := []string{k.GetKind() + " " + k.GetName(), c.dead.carriers(k)}
	if l := load(k); l != "" {
		lines = append(lines, "last 24 hours: "+l)
	}
	return strings.Join(lines, "\n")
}
