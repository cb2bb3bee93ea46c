package directory

import (
	"net/netip"
	"path"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func (c *checker) outbound(v *directoryv1.VirtualServer) {
	o := v.GetOutbound()
	c.notNegative("outbound.maxConnections", int64(o.GetMaxConnections()))
	c.notNegative("outbound.maxConnectionsPerLink", int64(o.GetMaxConnectionsPerLink()))
	c.notNegative("outbound.maxConnectionsPerDomain", int64(o.GetMaxConnectionsPerDomain()))
	c.notNegative("outbound.maxMessagesPerConnection", int64(o.GetMaxMessagesPerConnection()))
	if p := o.GetPort(); p < 0 || p > 65535 {
		c.failf("outbound.port", "is %d, must be 1 to 65535; leave it out for 25", p)
	}
	for i, s := range o.GetDnsServers() {
		c.hostPort(item("outbound.dnsServers", i), s)
	}
	c.period("outbound.idleTimeout", o.GetIdleTimeout())
	t := o.GetTimeouts()
	c.period("outbound.timeouts.connect", t.GetConnect())
	c.period("outbound.timeouts.greeting", t.GetGreeting())
	c.period("outbound.timeouts.mail", t.GetMail())
	c.period("outbound.timeouts.recipient", t.GetRecipient())
	c.period("outbound.timeouts.data", t.GetData())
	c.period("outbound.timeouts.block", t.GetBlock())
	c.period("outbound.timeouts.end", t.GetEnd())
	c.sources(o.GetSourceAddresses())
	c.domainName("outbound.masqueradeDomain", o.GetMasqueradeDomain())
	c.domainName("outbound.heloName", o.GetHeloName())
	if o.GetDirectFirst() && v.GetSmartHost() == "" {
		c.failf("outbound.directFirst", "needs a smartHost to come after; name one, or leave this out")
	}
	if cr := o.GetCredentials(); cr != nil {
		c.credentials("outbound.credentials", cr, o.GetTls())
		if v.GetSmartHost() == "" {
			c.failf("outbound.credentials", "are for the smartHost, and there is none; name one, or leave them out")
		}
	}
}

func (c *checker) domainName(field, name string) {
	if err := checkDomain(name); name != "" && err != nil {
		c.failf(field, "is %q: %v; write a domain name", name, err)
	}
}

func (c *checker) credentials(field string, cr *directoryv1.OutboundCredentials, tls directoryv1.TLSPolicy) {
	if cr.GetUser() == "" || !path.IsAbs(cr.GetPasswordFile()) {
		c.failf(field, "must have user and an absolute passwordFile; write both")
	}
	if tls == directoryv1.TLSPolicy_TLS_POLICY_NONE {
		c.failf(field, "would cross the network in the clear with tls none; remove tls none")
	}
}

func (c *checker) sources(list []string) {
	var have [2]string
	for i, s := range list {
		at := item("outbound.sourceAddresses", i)
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.IsUnspecified() || ip.IsMulticast() {
			c.failf(at, "is %q, must be an IP address of this host; write it like 192.0.2.1", s)
			continue
		}
		family := 0
		if ip.Is6() {
			family = 1
		}
		if have[family] != "" {
			c.failf(at, "is %s, and %s is of the same family; keep one of them", s, have[family])
		}
		have[family] = s
	}
}

// opening checks when a connector may be used.
func (c *checker) opening(g gated) {
	c.scheduleNamed("schedule", g.GetSchedule())
	c.scheduleNamed("oversizeSchedule", g.GetOversizeSchedule())
	c.notNegative("oversizeThreshold", g.GetOversizeThreshold())
	if g.GetOversizeThreshold() > 0 && g.GetOversizeSchedule() == "" {
		c.failf("oversizeThreshold", "counts only with oversizeSchedule; write that, or leave it out")
	}
}

func (c *checker) scheduleNamed(field, name string) {
	if !isScheduleWord(name) && c.schedules[name] == nil {
		c.failf(field, "%s/%s does not exist; create it, correct the name, or write always or never", KindSchedule, name)
	}
}

// triggers checks who may ask for a connector's mail.
func (c *checker) triggers(s *directoryv1.SMTPConnector) {
	if !s.GetRemoteTriggered() && len(s.GetTriggerAccounts())+len(s.GetEtrnNetworks()) > 0 {
		c.failf("remoteTriggered", "is not set, so that nobody need ask for the mail; set it, or leave out triggerAccounts and etrnNetworks")
	}
	for i, a := range s.GetTriggerAccounts() {
		c.references(item("triggerAccounts", i), KindAccount, a, c.accounts[a])
	}
	for i, n := range s.GetEtrnNetworks() {
		if _, err := parseNetwork(n); err != nil {
			c.failf(item("etrnNetworks", i), "is %q, must be an IP address or network; write it like 192.0.2.0/24", n)
		}
	}
}

func (c *checker) schedule(s *directoryv1.Schedule) {
	if isScheduleWord(c.at.Name) {
		c.failf("name", "is a word that connectors understand by themselves; choose another name")
	}
	if _, err := ReadSchedule(c.at.Name, s); err != nil {
		c.failf("", "%s", err)
	}
}
