package topo

import (
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
		Bridgeheads: b.bridgeheads(c.GUID, s.GetLocalBridgeheads(), s.GetSourceGroup()),
	}
	for _, r := range members(b.conf, b.in, s.GetRemoteBridgeheads(), s.GetTargetGroup()) {
		out.Remote = append(out.Remote, routing.GUID(r.GUID))
	}
	restrict(&out, s.GetRestrictions())
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
		Bridgeheads:   b.bridgeheads(c.GUID, s.GetLocalBridgeheads(), s.GetRoutingGroup()),
	}
	for _, g := range s.GetConnectedGroups() {
		out.Targets = append(out.Targets, routing.Edge{Group: b.group(g.GetGroup()), Cost: directory.Cost(g.GetCost())})
	}
	restrict(&out, s.GetRestrictions())
	return out
}

func (b *builder) foreignConnector(c directory.ForeignConnector) routing.Connector {
	s := c.Spec
	out := routing.Connector{
		GUID: routing.GUID(c.GUID), Name: c.Name, Kind: routing.ForeignConnector,
		Group:         b.group(s.GetRoutingGroup()),
		AddressSpaces: addressSpaces(s.GetAddressSpaces()),
		Scope:         scope(s.GetScope()),
		Disabled:      s.GetDisabled(),
		Bridgeheads:   b.bridgeheads(c.GUID, s.GetLocalBridgeheads(), s.GetRoutingGroup()),
	}
	restrict(&out, s.GetRestrictions())
	return out
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
