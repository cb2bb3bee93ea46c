package route

import (
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// sender is what a virtual server says of sending.
type sender struct {
	guid      mail.GUID
	name      string
	named     bool // by the connector
	smartHost string
	options   mail.HopOptions
	perLink   int
	direct    bool // before the smart host
	creds     *directoryv1.OutboundCredentials
	tls       directoryv1.TLSPolicy
}

// senders are those of a server over all connectors that name one for it, and under
// the zero GUID the one that sends all else.
func senders(conf *directory.Configuration, server string) map[mail.GUID]*sender {
	all := make(map[mail.GUID]*sender)
	v, _ := conf.SendsAs(server)
	all[mail.GUID{}] = newSender(v)
	add := func(connector directory.GUID) {
		if v, named := conf.SendsOver(connector, server); named {
			s := newSender(v)
			s.named = true
			all[mail.GUID(connector)] = s
		}
	}
	for _, c := range conf.RoutingGroupConnectors() {
		add(c.GUID)
	}
	for _, c := range conf.SMTPConnectors() {
		add(c.GUID)
	}
	for _, c := range conf.ForeignConnectors() {
		add(c.GUID)
	}
	return all
}

func newSender(v directory.VirtualServer) *sender {
	spec := v.Spec
	o := spec.GetOutbound()
	out := &sender{
		guid:      mail.GUID(v.GUID),
		name:      v.Name,
		smartHost: spec.GetSmartHost(),
		perLink:   int(o.GetMaxConnectionsPerLink()),
		tls:       o.GetTls(),
		direct:    o.GetDirectFirst(),
		creds:     o.GetCredentials(),
	}
	out.options = mail.HopOptions{TLS: tlsPolicy(o.GetTls()), Port: int(o.GetPort()), MaxConnections: out.perLink}
	return out
}

// sender is the virtual server by which mail leaves over a connector; over none, with
// the zero GUID.
func (v *view) sender(connector mail.GUID) *sender {
	if s, ok := v.senders[connector]; ok {
		return s
	}
	return v.senders[mail.GUID{}]
}

// sends notes on a hop who sends.
func (by *sender) sends(h *mail.Hop) { h.VirtualServer, h.VirtualServerName = by.guid, by.name }

// smtpOptions are the connector's settings; what it leaves open is the virtual
// server's.
func (by *sender) smtpOptions(s *directoryv1.SMTPConnector) mail.HopOptions {
	o := by.options
	if s.GetTls() != directoryv1.TLSPolicy_TLS_POLICY_UNSPECIFIED {
		o.TLS = tlsPolicy(s.GetTls())
	}
	o.UseHELO = s.GetUseHelo()
	o.Account, o.PasswordFile = s.GetCredentials().GetUser(), s.GetCredentials().GetPasswordFile()
	detect(&o, s.GetDetection())
	return o
}

// detect sets the glitch retries. In HopOptions 0 leaves them to the queue's
// default, so none is -1.
func detect(o *mail.HopOptions, d *directoryv1.Detection) {
	t := directory.Detection(d)
	o.Glitch, o.GlitchWait = t.GlitchRetries, t.GlitchInterval
	if o.Glitch == 0 {
		o.Glitch = -1
	}
}

func tlsPolicy(p directoryv1.TLSPolicy) mail.TLSPolicy {
	switch p {
	case directoryv1.TLSPolicy_TLS_POLICY_NONE:
		return mail.TLSNone
	case directoryv1.TLSPolicy_TLS_POLICY_REQUIRED:
		return mail.TLSRequired
	case directoryv1.TLSPolicy_TLS_POLICY_VERIFIED:
		return mail.TLSVerified
	}
	return mail.TLSOpportunistic
}
