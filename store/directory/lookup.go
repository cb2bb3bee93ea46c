package directory

import (
	"cmp"
	"math"
	"slices"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Revision is the etcd revision that the snapshot shows; 0 for an empty one.
func (c *Configuration) Revision() int64 { return c.revision }

// HasOrganization says whether the organisation exists; without it the
// configuration is empty or has only begun to arrive.
func (c *Configuration) HasOrganization() bool { return c.organization != nil }

// Organization is the one organisation; an empty one while there is none.
func (c *Configuration) Organization() Organization {
	if c.organization == nil {
		return Organization{Spec: &directoryv1.Organization{}}
	}
	return *c.organization
}

// Groups lists the routing groups.
func (c *Configuration) Groups() []Group { return c.groups.list }

// Group finds a routing group by name.
func (c *Configuration) Group(name string) (Group, bool) { return c.groups.named(name) }

// GroupByGUID finds a routing group.
func (c *Configuration) GroupByGUID(g GUID) (Group, bool) { return c.groups.guid(g) }

// Servers lists the servers.
func (c *Configuration) Servers() []Server { return c.servers.list }

// Server finds a server by name.
func (c *Configuration) Server(name string) (Server, bool) { return c.servers.named(name) }

// ServerByGUID finds a server.
func (c *Configuration) ServerByGUID(g GUID) (Server, bool) { return c.servers.guid(g) }

// ServerByDomain finds the server whose FQDN a domain is, in any spelling.
func (c *Configuration) ServerByDomain(domain string) (Server, bool) {
	if domain == "" {
		return Server{}, false
	}
	i, ok := c.serverDomains[DomainKey(domain)]
	if !ok {
		return Server{}, false
	}
	return c.servers.list[i], true
}

// VirtualServers lists the virtual servers of all servers.
func (c *Configuration) VirtualServers() []VirtualServer { return c.virtualServers.list }

// VirtualServer finds a virtual server by name.
func (c *Configuration) VirtualServer(name string) (VirtualServer, bool) {
	return c.virtualServers.named(name)
}

// VirtualServerByGUID finds a virtual server.
func (c *Configuration) VirtualServerByGUID(g GUID) (VirtualServer, bool) {
	return c.virtualServers.guid(g)
}

// VirtualServersOf lists the virtual servers of the server with this name.
func (c *Configuration) VirtualServersOf(server string) []VirtualServer {
	return c.virtualServersOf[server]
}

// Undeliverable is what a server does with mail that it cannot deliver.
type Undeliverable struct {
	NDRCopyTo        string // gets a copy of each non-delivery report; "" nobody
	BadmailDirectory string // "" the default folder
	UnresolvedHost   string // takes mail for unknown recipients of our domains; "" none
}

// SendsAs is the virtual server whose outbound, retry and smart host a server uses where
// no connector names one ([Configuration.SendsOver]): the first by name that may send
// without a connector, else the first. A queue does not know by which listener its
// messages came in.
func (c *Configuration) SendsAs(server string) (VirtualServer, bool) {
	list := c.VirtualServersOf(server)
	if len(list) == 0 {
		return VirtualServer{}, false
	}
	return list[sender(list, func(v VirtualServer) *directoryv1.VirtualServer { return v.Spec })], true
}

// sender is the place of the one that a server sends as among its virtual servers, which
// are sorted by name.
func sender[T any](list []T, spec func(T) *directoryv1.VirtualServer) int {
	return max(0, slices.IndexFunc(list, func(v T) bool { return !spec(v).GetConnectorsOnly() }))
}

// Undeliverable is what the virtual server that took the message says. Of mail that
// none took, or one that is gone, each field is what the first virtual server by name
// that has it says.
func (c *Configuration) Undeliverable(server string, taker GUID) Undeliverable {
	if v, ok := c.VirtualServerByGUID(taker); ok && v.Spec.GetServer() == server {
		return Undeliverable{v.Spec.GetNdrCopyTo(), v.Spec.GetBadmailDirectory(), v.Spec.GetUnresolvedHost()}
	}
	var u Undeliverable
	for _, v := range c.VirtualServersOf(server) {
		u.NDRCopyTo = cmp.Or(u.NDRCopyTo, v.Spec.GetNdrCopyTo())
		u.BadmailDirectory = cmp.Or(u.BadmailDirectory, v.Spec.GetBadmailDirectory())
		u.UnresolvedHost = cmp.Or(u.UnresolvedHost, v.Spec.GetUnresolvedHost())
	}
	return u
}

// RoutingGroupConnectors lists the connectors between groups.
func (c *Configuration) RoutingGroupConnectors() []RoutingGroupConnector { return c.rgcs.list }

// RoutingGroupConnector finds a connector between groups by name.
func (c *Configuration) RoutingGroupConnector(name string) (RoutingGroupConnector, bool) {
	return c.rgcs.named(name)
}

// RoutingGroupConnectorByGUID finds a connector between groups.
func (c *Configuration) RoutingGroupConnectorByGUID(g GUID) (RoutingGroupConnector, bool) {
	return c.rgcs.guid(g)
}

// SMTPConnectors lists the SMTP connectors.
func (c *Configuration) SMTPConnectors() []SMTPConnector { return c.smtpConnectors.list }

// SMTPConnector finds an SMTP connector by name.
func (c *Configuration) SMTPConnector(name string) (SMTPConnector, bool) {
	return c.smtpConnectors.named(name)
}

// SMTPConnectorByGUID finds an SMTP connector.
func (c *Configuration) SMTPConnectorByGUID(g GUID) (SMTPConnector, bool) {
	return c.smtpConnectors.guid(g)
}

// ForeignConnectors lists the foreign connectors.
func (c *Configuration) ForeignConnectors() []ForeignConnector { return c.foreign.list }

// ForeignConnector finds a foreign connector by name.
func (c *Configuration) ForeignConnector(name string) (ForeignConnector, bool) {
	return c.foreign.named(name)
}

// ForeignConnectorByGUID finds a foreign connector.
func (c *Configuration) ForeignConnectorByGUID(g GUID) (ForeignConnector, bool) {
	return c.foreign.guid(g)
}

// ConnectorName names the connector of whatever kind with this GUID.
func (c *Configuration) ConnectorName(g GUID) (string, bool) {
	if e, ok := c.rgcs.guid(g); ok {
		return e.Name, true
	}
	if e, ok := c.smtpConnectors.guid(g); ok {
		return e.Name, true
	}
	e, ok := c.foreign.guid(g)
	return e.Name, ok
}

// Policies lists the recipient policies.
func (c *Configuration) Policies() []Policy { return c.policies.list }

// MessageFilters lists the message filters.
func (c *Configuration) MessageFilters() []MessageFilter { return c.filters.list }

// FormatFor is the message format for mail to a domain: the domain's own, else that of
// the longest "*.suffix", else "*". The Spec is empty where there is none.
func (c *Configuration) FormatFor(domain string) MessageFormat {
	key, best, length := DomainKey(domain), MessageFormat{Spec: &directoryv1.MessageFormat{}}, -1
	for _, f := range c.formats.list {
		pattern := f.Spec.GetDomain()
		n := len(pattern) // "example.com" beats "*.com", which beats "*"
		suffix, below := strings.CutPrefix(pattern, "*")
		switch {
		case pattern == "*":
		case below && strings.HasSuffix(key, "."+DomainKey(strings.TrimPrefix(suffix, "."))):
		case !below && key == DomainKey(pattern):
			n = math.MaxInt
		default:
			continue
		}
		if n > length {
			best, length = f, n
		}
	}
	return best
}

// MessageFormats lists the message formats.
func (c *Configuration) MessageFormats() []MessageFormat { return c.formats.list }

// Schedules lists the schedules.
func (c *Configuration) Schedules() []Schedule { return c.schedules.list }

// MailRules lists the rules.
func (c *Configuration) MailRules() []MailRule { return c.mailRules.list }

// Schedule finds a schedule by name.
func (c *Configuration) Schedule(name string) (Schedule, bool) { return c.schedules.named(name) }

// Accounts lists the accounts.
func (c *Configuration) Accounts() []Account { return c.accounts.list }

// Account finds an account by name; people do not care for case when they log in.
func (c *Configuration) Account(name string) (Account, bool) {
	if a, ok := c.accounts.named(name); ok {
		return a, true
	}
	i, ok := c.accountsFolded[strings.ToLower(name)]
	if !ok {
		return Account{}, false
	}
	return c.accounts.list[i], true
}

// Domain says whether a domain is ours, by any recipient policy, and whether
// another system has mailboxes of it too.
func (c *Configuration) Domain(domain string) (ours, shared bool) {
	shared, ours = c.domains[DomainKey(domain)]
	return ours, shared
}

// FirstDomain is the first of our domains that is ours alone; "" if there is none.
func (c *Configuration) FirstDomain() string {
	for _, d := range c.domainNames {
		if !c.domains[d] {
			return d
		}
	}
	return ""
}

// Domains lists our domains, as [DomainKey] writes them.
func (c *Configuration) Domains() []string { return c.domainNames }
