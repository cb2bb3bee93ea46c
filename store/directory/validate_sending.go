package directory

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// sending warns of settings for sending that nobody uses: a server sends as one of its
// virtual servers ([Configuration.SendsAs]), but where a connector names another one.
func (c *checker) sending() {
	named := c.namedSenders()
	of := map[string][]*Object{} // by server
	for _, o := range c.byKind[KindVirtualServer] {
		server := o.GetVirtualServer().GetServer()
		of[server] = append(of[server], o)
	}
	for _, list := range of {
		slices.SortFunc(list, func(a, b *Object) int { return cmp.Compare(a.GetMetadata().GetName(), b.GetMetadata().GetName()) })
		used := list[sender(list, (*Object).GetVirtualServer)]
		for _, o := range list {
			c.at = KeyOf(o)
			if use, ok := named[c.at.Name]; !ok {
				c.sendsAs(o.GetVirtualServer(), used)
			} else if o != used && o.GetVirtualServer().GetSmartHost() != "" && !use.smartHost {
				c.warnf("smartHost", "is not used: the connectors that name this virtual server have smart hosts, or lead to other groups or gateways; leave it out")
			}
		}
	}
}

// senderUse is what connectors use of a virtual server that they name.
type senderUse struct{ smartHost bool }

func (c *checker) namedSenders() map[string]senderUse {
	named := map[string]senderUse{}
	add := func(h headed, smartHost bool) {
		for _, b := range h.GetBridgeheadVirtualServers() {
			use := named[b.GetVirtualServer()]
			use.smartHost = use.smartHost || smartHost
			named[b.GetVirtualServer()] = use
		}
	}
	for _, o := range c.byKind[KindRoutingGroupConnector] {
		add(o.GetRoutingGroupConnector(), false)
	}
	for _, o := range c.byKind[KindSMTPConnector] {
		s := o.GetSmtpConnector()
		add(s, len(s.GetSmartHosts()) == 0 && len(s.GetAddressSpaces()) > 0)
	}
	for _, o := range c.byKind[KindForeignConnector] {
		add(o.GetForeignConnector(), false)
	}
	return named
}

func (c *checker) sendsAs(v *directoryv1.VirtualServer, sender *Object) {
	used := sender.GetVirtualServer()
	for _, f := range []struct {
		field  string
		unused bool
	}{
		{"outbound", v.GetOutbound() != nil && !proto.Equal(v.GetOutbound(), used.GetOutbound())},
		{"retry", v.GetRetry() != nil && !proto.Equal(v.GetRetry(), used.GetRetry())},
		{"smartHost", v.GetSmartHost() != "" && v.GetSmartHost() != used.GetSmartHost()},
	} {
		if f.unused {
			c.warnf(f.field, "is not used: %s sends as VirtualServer/%s, its first by name without connectorsOnly, and no connector names this one; set it there, or write %s/%s into localBridgeheads of a connector",
				v.GetServer(), sender.GetMetadata().GetName(), v.GetServer(), c.at.Name)
		}
	}
}
