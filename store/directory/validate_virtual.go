package directory

import (
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// inbound checks what a virtual server allows its clients.
func (c *checker) inbound(v *directoryv1.VirtualServer) {
	c.preset(v)
	c.certificates(v.GetTls())
	c.authentication(v.GetAuthentication())
	c.connectionControl(v.GetConnectionControl())
	c.protocol(v.GetProtocol())
	c.lmtpPort(v)
	c.networks("senderPolicy.ownDomainsFrom", v.GetSenderPolicy().GetOwnDomainsFrom())
	c.recipientFilter(v.GetRecipientFilter())
	c.filterUse(v)
	c.blockLists(v.GetBlockLists())
	c.protocolLog(v.GetProtocolLog())
	if a := v.GetNdrCopyTo(); a != "" {
		c.address("ndrCopyTo", a)
	}
	c.folder("badmailDirectory", v.GetBadmailDirectory())
	if h := v.GetUnresolvedHost(); h != "" {
		c.smartHost("unresolvedHost", h)
		if c.isOwnHost(h, v.GetServer()) {
			c.failf("unresolvedHost", "is %s, which is this server itself: mail would loop; name the host that knows the other recipients", h)
		}
	}
	if d := v.GetDisplayNames(); d.GetAnonymous() && !d.GetFrom() && !d.GetReplyTo() {
		c.failf("displayNames.anonymous", "changes nothing without from or replyTo; set one of them")
	}
}

// preset refuses fields that contradict a preset, which wins anyhow: who wrote
// them expects something else.
func (c *checker) preset(v *directoryv1.VirtualServer) {
	r, a := v.GetRelay(), v.GetAuthentication()
	name := enumText(v.GetPreset().Descriptor(), v.GetPreset().Descriptor().Values().ByNumber(v.GetPreset().Number()))
	switch v.GetPreset() {
	case directoryv1.Preset_PRESET_SUBMISSION, directoryv1.Preset_PRESET_SUBMISSIONS:
		if len(r.GetNetworks()) > 0 || len(r.GetDomains()) > 0 || r.GetAllExcept() {
			c.failf("relay", "preset %s lets authenticated users relay and nobody else; take relay out, or use another virtual server with preset relay", name)
		}
		if a.GetNoBasic() || a.GetBasicInClear() {
			c.failf("authentication", "preset %s offers passwords, under TLS only; take noBasic and basicInClear out", name)
		}
	case directoryv1.Preset_PRESET_RELAY:
		if len(r.GetNetworks()) == 0 && len(r.GetDomains()) == 0 {
			c.failf("relay", "preset relay serves the clients of relay.networks and relay.domains, and there are none; write them")
		}
		if r.GetAllExcept() || r.GetForce() {
			c.failf("relay", "preset relay knows no open relay; take allExcept and force out")
		}
		if a.GetRequired() || a.GetDovecotSocket() != "" || a.GetBasicInClear() {
			c.failf("authentication", "preset relay is for machines that cannot authenticate; take required, dovecotSocket and basicInClear out, or use preset submission")
		}
	}
}

func (c *checker) certificates(t *directoryv1.ServerTLS) {
	for field, p := range map[string]string{"certificateFile": t.GetCertificateFile(), "keyFile": t.GetKeyFile()} {
		c.relativeFile("tls."+field, p)
	}
	for i, f := range t.GetCertificates() {
		if f.GetCertificateFile() == "" || f.GetKeyFile() == "" {
			c.failf(item("tls.certificates", i), "must have certificateFile and keyFile; write both")
		}
		c.relativeFile(item("tls.certificates", i)+".certificateFile", f.GetCertificateFile())
		c.relativeFile(item("tls.certificates", i)+".keyFile", f.GetKeyFile())
	}
}

// relativeFile warns of a path that means another file for each way to start the node.
func (c *checker) relativeFile(field, p string) {
	if p != "" && !path.IsAbs(p) {
		c.warnf(field, "is %q, which is looked for where the node was started; write an absolute path", p)
	}
}

func (c *checker) authentication(a *directoryv1.ServerAuthentication) {
	if s := a.GetDovecotSocket(); s != "" {
		if !path.IsAbs(s) {
			c.failf("authentication.dovecotSocket", "is %q, must be an absolute path; write it like /run/dovecot/auth-client", s)
		}
		if a.GetNoBasic() {
			c.failf("authentication.dovecotSocket", "is asked for PLAIN and LOGIN, which noBasic takes away; remove one of the two")
		}
	}
	switch {
	case a.GetNoBasic() && a.GetBasicInClear():
		c.failf("authentication.basicInClear", "contradicts noBasic; remove one of the two")
	case a.GetBasicInClear():
		c.warnf("authentication.basicInClear", "lets passwords cross the network unencrypted (RFC 4954 section 4)")
	}
	if a.GetRequired() && a.GetNoBasic() && a.GetNoIntegrated() {
		c.failf("authentication", "is required and nothing is offered: nobody could send; remove required, noBasic or noIntegrated")
	}
}

func (c *checker) connectionControl(cc *directoryv1.ConnectionControl) {
	c.networks("connectionControl.networks", cc.GetNetworks())
	c.clientDomains("connectionControl.domains", cc.GetDomains())
	if cc.GetOnly() && len(cc.GetNetworks()) == 0 && len(cc.GetDomains()) == 0 {
		c.failf("connectionControl.only", "lets nobody connect, because the list is empty; write networks or domains, or set state to stopped")
	}
}

func (c *checker) networks(field string, list []string) {
	for i, n := range list {
		if _, err := parseNetwork(n); err != nil {
			c.failf(item(field, i), "is %q, must be an IP address or network; write it like 192.0.2.0/24", n)
		}
	}
}

func (c *checker) clientDomains(field string, list []string) {
	for i, d := range list {
		c.hostname(item(field, i), d)
	}
}

// addressesOrDomains checks a list of addresses and "@domain".
func (c *checker) addressesOrDomains(field string, list []string) {
	for i, s := range list {
		if domain, ok := strings.CutPrefix(s, "@"); ok {
			c.hostname(item(field, i), domain)
		} else {
			c.address(item(field, i), s)
		}
	}
}

// Keywords are the EHLO keywords that a virtual server may leave out.
func Keywords() []string {
	return []string{"PIPELINING", "DSN", "8BITMIME", "CHUNKING", "SMTPUTF8", "STARTTLS", "AUTH", "BINARYMIME",
		"REQUIRETLS", "LIMITS", "DELIVERBY", "MT-PRIORITY"}
}

func (c *checker) protocol(p *directoryv1.ProtocolPolicy) {
	for i, k := range p.GetWithout() {
		if !slices.Contains(Keywords(), strings.ToUpper(k)) {
			c.failf(item("protocol.without", i), "is %q, must be one of %s; correct it", k, strings.Join(Keywords(), ", "))
		}
	}
	c.networks("protocol.proxyNetworks", p.GetProxyNetworks())
	c.networks("protocol.xclientNetworks", p.GetXclientNetworks())
	c.period("protocol.maxHold", p.GetMaxHold())
	c.period("protocol.minDeliverBy", p.GetMinDeliverBy())
	if p.GetHoldForAnyone() && p.GetMaxHold() == nil {
		c.failf("protocol.holdForAnyone", "offers nothing without maxHold; write maxHold too")
	}
}

// lmtpPort obeys RFC 2033 section 5: SMTP clients of strangers come to port 25.
func (c *checker) lmtpPort(v *directoryv1.VirtualServer) {
	if !v.GetProtocol().GetLmtp() {
		return
	}
	for _, b := range Bindings(v) {
		if strings.HasSuffix(b, ":25") {
			c.failf("protocol.lmtp", "must not speak on port 25 (%s), which is SMTP's; write bindings with another port, like 127.0.0.1:24", b)
		}
	}
}

// bounds checks the limits of the protocol engine.
func (c *checker) bounds(l *directoryv1.InboundLimits) {
	for field, n := range map[string]int32{
		"maxHeaderLines": l.GetMaxHeaderLines(), "maxRecipientDomains": l.GetMaxRecipientDomains(),
		"maxHandshakes": l.GetMaxHandshakes(), "maxIdleCommands": l.GetMaxIdleCommands(), "maxAuthFailures": l.GetMaxAuthFailures(), "maxRefusedRecipients": l.GetMaxRefusedRecipients(),
		"maxAuthFailuresPerAddress": l.GetMaxAuthFailuresPerAddress(),
	} {
		c.notNegative("limits."+field, int64(n))
	}
	c.notNegative("limits.maxHeaderSize", l.GetMaxHeaderSize())
	c.period("limits.authFailureWindow", l.GetAuthFailureWindow())
	c.period("limits.authFailureDelay", l.GetAuthFailureDelay())
	c.period("limits.messageTimeout", l.GetMessageTimeout())
	c.period("limits.handshakeTimeout", l.GetHandshakeTimeout())
	if d := l.GetAuthFailureDelay().AsDuration(); d > maxTarpit {
		c.failf("limits.authFailureDelay", "is %s, must be at most %s: clients give up; shorten it", formatDuration(d), formatDuration(maxTarpit))
	}
}

// maxTarpit is well below the five minutes that a client waits for the reply to
// RCPT (RFC 5321 section 4.5.3.2.3).
const maxTarpit = time.Minute

func (c *checker) recipientFilter(f *directoryv1.RecipientFilter) {
	c.addressesOrDomains("recipientFilter.refused", f.GetRefused())
	if d := f.GetTarpit(); d != nil && (d.CheckValid() != nil || d.AsDuration() < 0 || d.AsDuration() > maxTarpit) {
		c.failf("recipientFilter.tarpit", "must be 0s to %s: clients give up; shorten it", formatDuration(maxTarpit))
	}
}

func (c *checker) filterUse(v *directoryv1.VirtualServer) {
	f := v.GetFiltering()
	if f.GetDisabled() && len(f.GetFilters())+len(f.GetUnfilteredBindings()) > 0 {
		c.failf("filtering.disabled", "leaves nothing to filters and unfilteredBindings; remove disabled or these")
	}
	for i, name := range f.GetFilters() {
		exists := slices.ContainsFunc(c.byKind[KindMessageFilter], func(o *Object) bool { return o.GetMetadata().GetName() == name })
		c.references(item("filtering.filters", i), KindMessageFilter, name, exists)
	}
	for i, b := range f.GetUnfilteredBindings() {
		if !slices.Contains(Bindings(v), b) {
			c.failf(item("filtering.unfilteredBindings", i), "%s is none of the bindings; write one of %s as it stands there", b, strings.Join(Bindings(v), ", "))
		}
	}
}

func (c *checker) blockLists(b *directoryv1.BlockLists) {
	seen := map[string]bool{}
	for i, l := range b.GetLists() {
		at := item("blockLists.lists", i)
		if l.GetZone() == "" {
			c.failf(at+".zone", "is missing; write the list's domain")
		} else {
			c.hostname(at+".zone", l.GetZone())
		}
		if key := DomainKey(l.GetZone()); seen[key] {
			c.failf(at+".zone", "%s is asked twice; remove one, its codes can be a list", l.GetZone())
		} else {
			seen[key] = true
		}
		for j, code := range l.GetCodes() {
			// RFC 5782 section 2.3.
			if p, err := parseNetwork(code); err != nil || !netip.MustParsePrefix("127.0.0.0/8").Contains(p.Addr()) || p.Bits() < 8 {
				c.failf(item(at+".codes", j), "is %q, must be an address or network in 127.0.0.0/8; write it like 127.0.0.2", code)
			}
		}
		c.replyText(at+".reply", l.GetReply())
	}
	c.networks("blockLists.exemptNetworks", b.GetExemptNetworks())
	c.addressesOrDomains("blockLists.exemptRecipients", b.GetExemptRecipients())
	c.period("blockLists.timeout", b.GetTimeout())
	if d := b.GetTimeout().AsDuration(); d > maxTarpit {
		c.failf("blockLists.timeout", "is %s, must be at most %s: clients give up; shorten it", formatDuration(d), formatDuration(maxTarpit))
	}
}

// replyText is part of a reply line (RFC 5321 sections 4.2 and 4.5.3.1.5).
func (c *checker) replyText(field, s string) {
	if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.failf(field, "must be at most 200 printable ASCII characters; shorten it")
	}
}

