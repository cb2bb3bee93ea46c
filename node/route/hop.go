package route

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Statuses of mail that waits (RFC 3463 section 3.5): X.4.4 unable to route,
// X.4.6 routing loop detected. Waiting makes them of class 4.
var (
	statusNoPath = mail.Status{Class: 4, Subject: 4, Detail: 4}
	statusLoop   = mail.StatusHopCount
	// Delivery not authorized; the book's code for a sender whom a restriction
	// keeps out.
	statusForbidden = mail.Status{Class: 5, Subject: 7, Detail: 1}
)

// hop puts a decision for a destination into hosts and options.
func (v *view) hop(dest mail.Destination, d routing.Decision) mail.Hop {
	switch d.Kind {
	case routing.Local:
		return v.local()
	case routing.ToNode:
		return v.node(d)
	case routing.Outbound:
		return v.over(dest, d)
	case routing.Direct:
		return v.direct(dest, d.Reason)
	case routing.NoRoute:
		h := v.wait(mail.StatusNoRoute, d.Reason)
		h.Kind, h.Name = mail.HopFail, "no route"
		if d.TooLarge {
			h.Status = mail.StatusTooLarge
		}
		if d.Forbidden {
			h.Status = statusForbidden
		}
		return h
	case routing.Loop:
		return v.wait(statusLoop, d.Reason)
	}
	h := v.wait(statusNoPath, d.Reason)
	h.ConnectorName = v.connectorName(d.Waits)
	return h
}

func (v *view) wait(s mail.Status, reason string) mail.Hop {
	return mail.Hop{Kind: mail.HopUnreachable, Name: "currently unreachable", Status: s, Reason: reason, TableVersion: v.table.Version()}
}

// local is the mailbox store of this server.
func (v *view) local() mail.Hop {
	h := mail.Hop{Kind: mail.HopLocal, Name: "local delivery", TableVersion: v.table.Version()}
	if lmtp := v.self.Spec.GetLocalDelivery().GetLmtp(); lmtp != nil {
		h.Kind, h.Hosts = mail.HopLMTP, []string{lmtp.GetAddress()}
		h.Name = "local delivery (LMTP " + lmtp.GetAddress() + ")"
	}
	return h
}

// node hands over to another node, over a connector or inside the group.
func (v *view) node(d routing.Decision) mail.Hop {
	s, ok := v.conf.ServerByGUID(directory.GUID(d.Next))
	if !ok {
		return v.wait(statusNoPath, "the next server is not in the directory")
	}
	h := mail.Hop{
		Kind: mail.HopNode, Name: s.Name, Server: mail.GUID(d.Next), Hosts: []string{directory.SMTPAddress(s.Spec)},
		Connector: mail.GUID(d.Via), Travel: mail.GUID(d.Connector), Reason: d.Reason, TableVersion: v.table.Version(),
	}
	// Between servers of a group no connector is crossed, and all is as for other mail.
	by := v.sender(h.Connector)
	by.sends(&h)
	h.Options.MaxConnections = by.perLink
	if c, ok := v.conf.RoutingGroupConnectorByGUID(directory.GUID(d.Via)); ok {
		h.ConnectorName = c.Name
		detect(&h.Options, c.Spec.GetDetection())
	}
	return h
}

// over sends over an SMTP or foreign connector of which this server is a
// bridgehead.
func (v *view) over(dest mail.Destination, d routing.Decision) mail.Hop {
	h := mail.Hop{Connector: mail.GUID(d.Via), Travel: mail.GUID(d.Connector), Reason: d.Reason, TableVersion: v.table.Version()}
	by := v.sender(h.Connector)
	by.sends(&h)
	if c, ok := v.conf.SMTPConnectorByGUID(directory.GUID(d.Via)); ok {
		h.ConnectorName = c.Name
		h.Options = by.smtpOptions(c.Spec)
		h.Options.Shares = shares(c.Spec)
		if len(c.Spec.GetSmartHosts()) == 0 && by.named && dest.Place != mail.PlaceServer {
			// The book, chapter 5: what the connector says overrides its virtual server.
			return v.bySender(h, dest, by)
		}
		return v.outside(h, dest, c.Spec.GetSmartHosts())
	}
	c, ok := v.conf.ForeignConnectorByGUID(directory.GUID(d.Via))
	if !ok {
		return v.wait(statusNoPath, "the connector is not in the directory")
	}
	h.ConnectorName = c.Name
	h.Options.MaxConnections = by.perLink
	detect(&h.Options, c.Spec.GetDetection())
	switch g := c.Spec.GetGateway().(type) {
	case *directoryv1.ForeignConnector_DropDirectory:
		h.Kind, h.Name, h.Options.Directory = mail.HopDrop, "drop directory "+g.DropDirectory, g.DropDirectory
	case *directoryv1.ForeignConnector_Lmtp:
		h.Kind, h.Name, h.Hosts = mail.HopLMTP, "gateway "+g.Lmtp.GetAddress(), []string{g.Lmtp.GetAddress()}
	default:
		return v.wait(statusNoPath, "connector "+c.Name+" names no gateway; give it dropDirectory or lmtp")
	}
	return h
}

