package route

import (
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// outbound is what the virtual server says of sending.
type outbound struct {
	smartHost string
	options   mail.HopOptions
	perLink   int
	direct    bool // before the smart host
	creds     *directoryv1.OutboundCredentials
	tls       directoryv1.TLSPolicy
}

func outboundOf(conf *directory.Configuration, server string) outbound {
	v, _ := conf.SendsAs(server)
	spec := v.Spec
	o := spec.GetOutbound()
	out := outbound{
		smartHost: spec.GetSmartHost(),
		perLink:   int(o.GetMaxConnectionsPerLink()),
		tls:       o.GetTls(),
		direct:    o.GetDirectFirst(),
		creds:     o.GetCredentials(),
	}
	out.options = mail.HopOptions{TLS: tlsPolicy(o.GetTls()), Port: int(o.GetPort()), MaxConnections: out.perLink}
	return out
}

// smtpOptions are the connector's settings; what it leaves open is the virtual
// server's.
func (v *view) smtpOptions(s *directoryv1.SMTPConnector) mail.HopOptions {
	o := v.out.options
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
