package route

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Map is the organisation as this node routes by it; all objects by their names.
// It has the form of ShowResponse in topology.v1.
type Map struct {
	TableVersion uint64
	Groups       []Group
	Connectors   []Connector
}

// Group is a routing group with its servers.
type Group struct {
	Name    string
	Servers []Server
}

// Server is one node. A suspect server still counts as up.
type Server struct {
	GUID        mail.GUID
	Name        string
	Up          bool
	Reason      string
	Drain       string // "", "soft", "hard"
	SMTPAddress string
}

// Connector is one edge from Source to Target; one that leads to several groups
// stands here once for each, one that leads outside has no Target.
type Connector struct {
	Name, Kind        string
	Source, Target    string
	Cost              int
	Up                bool // mail can leave over it now
	Reason            string
	Disabled          bool
	Drain             string // "", "soft", "hard"
	Spread            string // "per-server", "per-message"
	Weight            int
	Bridgeheads       []LocalBridgehead
	RemoteBridgeheads []string
	AddressSpaces     []string // "SMTP:*.net;10"
	SmartHosts        []string
}

// LocalBridgehead is a server that may send, with what it says of the link.
type LocalBridgehead struct {
	Server string
	// VirtualServer is the one that the connector names for it; "": none.
	VirtualServer string
	Up            bool
	Reason        string
	SinceMS       int64
}

// Map shows the map that decides now.
func (r *Route) Map() Map {
	v := r.now.Load()
	m := Map{TableVersion: v.table.Version()}
	in := make(map[routing.GUID][]Server)
	for i := range v.top.Servers {
		s := &v.top.Servers[i]
		d, _ := v.conf.ServerByGUID(directory.GUID(s.GUID))
		in[s.Group] = append(in[s.Group], Server{
			GUID: mail.GUID(s.GUID), Name: s.Name, Up: s.Up, Reason: s.Reason,
			Drain: drainWord(s.Drain), SMTPAddress: directory.SMTPAddress(d.Spec),
		})
	}
	for _, g := range v.top.Groups {
		m.Groups = append(m.Groups, Group{Name: g.Name, Servers: in[g.GUID]})
	}
	for i := range v.top.Connectors {
		m.Connectors = append(m.Connectors, v.connectors(&v.top.Connectors[i])...)
	}
	return m
}

func drainWord(d routing.Drain) string {
	switch d {
	case routing.DrainSoft:
		return "soft"
	case routing.DrainHard:
		return "hard"
	}
	return ""
}

func (v *view) connectors(c *routing.Connector) []Connector {
	one := Connector{Name: c.Name, Kind: c.Kind.String(), Source: v.groupName(c.Group), Disabled: c.Disabled, Drain: drainWord(c.Drain), Spread: "per-server", Weight: max(c.Weight, 1)}
	if c.Spread == routing.PerMessage {
		one.Spread = "per-message"
	}
	one.Up, one.Reason, _ = v.table.ConnectorState(c.GUID)
	if one.Up && !slices.ContainsFunc(c.Bridgeheads, func(b routing.Bridgehead) bool { return b.Up }) {
		one.Up, one.Reason = false, "flapping: used only if nothing else is left"
	}
	for _, b := range c.Bridgeheads {
		// What a dead server said of its link last is not worth much.
		if why, gone := v.down[b.Server]; gone {
			b = routing.Bridgehead{Server: b.Server, Reason: orWord(why, "server is down")}
		}
		one.Bridgeheads = append(one.Bridgeheads, LocalBridgehead{
			Server: v.serverName(b.Server), VirtualServer: v.sendsOver(c.GUID, b.Server), Up: b.Up, Reason: b.Reason, SinceMS: b.SinceMS,
		})
	}
	for _, g := range c.Remote {
		one.RemoteBridgeheads = append(one.RemoteBridgeheads, v.serverName(g))
	}
	for _, as := range c.AddressSpaces {
		one.AddressSpaces = append(one.AddressSpaces, strings.ToUpper(as.Type)+":"+as.Pattern+";"+strconv.Itoa(as.Cost))
	}
	if s, ok := v.conf.SMTPConnectorByGUID(directory.GUID(c.GUID)); ok {
		one.SmartHosts = s.Spec.GetSmartHosts()
	}
	if len(c.Targets) == 0 {
		return []Connector{one}
	}
	all := make([]Connector, len(c.Targets))
	for i, e := range c.Targets {
		all[i] = one
		all[i].Target, all[i].Cost = v.groupName(e.Group), e.Cost
	}
	return all
}

// sendsOver is the virtual server that a connector names for a bridgehead; "": none.
func (v *view) sendsOver(connector, server routing.GUID) string {
	if by, named := v.conf.SendsOver(directory.GUID(connector), v.serverName(server)); named {
		return by.Name
	}
	return ""
}

func (v *view) groupName(g routing.GUID) string { return v.groupNames([]routing.GUID{g})[0] }