// direct sends by the virtual server itself.
func (v *view) direct(dest mail.Destination, reason string) mail.Hop {
	by := v.sender(mail.GUID{})
	h := mail.Hop{Reason: reason, TableVersion: v.table.Version(), Options: by.options}
	by.sends(&h)
	return v.bySender(h, dest, by)
}

// bySender completes a hop to the virtual server's smart host or, without one, to the
// hosts that DNS names. What proves its identity is for its smart host alone.
func (v *view) bySender(h mail.Hop, dest mail.Destination, by *sender) mail.Hop {
	var hosts []string
	if hosts = directory.SmartHosts(by.smartHost); len(hosts) > 0 {
		h.Options.Account, h.Options.PasswordFile = by.creds.GetUser(), by.creds.GetPasswordFile()
	}
	if by.direct && len(hosts) > 0 && dest.Type == directory.TypeSMTP {
		h = v.outside(h, dest, nil)
		h.Options.Smart = hosts
		h.Name += ", then smart host " + by.smartHost
		return h
	}
	return v.outside(h, dest, hosts)
}

// outside completes a hop to smart hosts or, without any, to the hosts that DNS
// names for the destination.
func (v *view) outside(h mail.Hop, dest mail.Destination, smartHosts []string) mail.Hop {
	if len(smartHosts) > 0 {
		h.Kind, h.Hosts, h.Name = mail.HopSmartHost, smartHosts, "smart host "+named(smartHosts, h.Options.Shares)
		return h
	}
	h.Kind, h.Domain = mail.HopMX, dest.Domain
	switch {
	case dest.Place == mail.PlaceServer:
		// A connector that leads to a group by DNS: the home server's own name.
		s, _ := v.conf.ServerByGUID(directory.GUID(dest.Server))
		h.Domain = directory.DomainKey(s.Spec.GetFqdn())
	case dest.Type != directory.TypeSMTP:
		return v.wait(statusNoPath, "connector "+h.ConnectorName+" has no smart host, and addresses of type "+dest.Type+" are not in DNS")
	}
	h.Name = h.Domain + " (MX)"
	return h
}

// named lists smart hosts for people: with spares, or with the share of each.
func named(hosts []string, shares []int) string {
	if len(shares) == 0 || len(hosts) < 2 {
		return strings.Join(hosts, ", ")
	}
	total := 0
	for _, n := range shares {
		total += n
	}
	words := make([]string, len(hosts))
	for i, h := range hosts {
		words[i] = fmt.Sprintf("%s (%d%%)", h, (100*shares[i]+total/2)/total)
	}
	return strings.Join(words, ", ")
}

// shares of a connector's smart hosts; nil: they are tried as they are written.
func shares(s *directoryv1.SMTPConnector) []int {
	if s.GetSmartHostOrder() != directoryv1.SmartHostOrder_SMART_HOST_ORDER_EVEN {
		return nil
	}
	list := make([]int, len(s.GetSmartHosts()))
	for i, h := range s.GetSmartHosts() {
		list[i] = 1
		for _, w := range s.GetSmartHostWeights() {
			if strings.EqualFold(w.GetHost(), h) {
				list[i] = directory.Weight(w.GetWeight())
			}
		}
	}
	return list
}

// Probes gives the hops with which to find out whether a connector works; it does
// if one of them answers. For a routing group connector these are the remote
// bridgeheads: server first if it is one, then those not known to be down. There
// are none where nothing can be tried: DNS connectors and drop directories.
func (r *Route) Probes(connector, server mail.GUID) []mail.Hop {
	v := r.now.Load()
	d := routing.Decision{Via: routing.GUID(connector)}
	if _, ok := v.conf.RoutingGroupConnectorByGUID(directory.GUID(connector)); !ok {
		h := v.over(mail.Destination{Place: mail.PlaceForeign, Type: directory.TypeSMTP}, d)
		if h.Kind != mail.HopSmartHost && h.Kind != mail.HopLMTP {
			return nil
		}
		return []mail.Hop{h}
	}
	var hops []mail.Hop
	for _, g := range v.remotes(d.Via, routing.GUID(server)) {
		d.Next = g
		if h := v.node(d); h.Kind == mail.HopNode {
			hops = append(hops, h)
		}
	}
	return hops
}

// remotes are a connector's remote bridgeheads in the order to try them.
func (v *view) remotes(connector, first routing.GUID) []routing.GUID {
	i := slices.IndexFunc(v.top.Connectors, func(c routing.Connector) bool { return c.GUID == connector })
	if i < 0 {
		return nil
	}
	isDown := func(g routing.GUID) bool { _, down := v.down[g]; return down }
	rank := func(g routing.GUID) int {
		switch {
		case g == first:
			return 0
		case !isDown(g):
			return 1
		}
		return 2
	}
	return slices.SortedStableFunc(slices.Values(v.top.Connectors[i].Remote), func(a, b routing.GUID) int { return rank(a) - rank(b) })
}
