package directory

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// headed is what connectors of all kinds say of the servers that send over them.
type headed interface {
	GetLocalBridgeheads() []string
	GetBridgeheadVirtualServers() []*directoryv1.BridgeheadVirtualServer
}

// headsOf are the fields of [headed], to be changed; nil where o is no connector.
func headsOf(o *Object) (local *[]string, by *[]*directoryv1.BridgeheadVirtualServer) {
	switch s := o.GetSpec().(type) {
	case *directoryv1.Object_RoutingGroupConnector:
		return &s.RoutingGroupConnector.LocalBridgeheads, &s.RoutingGroupConnector.BridgeheadVirtualServers
	case *directoryv1.Object_SmtpConnector:
		return &s.SmtpConnector.LocalBridgeheads, &s.SmtpConnector.BridgeheadVirtualServers
	case *directoryv1.Object_ForeignConnector:
		return &s.ForeignConnector.LocalBridgeheads, &s.ForeignConnector.BridgeheadVirtualServers
	}
	return nil, nil
}

// splitBridgeheads reads "SERVER/VIRTUAL SERVER", the written form. The schema has the
// server alone, so that nodes that know no virtual servers there still know who sends.
func splitBridgeheads(o *Object) {
	local, by := headsOf(o)
	if local == nil {
		return
	}
	for i, text := range *local {
		if server, name, ok := strings.Cut(text, "/"); ok && ValidName(server) && ValidName(name) {
			(*local)[i] = server
			*by = append(*by, &directoryv1.BridgeheadVirtualServer{Server: server, VirtualServer: name})
		}
	}
}

// joinBridgeheads is the object in the written form. What that cannot say, because no
// rule allows it, stays as the schema has it.
func joinBridgeheads(o *Object) *Object {
	if _, by := headsOf(o); by == nil || len(*by) == 0 {
		return o
	}
	joined := proto.CloneOf(o)
	local, by := headsOf(joined)
	for _, b := range *by {
		if i := slices.Index(*local, b.GetServer()); i >= 0 {
			(*local)[i] += "/" + b.GetVirtualServer()
		}
	}
	*by = nil
	back := proto.CloneOf(joined)
	if splitBridgeheads(back); !proto.Equal(back, o) {
		return o
	}
	return joined
}

// SendsOver is the virtual server by whose outbound, retry and smart host a server sends
// over a connector: the one that the connector names for it, and named is true; else
// that of all its mail, see [Configuration.SendsAs]. Without any it is the zero value.
func (c *Configuration) SendsOver(connector GUID, server string) (v VirtualServer, named bool) {
	for _, b := range c.heads(connector).GetBridgeheadVirtualServers() {
		if v, ok := c.VirtualServer(b.GetVirtualServer()); ok && b.GetServer() == server && v.Spec.GetServer() == server {
			return v, true
		}
	}
	v, _ = c.SendsAs(server)
	return v, false
}

func (c *Configuration) heads(connector GUID) headed {
	if e, ok := c.smtpConnectors.guid(connector); ok {
		return e.Spec
	}
	if e, ok := c.rgcs.guid(connector); ok {
		return e.Spec
	}
	e, _ := c.foreign.guid(connector)
	return e.Spec
}

// bridgeheadVirtualServers checks by what local bridgeheads send.
func (c *checker) bridgeheadVirtualServers(h headed) {
	as := map[string]string{} // by server
	for i, b := range h.GetBridgeheadVirtualServers() {
		server, name := b.GetServer(), b.GetVirtualServer()
		at := item("bridgeheadVirtualServers", i)
		n := slices.Index(h.GetLocalBridgeheads(), server)
		if n < 0 {
			c.failf(at, "Server/%s is no local bridgehead of the connector; write %s/%s into localBridgeheads", server, server, name)
			continue
		}
		at = item("localBridgeheads", n) // as it is written
		if other, twice := as[server]; twice {
			c.failf(at, "Server/%s would send as VirtualServer/%s and as %s, must send over a connector as one; remove one of them", server, other, name)
			continue
		}
		as[server] = name
		v, exists := c.virtualServers[name]
		if c.references(at, KindVirtualServer, name, exists) && v.GetServer() != server {
			c.failf(at, "VirtualServer/%s is one of Server/%s, must be one of Server/%s; name a virtual server of that server", name, v.GetServer(), server)
		}
	}
}
