package route

import (
	"slices"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Explanation says why mail for a destination goes where it goes; all objects by
// their names. It has the form of Route in topology.v1.
type Explanation struct {
	Hop         mail.Hop
	Destination string // as queues show it, servers by name
	Result      string // "local", "node", "smart host", "mx", "lmtp", "drop", "unreachable", "failed"
	NextHop     string
	Connector   string // the one chosen, else the one that this hop crosses
	// VirtualServer is the one by whose settings this server sends; "": by none.
	VirtualServer string
	Cost          int
	Path          []string // groups
	Candidates    []Candidate
	Bridgeheads   []Bridgehead
	Reasons       []string
	Status        string
	TableVersion  uint64
}

// Candidate is one connector that was considered. Cost is -1 where no path exists.
type Candidate struct {
	Connector    string
	AddressSpace string
	Cost         int
	Path         []string
	Chosen       bool
	Reason       string
}

// Bridgehead is one of those that the chosen way could use; the highest weight
// wins among those that are up.
type Bridgehead struct {
	Server string
	Remote bool // receives in the other group
	Up     bool
	Weight uint64
	Chosen bool
	Reason string
}

// Explain decides like [Route.Hop], by the same code, and tells how.
func (r *Route) Explain(dest mail.Destination, class mail.Class, visited []mail.GUID) Explanation {
	v := r.now.Load()
	m := message(dest, class, visited)
	var x routing.Explanation
	if dest.Unresolved() {
		h := v.unresolved(dest.Connector)
		return Explanation{
			Hop: h, Destination: v.destination(dest), Result: resultWord(h.Kind), NextHop: h.Name,
			VirtualServer: h.VirtualServerName, Reasons: []string{h.Reason}, Status: h.Status.String(), TableVersion: h.TableVersion,
		}
	}
	switch dest.Place {
	case mail.PlaceLocal:
		x = v.table.ExplainServer(v.top.Self, &m)
	case mail.PlaceServer:
		x = v.table.ExplainServer(routing.GUID(dest.Server), &m)
	default:
		x = v.table.ExplainAddress(dest.Type, dest.Domain, &m)
	}
	return v.words(dest, x)
}

func (v *view) words(dest mail.Destination, x routing.Explanation) Explanation {
	h := v.hop(dest, x.Decision)
	e := Explanation{
		Hop: h, Destination: v.destination(dest), Result: resultWord(h.Kind), NextHop: h.Name, VirtualServer: h.VirtualServerName,
		Connector: v.connectorName(x.Connector), Cost: x.Cost, Path: v.groupNames(x.Path),
		Reasons: slices.Compact(append(x.Reasons, h.Reason)), Status: h.Status.String(), TableVersion: v.table.Version(),
	}
	if e.Connector == "" {
		e.Connector = v.connectorName(x.Via)
	}
	if e.Hop.Kind == mail.HopLocal || e.Hop.Kind == mail.HopLMTP && dest.Place != mail.PlaceForeign {
		e.Result = "local"
	}
	for _, c := range x.Candidates {
		e.Candidates = append(e.Candidates, Candidate{
			Connector: v.connectorName(c.Connector), AddressSpace: c.AddressSpace, Cost: c.Cost,
			Path: v.groupNames(c.Path), Chosen: c.Chosen, Reason: c.Reason,
		})
	}
	for _, b := range x.Bridgeheads {
		e.Bridgeheads = append(e.Bridgeheads, Bridgehead{
			Server: v.serverName(b.Server), Remote: b.Remote, Up: b.Up, Weight: b.Weight, Chosen: b.Chosen, Reason: b.Reason,
		})
	}
	return e
}

func resultWord(k mail.HopKind) string {
	switch k {
	case mail.HopLocal:
		return "local"
	case mail.HopNode:
		return "node"
	case mail.HopSmartHost:
		return "smart host"
	case mail.HopMX:
		return "mx"
	case mail.HopLMTP:
		return "lmtp"
	case mail.HopDrop:
		return "drop"
	case mail.HopFail:
		return "failed"
	}
	return "unreachable"
}

func (v *view) destination(d mail.Destination) string {
	if d.Place == mail.PlaceServer {
		return "server " + v.serverName(routing.GUID(d.Server))
	}
	return d.String()
}

// A name that is gone is shown as the GUID.

func (v *view) serverName(g routing.GUID) string {
	if s, ok := v.conf.ServerByGUID(directory.GUID(g)); ok {
		return s.Name
	}
	return mail.GUID(g).String()
}

func (v *view) connectorName(g routing.GUID) string {
	if g.IsZero() {
		return ""
	}
	if name, ok := v.conf.ConnectorName(directory.GUID(g)); ok {
		return name
	}
	return mail.GUID(g).String()
}

func (v *view) groupNames(path []routing.GUID) []string {
	var names []string
	for _, g := range path {
		name := mail.GUID(g).String()
		if group, ok := v.conf.GroupByGUID(directory.GUID(g)); ok {
			name = group.Name
		}
		names = append(names, name)
	}
	return names
}
