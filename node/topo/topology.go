package topo

import (
	"slices"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Build makes the map as self sees it. table may be nil: nothing is known of
// any state. version is the caller's count of maps. Objects that name others
// which do not exist lose only what they name.
func Build(conf *directory.Configuration, table *linkstate.Table, self mail.GUID, version uint64) routing.Topology {
	b := builder{conf: conf, table: table, in: inGroups(conf)}
	top := routing.Topology{Version: version, Self: routing.GUID(self), Direct: direct(conf, self)}
	for _, g := range conf.Groups() {
		top.Groups = append(top.Groups, routing.Group{GUID: routing.GUID(g.GUID), Name: g.Name})
	}
	for _, s := range conf.Servers() {
		top.Servers = append(top.Servers, b.server(s))
	}
	for _, c := range conf.RoutingGroupConnectors() {
		top.Connectors = append(top.Connectors, b.groupConnector(c))
	}
	for _, c := range conf.SMTPConnectors() {
		top.Connectors = append(top.Connectors, b.smtpConnector(c))
	}
	for _, c := range conf.ForeignConnectors() {
		top.Connectors = append(top.Connectors, b.foreignConnector(c))
	}
	return top
}

// direct: one virtual server that may send without a connector is enough, and
// a server without any has the defaults of one.
func direct(conf *directory.Configuration, self mail.GUID) bool {
	s, _ := conf.ServerByGUID(directory.GUID(self))
	all := conf.VirtualServersOf(s.Name)
	return len(all) == 0 || slices.ContainsFunc(all, func(v directory.VirtualServer) bool { return !v.Spec.GetConnectorsOnly() })
}

type builder struct {
	conf  *directory.Configuration
	table *linkstate.Table
	in    map[string][]directory.Server // by name of the group
}

func inGroups(conf *directory.Configuration) map[string][]directory.Server {
	in := make(map[string][]directory.Server)
	for _, s := range conf.Servers() {
		in[s.Spec.GetRoutingGroup()] = append(in[s.Spec.GetRoutingGroup()], s)
	}
	return in
}

// members gives the servers with these names, all of the group if there are
// none. A list of which no name exists stays empty: it was meant to narrow.
func members(conf *directory.Configuration, in map[string][]directory.Server, names []string, group string) []directory.Server {
	if len(names) == 0 {
		return in[group]
	}
	list := make([]directory.Server, 0, len(names))
	for _, name := range names {
		if s, ok := conf.Server(name); ok {
			list = append(list, s)
		}
	}
	return list
}

func (b *builder) group(name string) routing.GUID {
	g, _ := b.conf.Group(name)
	return routing.GUID(g.GUID)
}

func (b *builder) server(s directory.Server) routing.Server {
	out := routing.Server{GUID: routing.GUID(s.GUID), Name: s.Name, Group: b.group(s.Spec.GetRoutingGroup()), Up: true, Drain: drainMode(s.Spec.GetDrain())}
	r := b.table.Get(linkstate.GUID(s.GUID))
	if r == nil {
		// It never ran, or it is this node that knows nobody yet: then all are alike.
		out.Unheard = b.table.Len() > 1
		return out
	}
	// Both the administrator and the server itself may ask for less mail.
	out.Drain = max(out.Drain, drain(r.Drain))
	if r.Status >= linkstate.Down {
		out.Up, out.Reason = false, b.downReason(r)
	}
	return out
}

func drainMode(d directoryv1.DrainMode) routing.Drain {
	switch d {
	case directoryv1.DrainMode_DRAIN_MODE_SOFT:
		return routing.DrainSoft
	case directoryv1.DrainMode_DRAIN_MODE_HARD:
		return routing.DrainHard
	}
	return routing.DrainNone
}

func drain(d linkstate.Drain) routing.Drain {
	switch d {
	case linkstate.DrainNone:
		return routing.DrainNone
	case linkstate.DrainSoft:
		return routing.DrainSoft
	}
	return routing.DrainHard // what a newer version calls a drain is at least that
}

func (b *builder) downReason(r *linkstate.Record) string {
	text := "server is down"
	if r.Since > 0 {
		text += " since " + time.UnixMilli(r.Since).UTC().Format(time.RFC3339)
	}
	if by, ok := b.conf.ServerByGUID(directory.GUID(r.Accuser)); ok {
		text += ", says " + by.Name
	}
	return text
}

// bridgeheads gives who may send over a connector, with what each says of it.
func (b *builder) bridgeheads(connector directory.GUID, names []string, group string) []routing.Bridgehead {
	servers := members(b.conf, b.in, names, group)
	list := make([]routing.Bridgehead, 0, len(servers))
	for _, s := range servers {
		list = append(list, b.bridgehead(connector, s.GUID))
	}
	return list
}

func (b *builder) bridgehead(connector, server directory.GUID) routing.Bridgehead {
	h := routing.Bridgehead{Server: routing.GUID(server), Up: true}
	if r := b.table.Get(linkstate.GUID(server)); r != nil {
		if st, ok := r.Connector(linkstate.GUID(connector)); ok {
			h.Up, h.Reason, h.SinceMS = !st.Down, linkReason(st), st.Since
			h.Damped = st.Down && st.SuppressedUntil != 0
		}
	}
	return h
}

func linkReason(s linkstate.ConnectorState) string {
	if s.SuppressedUntil == 0 {
		return s.Reason
	}
	return s.Reason + "; flapping, so not before " + time.UnixMilli(s.SuppressedUntil).UTC().Format(time.RFC3339)
}

// ServerState is "up", "suspect", "down", or "unknown" without a record.
func ServerState(table *linkstate.Table, server mail.GUID) string {
	r := table.Get(linkstate.GUID(server))
	switch {
	case r == nil:
		return "unknown"
	case r.Status == linkstate.Alive:
		return "up"
	}
	return r.Status.String()
}
