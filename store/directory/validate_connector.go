package directory

import (
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func (c *checker) groupConnector(r *directoryv1.RoutingGroupConnector) {
	c.group("sourceGroup", r.GetSourceGroup())
	c.group("targetGroup", r.GetTargetGroup())
	if s := r.GetSourceGroup(); s != "" && s == r.GetTargetGroup() {
		c.failf("targetGroup", "is the source group; servers of one group need no connector, name another group")
	}
	c.cost("cost", r.GetCost())
	c.bridgeheads("localBridgeheads", r.GetLocalBridgeheads(), r.GetSourceGroup())
	c.bridgeheadVirtualServers(r)
	c.bridgeheads("remoteBridgeheads", r.GetRemoteBridgeheads(), r.GetTargetGroup())
	c.restrictions(r.GetRestrictions())
	c.shares(r.GetWeight(), r.GetBridgeheadWeights(), append(
		c.sendersOf(r.GetLocalBridgeheads(), r.GetSourceGroup()),
		c.sendersOf(r.GetRemoteBridgeheads(), r.GetTargetGroup())...)...)
	c.detection(r.GetDetection())
	c.opening(r)
}

// oneWay warns of connectors without one back: answers would find no way.
func (c *checker) oneWay() {
	type edge struct{ from, to string }
	edges := map[edge]bool{}
	for _, o := range c.byKind[KindRoutingGroupConnector] {
		r := o.GetRoutingGroupConnector()
		edges[edge{r.GetSourceGroup(), r.GetTargetGroup()}] = true
	}
	for _, o := range c.byKind[KindRoutingGroupConnector] {
		r := o.GetRoutingGroupConnector()
		if !edges[edge{r.GetTargetGroup(), r.GetSourceGroup()}] {
			c.at = KeyOf(o)
			c.warnf("targetGroup", "no connector leads from %s back to %s", r.GetTargetGroup(), r.GetSourceGroup())
		}
	}
}

func (c *checker) smtpConnector(s *directoryv1.SMTPConnector) {
	c.group("routingGroup", s.GetRoutingGroup())
	c.bridgeheads("localBridgeheads", s.GetLocalBridgeheads(), s.GetRoutingGroup())
	c.bridgeheadVirtualServers(s)
	senders := c.sendersOf(s.GetLocalBridgeheads(), s.GetRoutingGroup())
	for i, h := range s.GetSmartHosts() {
		at := item("smartHosts", i)
		c.smartHost(at, h)
		for _, server := range senders {
			if c.isOwnHost(h, server) {
				c.failf(at, "is %s, which is the bridgehead Server/%s itself: mail would loop; name the host that shall take the mail", h, server)
			}
		}
	}
	c.smartHostShares(s)
	c.addressSpaces(s.GetAddressSpaces())
	c.connectedGroups(s)
	if len(s.GetAddressSpaces()) == 0 && len(s.GetConnectedGroups()) == 0 {
		c.failf("addressSpaces", `are missing, so that the connector serves nothing; write one, such as "SMTP:*;1"`)
	}
	if s.GetAllowRelay() && !s.GetForceOpenRelay() && slices.ContainsFunc(s.GetAddressSpaces(), isEverywhere) {
		c.failf("allowRelay", `with the address space "*" makes an open relay; narrow the address space, or set forceOpenRelay if this is meant`)
	}
	if cr := s.GetCredentials(); cr != nil {
		c.credentials("credentials", cr, s.GetTls())
	}
	c.opening(s)
	c.triggers(s)
	c.dequeue(s)
	c.restrictions(s.GetRestrictions())
	c.shares(s.GetWeight(), s.GetBridgeheadWeights(), senders...)
	c.detection(s.GetDetection())
}

func isEverywhere(a *directoryv1.AddressSpace) bool {
	return a.GetPattern() == "*" && (a.GetType() == "" || strings.EqualFold(a.GetType(), TypeSMTP))
}

func (c *checker) connectedGroups(s *directoryv1.SMTPConnector) {
	seen := map[string]bool{}
	for i, g := range s.GetConnectedGroups() {
		at := item("connectedGroups", i)
		c.group(at+".group", g.GetGroup())
		c.cost(at+".cost", g.GetCost())
		if g.GetGroup() != "" && g.GetGroup() == s.GetRoutingGroup() {
			c.failf(at+".group", "is the connector's own group; name another group")
		}
		if seen[g.GetGroup()] {
			c.failf(at+".group", "%s is named twice; remove one", g.GetGroup())
		}
		seen[g.GetGroup()] = true
	}
}

func (c *checker) foreignConnector(f *directoryv1.ForeignConnector) {
	c.group("routingGroup", f.GetRoutingGroup())
	c.bridgeheads("localBridgeheads", f.GetLocalBridgeheads(), f.GetRoutingGroup())
	c.bridgeheadVirtualServers(f)
	if len(f.GetAddressSpaces()) == 0 {
		c.failf("addressSpaces", `are missing, so that the connector serves nothing; write one, such as "X400:c=us;a=example;1"`)
	}
	c.addressSpaces(f.GetAddressSpaces())
	switch g := f.GetGateway().(type) {
	case *directoryv1.ForeignConnector_DropDirectory:
		if !path.IsAbs(g.DropDirectory) {
			c.failf("dropDirectory", "is %q, must be an absolute path; write it in full", g.DropDirectory)
		}
	case *directoryv1.ForeignConnector_Lmtp:
		c.lmtp("lmtp.address", g.Lmtp.GetAddress())
	default:
		c.failf("", "has no gateway; write dropDirectory or lmtp")
	}
	c.restrictions(f.GetRestrictions())
	c.shares(f.GetWeight(), f.GetBridgeheadWeights(), c.sendersOf(f.GetLocalBridgeheads(), f.GetRoutingGroup())...)
	c.detection(f.GetDetection())
	c.opening(f)
}

func (c *checker) addressSpaces(spaces []*directoryv1.AddressSpace) {
	seen := map[string]bool{}
	for i, a := range spaces {
		at := item("addressSpaces", i)
		c.cost(at, a.GetCost())
		typ := strings.ToUpper(a.GetType())
		if typ == "" {
			typ = TypeSMTP
		}
		if !validType(typ) {
			c.failf(at, "has the type %q, must be letters and digits; write it like SMTP or X400", a.GetType())
		}
		pattern := strings.ToLower(a.GetPattern())
		if typ == TypeSMTP {
			c.domainPattern(at, pattern)
		} else if pattern == "" {
			c.failf(at, "has no pattern; write * for all addresses of the type")
		}
		if seen[typ+":"+pattern] {
			c.failf(at, "%s:%s is written twice; remove one", typ, pattern)
		}
		seen[typ+":"+pattern] = true
	}
}

func (c *checker) domainPattern(field, pattern string) {
	if pattern == "*" {
		return
	}
	domain := strings.TrimPrefix(pattern, "*.")
	if err := checkDomain(domain); err != nil {
		c.failf(field, `has the pattern %q, must be "*", a domain, or "*." and a domain; correct it`, pattern)
	} else if shared, ours := c.domains[DomainKey(pattern)]; ours && !shared {
		c.warnf(field, "is never used: %s is ours alone by a RecipientPolicy; mark the domain shared if another system has mailboxes of it", pattern)
	}
}

// sendersOf lists the bridgeheads of one side of a connector: those that are
// named, else the whole group.
func (c *checker) sendersOf(bridgeheads []string, group string) []string {
	if len(bridgeheads) > 0 {
		return slices.Clip(bridgeheads)
	}
	var names []string
	for name, s := range c.servers {
		if s.GetRoutingGroup() == group {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// smartHost checks "host", "host:port", "[1.2.3.4]", "[1.2.3.4]:port". An IP
// address must be in brackets, or it would be looked up as a name (the book,
// chapter 5).
func (c *checker) smartHost(field, h string) {
	host, port := splitSmartHost(h)
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && !strings.HasPrefix(host, "[") {
		c.failf(field, "is the bare IP address %s; put it into brackets: [%s]", h, ip)
		return
	}
	if port != "" && !validPort(port) {
		c.failf(field, "has the port %q, must be 1 to 65535; correct it", port)
	}
	if strings.HasPrefix(host, "[") {
		inner := strings.TrimSuffix(host[1:], "]")
		_, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:"))
		if err != nil && checkDomain(inner) != nil || !strings.HasSuffix(host, "]") {
			c.failf(field, "is %q, must be a host name, or an IP address or a host name in brackets; write it like [192.0.2.1] or mail.example.com", h)
		}
	} else if err := checkDomain(strings.TrimSuffix(host, ".")); err != nil {
		c.failf(field, "is %q: %v; write a host name or an IP address in brackets", h, err)
	}
}

// smartHostShares checks how connections are spread over smart hosts.
func (c *checker) smartHostShares(s *directoryv1.SMTPConnector) {
	even := s.GetSmartHostOrder() == directoryv1.SmartHostOrder_SMART_HOST_ORDER_EVEN
	seen := map[string]bool{}
	for i, w := range s.GetSmartHostWeights() {
		at := item("smartHostWeights", i)
		c.weight(at+".weight", w.GetWeight())
		switch host := strings.ToLower(w.GetHost()); {
		case !even:
			c.failf(at, "counts only with smartHostOrder even; write that, or leave it out")
		case !slices.ContainsFunc(s.GetSmartHosts(), func(h string) bool { return strings.EqualFold(h, host) }):
			c.failf(at+".host", "%s is none of the smartHosts; write it as it stands there", w.GetHost())
		case seen[host]:
			c.failf(at+".host", "%s is named twice; remove one", w.GetHost())
		default:
			seen[host] = true
		}
	}
}

// splitSmartHost keeps the brackets with the host. A bare IPv6 address comes
// back whole.
func splitSmartHost(h string) (host, port string) {
	i := strings.LastIndexByte(h, ':')
	if i < 0 || strings.HasSuffix(h, "]") {
		return h, ""
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return h, ""
	}
	return h[:i], h[i+1:]
}

// isOwnHost says whether a smart host is one of the addresses under which the
// server itself takes mail.
func (c *checker) isOwnHost(h, server string) bool {
	s := c.servers[server]
	if s == nil {
		return false
	}
	host, port := splitSmartHost(h)
	if port == "" {
		port = "25"
	}
	host = strings.ToLower(strings.TrimPrefix(strings.Trim(host, "[]"), "IPv6:"))
	target := net.JoinHostPort(host, port)
	if target == strings.ToLower(SMTPAddress(s)) || (DomainKey(host) == DomainKey(s.GetFqdn()) && port == "25") {
		return true
	}
	for _, o := range c.byKind[KindVirtualServer] {
		v := o.GetVirtualServer()
		if v.GetServer() == server && (slices.Contains(v.GetBindings(), target) || (v.GetFqdn() != "" && DomainKey(host) == DomainKey(v.GetFqdn()))) {
			return true
		}
	}
	return false
}
