package topo

import (
	"slices"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

func (b *builder) groupConnector(c directory.RoutingGroupConnector) routing.Connector {
	s := c.Spec
	out := routing.Connector{
		GUID: routing.GUID(c.GUID), Name: c.Name, Kind: routing.RoutingGroupConnector,
		Group:       b.group(s.GetSourceGroup()),
		Targets:     []routing.Edge{{Group: b.group(s.GetTargetGroup()), Cost: directory.Cost(s.GetCost())}},
		OnLinkDown:  onLinkDown(s.GetOnLinkDown()),
		Disabled:    s.GetDisabled(),
		Drain:       drainMode(s.GetDrain()),
		Bridgeheads: b.bridgeheads(c.GUID, s.GetLocalBridgeheads(), s.GetSourceGroup()),
	}
	for _, r := range members(b.conf, b.in, s.GetRemoteBridgeheads(), s.GetTargetGroup()) {
		out.Remote = append(out.Remote, routing.GUID(r.GUID))
	}
	restrict(&out, s.GetRestrictions())
	b.spread(&out, s)
	return out
}

func (b *builder) smtpConnector(c directory.SMTPConnector) routing.Connector {
	s := c.Spec
	out := routing.Connector{
		GUID: routing.GUID(c.GUID), Name: c.Name, Kind: routing.SMTPConnector,
		Group:         b.group(s.GetRoutingGroup()),
		AddressSpaces: addressSpaces(s.GetAddressSpaces()),
		Scope:         scope(s.GetScope()),
		OnLinkDown:    onLinkDown(s.GetOnLinkDown()),
		Fallback:      s.GetFallback() == directoryv1.Fallback_FALLBACK_LESS_SPECIFIC,
		Disabled:      s.GetDisabled(),
		Drain:         drainMode(s.GetDrain()),
		Bridgeheads:   b.bridgeheads(c.GUID, s.GetLocalBridgeheads(), s.GetRoutingGroup()),
	}
	for _, g := range s.GetConnectedGroups() {
		out.Targets = append(out.Targets, routing.Edge{Group: b.group(g.GetGroup()), Cost: directory.Cost(g.GetCost())})
	}
	restrict(&out, s.GetRestrictions())
	b.spread(&out, s)
	return out
}

func (b *builder) foreignConnector(c directory.ForeignConnector) routing.Connector {
	s := c.Spec
	out := routing.Connector{
		GUID: routing.GUID(c.GUID), Name: c.Name, Kind: routing.ForeignConnector,
		Group:         b.group(s.GetRoutingGroup()),
		AddressSpaces: addressSpaces(s.GetAddressSpaces()),
		Scope:         scope(s.GetScope()),
		OnLinkDown:    onLinkDown(s.GetOnLinkDown()),
		Fallback:      s.GetFallback() == directoryv1.Fallback_FALLBACK_LESS_SPECIFIC,
		Disabled:      s.GetDisabled(),
		Drain:         drainMode(s.GetDrain()),
		Bridgeheads:   b.bridgeheads(c.GUID, s.GetLocalBridgeheads(), s.GetRoutingGroup()),
	}
	restrict(&out, s.GetRestrictions())
	b.spread(&out, s)
	return out
}

// spreading is what all kinds of connectors say about it.
type spreading interface {
	GetSpread() directoryv1.Spread
	GetWeight() int32
	GetBridgeheadWeights() []*directoryv1.BridgeheadWeight
}

func (b *builder) spread(out *routing.Connector, s spreading) {
	if s.GetSpread() == directoryv1.Spread_SPREAD_PER_MESSAGE {
		out.Spread = routing.PerMessage
	}
	out.Weight = directory.Weight(s.GetWeight())
	for _, w := range s.GetBridgeheadWeights() {
		if server, ok := b.conf.Server(w.GetServer()); ok {
			if out.Weights == nil {
				out.Weights = make(map[routing.GUID]int)
			}
			out.Weights[routing.GUID(server.GUID)] = directory.Weight(w.GetWeight())
		}
	}
}

func scope(s directoryv1.Scope) routing.Scope {
	if s == directoryv1.Scope_SCOPE_ROUTING_GROUP {
		return routing.ScopeGroup
	}
	return routing.ScopeOrganization
}

func onLinkDown(d directoryv1.OnLinkDown) routing.OnLinkDown {
	if d == directoryv1.OnLinkDown_ON_LINK_DOWN_HOLD {
		return routing.Hold
	}
	return routing.Reroute
}

func restrict(c *routing.Connector, r *directoryv1.Restrictions) {
	c.MaxSize = r.GetMaxMessageSize()
	c.NoSystem, c.NoUser = r.GetNoSystemMessages(), r.GetNoUserMessages()
	c.Accept, c.Reject = senders(r.GetAcceptFrom()), senders(r.GetRejectFrom())
	for _, p := range r.GetPriorities() {
		switch strings.ToLower(p) {
		case "low":
			c.Priorities |= routing.AllowLow
		case "normal":
			c.Priorities |= routing.AllowNormal
		case "high":
			c.Priorities |= routing.AllowHigh
		}
	}
}

// senders are a list's IDs, as categorizers give them to messages. A list of which
// nothing can be read names somebody whom no message comes from: it was meant
// to narrow.
func senders(list []string) []routing.SenderID {
	if len(list) == 0 {
		return nil
	}
	ids := make([]routing.SenderID, 0, len(list))
	for _, id := range directory.SenderIDs(list) {
		ids = append(ids, routing.SenderID(id))
	}
	if len(ids) == 0 {
		ids = append(ids, nobody)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// nobody is the ID of no entry: those are odd or zero.
const nobody routing.SenderID = 2

func addressSpaces(list []*directoryv1.AddressSpace) []routing.AddressSpace {
	out := make([]routing.AddressSpace, 0, len(list))
	for _, as := range list {
		typ := strings.ToUpper(as.GetType())
		pattern := as.GetPattern()
		if typ == "" || typ == directory.TypeSMTP {
			typ, pattern = directory.TypeSMTP, domainPattern(pattern)
		}
		out = append(out, routing.AddressSpace{Type: typ, Pattern: pattern, Cost: directory.Cost(as.GetCost())})
	}
	return out
}

// domainPattern writes the part that is compared with domains as destinations
// have them, in A-labels.
func domainPattern(p string) string {
	from := strings.LastIndexByte(p, '*') + 1
	if from < len(p) && p[from] == '.' {
		from++
	}
	return p[:from] + directory.DomainKey(p[from:])
}