// LogFields are the fields that a protocol log can have, by the names of the
// W3C working draft on extended logs.
func LogFields() []string {
	return []string{
		"date", "time", "c-ip", "c-port", "cs-username", "s-sitename", "s-computername", "s-ip", "s-port",
		"cs-method", "cs-uri-stem", "cs-uri-query", "sc-status", "sc-bytes", "cs-bytes", "time-taken", "cs-version", "x-account",
	}
}

func (c *checker) protocolLog(l *directoryv1.ProtocolLog) {
	for i, f := range l.GetFields() {
		if !slices.Contains(LogFields(), f) {
			c.failf(item("protocolLog.fields", i), "is %q, must be one of %s; correct it", f, strings.Join(LogFields(), ", "))
		} else if slices.Index(l.GetFields(), f) != i {
			c.failf(item("protocolLog.fields", i), "%s is written twice; remove one", f)
		}
	}
	c.notNegative("protocolLog.maxSize", l.GetMaxSize())
	c.notNegative("protocolLog.keep", int64(l.GetKeep()))
	c.folder("protocolLog.directory", l.GetDirectory())
}

// folder checks a path that a node shall write to; relative ones would depend on
// where it was started.
func (c *checker) folder(field, p string) {
	if p != "" && (!path.IsAbs(p) || strings.ContainsRune(p, 0)) {
		c.failf(field, "is %q, must be an absolute path; write it like /var/spool/postroad", p)
	}
}
