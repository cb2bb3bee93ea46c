package directory

import (
	"math"
	"net/netip"
	"strings"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func (c *checker) organization(o *directoryv1.Organization) {
	if o.GetPostmaster() != "" {
		c.address("postmaster", o.GetPostmaster())
	}
	c.notNegative("maxRecipients", int64(o.GetMaxRecipients()))
	c.notNegative("reports.perSender", int64(o.GetReports().GetPerSender()))
	c.notNegative("reports.perSource", int64(o.GetReports().GetPerSource()))
	c.notNegative("reports.total", int64(o.GetReports().GetTotal()))
	c.notNegative("maxMessageSize", o.GetMaxMessageSize())
	t := o.GetLinkState()
	c.period("linkState.keepalive", t.GetKeepalive())
	c.period("linkState.suspectAfter", t.GetSuspectAfter())
	c.period("linkState.refuteWithin", t.GetRefuteWithin())
	c.period("linkState.antiEntropy", t.GetAntiEntropy())
	c.period("linkState.divergedAfter", t.GetDivergedAfter())
	if l := LinkState(o); l.SuspectAfter <= l.Keepalive {
		c.failf("linkState.suspectAfter", "must be longer than keepalive (%s), or live servers are suspected; write %s or more",
			formatDuration(l.Keepalive), formatDuration(3*l.Keepalive))
	}
}

func (c *checker) server(s *directoryv1.Server) {
	c.group("routingGroup", s.GetRoutingGroup())
	if s.GetFqdn() == "" {
		c.failf("fqdn", "is missing; write the fully qualified domain name of the host")
	} else {
		c.hostname("fqdn", s.GetFqdn())
		if other := c.fqdns[DomainKey(s.GetFqdn())]; other != "" && other != c.at.Name {
			c.failf("fqdn", "is that of Server/%s too; give each server its own", other)
		}
	}
	for field, a := range map[string]string{
		"smtpAddress": s.GetSmtpAddress(), "gossipAddress": s.GetGossipAddress(), "adminAddress": s.GetAdminAddress(),
	} {
		if a != "" {
			c.hostPort(field, a)
		}
	}
	c.backPressure(s.GetBackPressure())
	c.notNegative("outbound.maxConnections", int64(s.GetOutbound().GetMaxConnections()))
	if l := s.GetLocalDelivery().GetLmtp(); l != nil {
		c.lmtp("localDelivery.lmtp.address", l.GetAddress())
	}
	if m := s.GetLocalDelivery().GetMaildir(); strings.ContainsRune(m.GetRoot(), 0) {
		c.failf("localDelivery.maildir.root", "must be a path; remove the NUL character")
	}
}

func (c *checker) backPressure(b *directoryv1.BackPressure) {
	p := Pressure(b)
	for _, r := range []struct {
		name         string
		medium, high int64
		limit        int64 // greatest value
		grows        bool
	}{
		{"diskSize", p.GetDiskSizeMedium(), p.GetDiskSizeHigh(), math.MaxInt64, false},
		{"inodes", int64(p.GetInodesMedium()), int64(p.GetInodesHigh()), 100, false},
		{"memory", int64(p.GetMemoryMedium()), int64(p.GetMemoryHigh()), 100, true},
		{"messages", p.GetMessagesMedium(), p.GetMessagesHigh(), math.MaxInt64, true},
	} {
		field := "backPressure." + r.name
		switch {
		case r.medium < 0 || r.high < 0 || r.medium > r.limit || r.high > r.limit:
			c.failf(field+"High", "%sMedium and %sHigh must be between 0 and %d", r.name, r.name, r.limit)
		case r.grows && r.medium > r.high:
			c.failf(field+"High", "is %d, below %sMedium (%d); medium comes first, so write %d or more", r.high, r.name, r.medium, r.medium)
		case !r.grows && r.medium < r.high:
			c.failf(field+"High", "is %d, above %sMedium (%d); medium comes first, so write %d or less", r.high, r.name, r.medium, r.medium)
		}
	}
}

// serverAddresses checks that no two services of the organisation are to be
// reached at one address: gossip would talk to a stranger, mail would go back to
// its sender.
func (c *checker) serverAddresses() {
	type owner struct{ server, field string }
	taken := map[string]owner{}
	for _, o := range c.byKind[KindServer] {
		c.at = KeyOf(o)
		s := o.GetServer()
		for _, a := range []struct{ field, address string }{
			{"smtpAddress", SMTPAddress(s)}, {"gossipAddress", GossipAddress(s)}, {"adminAddress", AdminAddress(s)},
		} {
			key := strings.ToLower(a.address)
			if other, ok := taken[key]; ok && s.GetFqdn() != "" {
				c.failf(a.field, "is %s, which is %s of Server/%s; choose another port or address", a.address, other.field, other.server)
			}
			taken[key] = owner{c.at.Name, a.field}
		}
	}
}

func (c *checker) virtualServer(v *directoryv1.VirtualServer) {
	server := c.references("server", KindServer, v.GetServer(), c.servers[v.GetServer()] != nil)
	for i, b := range v.GetBindings() {
		if !validBinding(b) {
			c.failf(item("bindings", i), `is %q, must be ADDRESS:PORT with an IP address or nothing before the colon; write "127.0.0.1:2525" or ":25"`, b)
		}
	}
	if v.GetFqdn() != "" {
		c.hostname("fqdn", v.GetFqdn())
	}
	c.replyText("greeting", v.GetGreeting())
	if (v.GetTls().GetCertificateFile() == "") != (v.GetTls().GetKeyFile() == "") {
		c.failf("tls", "certificateFile and keyFile belong together; write both or none")
	}
	c.relay(v.GetRelay())
	c.inbound(v)
	c.limits(v.GetLimits())
	c.bounds(v.GetLimits())
	c.retry(v.GetRetry())
	c.outbound(v)
	if n := v.GetHopCount(); n != 0 && (n < 10 || n > 256) {
		c.failf("hopCount", "is %d, must be 10 to 256; leave it out for 30", n)
	}
	for _, h := range SmartHosts(v.GetSmartHost()) {
		c.smartHost("smartHost", h)
		if server && c.isOwnHost(h, v.GetServer()) {
			c.failf("smartHost", "is %s, which is this server itself: mail would loop; name the host that shall take the mail", h)
		}
	}
}

func (c *checker) relay(r *directoryv1.RelayPolicy) {
	open := false
	for i, n := range r.GetNetworks() {
		p, err := parseNetwork(n)
		if err != nil {
			c.failf(item("relay.networks", i), "is %q, must be an IP address or network; write it like 192.0.2.0/24", n)
		}
		open = open || (err == nil && p.Bits() == 0)
	}
	c.clientDomains("relay.domains", r.GetDomains())
	if r.GetForce() {
		return
	}
	if r.GetAllExcept() {
		c.failf("relay.allExcept", "makes an open relay; list the networks that may relay, or set relay.force if this is meant")
	} else if open {
		c.failf("relay.networks", "contains every address, which makes an open relay; narrow it, or set relay.force if this is meant")
	}
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func (c *checker) limits(l *directoryv1.InboundLimits) {
	c.notNegative("limits.maxMessageSize", l.GetMaxMessageSize())
	c.notNegative("limits.maxSessionSize", l.GetMaxSessionSize())
	c.notNegative("limits.maxMessagesPerConnection", int64(l.GetMaxMessagesPerConnection()))
	c.notNegative("limits.maxConnections", int64(l.GetMaxConnections()))
	c.notNegative("limits.maxConnectionsPerAddress", int64(l.GetMaxConnectionsPerAddress()))
	c.notNegative("limits.maxErrors", int64(l.GetMaxErrors()))
	// RFC 5321 section 4.5.3.1.8: a server must take 100 recipients.
	if n := l.GetMaxRecipients(); n < 0 {
		c.notNegative("limits.maxRecipients", int64(n))
	} else if n > 0 && n < 100 {
		c.warnf("limits.maxRecipients", "is %d; RFC 5321 asks for at least 100", n)
	}
	c.period("limits.timeout", l.GetTimeout())
	// RFC 5321 section 4.5.3.2.7.
	if d := l.GetTimeout().AsDuration(); d > 0 && d < 5*time.Minute {
		c.warnf("limits.timeout", "is %s; RFC 5321 asks for at least 5m", formatDuration(d))
	}
	if m, s := l.GetMaxMessageSize(), l.GetMaxSessionSize(); m > 0 && s > 0 && s < m {
		c.failf("limits.maxSessionSize", "is smaller than maxMessageSize; make it at least as large")
	}
}

func (c *checker) retry(r *directoryv1.RetryClock) {
	c.period("retry.first", r.GetFirst())
	c.period("retry.second", r.GetSecond())
	c.period("retry.third", r.GetThird())
	c.period("retry.subsequent", r.GetSubsequent())
	c.period("retry.delayNotice", r.GetDelayNotice())
	c.period("retry.expiration", r.GetExpiration())
	c.period("retry.localDelayNotice", r.GetLocalDelayNotice())
	c.period("retry.localExpiration", r.GetLocalExpiration())
	c.period("retry.stalledAfter", r.GetStalledAfter())
	if t := Retry(r); t.StalledAfter < time.Minute {
		c.failf("retry.stalledAfter", "is below a minute: the watchdog looks once a minute; make it longer")
	}
	c.period("retry.highPriority.delayNotice", r.GetHighPriority().GetDelayNotice())
	c.period("retry.highPriority.expiration", r.GetHighPriority().GetExpiration())
	c.period("retry.lowPriority.delayNotice", r.GetLowPriority().GetDelayNotice())
	c.period("retry.lowPriority.expiration", r.GetLowPriority().GetExpiration())
	t := Retry(r)
	for _, f := range []struct {
		field string
		given bool
		life  time.Duration
	}{
		{"retry.expiration", true, t.Expiration},
		{"retry.localExpiration", r.GetLocalExpiration() != nil, t.LocalExpiration},
		{"retry.highPriority.expiration", r.GetHighPriority().GetExpiration() != nil, t.HighExpiration},
		{"retry.lowPriority.expiration", r.GetLowPriority().GetExpiration() != nil, t.LowExpiration},
	} {
		if f.given && f.life < t.First {
			c.failf(f.field, "is shorter than the first retry (%s): no message would be tried twice; make it longer", formatDuration(t.First))
		}
	}
}

// bindings checks that virtual servers of one server do not ask for one port: a
// listener on all addresses excludes listeners on single ones.
func (c *checker) bindings() {
	type bound struct{ vs, host, port string }
	taken := map[string][]bound{} // by server
	for _, o := range c.byKind[KindVirtualServer] {
		c.at = KeyOf(o)
		server := o.GetVirtualServer().GetServer()
		for _, b := range Bindings(o.GetVirtualServer()) {
			host, port := splitBinding(b)
			for _, t := range taken[server] {
				if t.port == port && (t.host == host || t.host == "" || host == "") {
					c.failf("bindings", "%s is taken by VirtualServer/%s on the same server; choose another port or address", b, t.vs)
				}
			}
			taken[server] = append(taken[server], bound{c.at.Name, host, port})
		}
	}
}
