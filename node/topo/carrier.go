package topo

import (
	"slices"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Carriers tells what link state may travel over, to each server at the other end
// of a connector of which self is a bridgehead, in either direction. Of several
// connectors the one that asks for most wins: SMTP before gRPC before the choice
// of the nodes, AUTO. Servers of one group are not named.
func Carriers(conf *directory.Configuration, self mail.GUID) map[mail.GUID]directoryv1.LinkStateCarrier {
	carriers := make(map[mail.GUID]directoryv1.LinkStateCarrier)
	ends := ends{conf: conf, in: inGroups(conf)}
	for _, c := range conf.RoutingGroupConnectors() {
		s := c.Spec
		local := ends.servers(s.GetLocalBridgeheads(), s.GetSourceGroup())
		remote := ends.servers(s.GetRemoteBridgeheads(), s.GetTargetGroup())
		others := remote
		if !slices.Contains(local, linkstate.GUID(self)) {
			if others = local; !slices.Contains(remote, linkstate.GUID(self)) {
				continue
			}
		}
		asked := max(s.GetLinkStateCarrier(), directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_AUTO)
		for _, g := range others {
			carriers[mail.GUID(g)] = max(carriers[mail.GUID(g)], asked)
		}
	}
	return carriers
}
