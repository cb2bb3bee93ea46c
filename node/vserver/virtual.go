package vserver

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/smtpd"
	"github.com/postroad/postroad/node/w3clog"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// virtual is one running virtual server: its rules, the engine, and the
// listeners that feed it. Its fields but the atomic ones belong to the Set's lock.
type virtual struct {
	deps    Deps
	metrics *metrics
	name    string
	log     *zap.Logger
	rules   atomic.Pointer[rules]
	engine  *smtpd.Server

	listeners map[string]net.Listener        // by binding
	applied   []string                       // bindings of the settings that hold
	bound     atomic.Pointer[[]boundAddress] // the same, for sessions
	certs     *certificates                  // own ones; nil: the node's
	certFault error                          // why they could not be read again
	logFault  error                          // why there is no protocol log
	logSaid   string                         // what the status says of one that cannot be written

	protocol atomic.Pointer[w3clog.Log]
	logged   w3clog.Config // of protocol
}

// close ends what outlives connections.
func (v *virtual) close() { v.shutLog(v.protocol.Swap(nil)) }

// boundAddress is where a binding listens.
type boundAddress struct {
	binding string
	at      netip.AddrPort
}

func newVirtual(deps Deps, m *metrics, name string) *virtual {
	v := &virtual{
		deps:      deps,
		metrics:   m,
		name:      name,
		log:       deps.Logger.With(zap.String("virtual_server", name)),
		listeners: map[string]net.Listener{},
	}
	v.engine = smtpd.New(smtpd.Config{}, v, v.log)
	return v
}

// prepare reads the settings. Nothing changes before apply is called; on an error there
// is nothing to apply.
func (v *virtual) prepare(e directory.VirtualServer, conf *directory.Configuration) (apply func(), err error) {
	r := newRules(e, conf)
	c := r.engine(e.Spec)
	certs, err := v.certificatesOf(e.Spec.GetTls())
	if err != nil {
		return nil, err
	}
	c.TLS = v.tlsConfig(certs)
	return func() {
		if certs != v.certs {
			v.certs, v.certFault = certs, nil
		}
		v.applied = directory.Bindings(e.Spec)
		// Rules hold for open connections from their next command on, what the engine
		// keeps for new connections.
		v.rules.Store(r)
		v.engine.SetConfig(c)
		v.follow(e.Spec.GetProtocolLog())
	}, nil
}

// certificatesOf are the virtual server's own, those in use if they are the same; nil:
// it has none.
func (v *virtual) certificatesOf(s *directoryv1.ServerTLS) (*certificates, error) {
	files := filesOf(s)
	switch {
	case len(files) == 0 && v.deps.TLS == nil && (s.GetRequired() || s.GetImplicit()):
		return nil, errors.New("tls: is required, but this node has no certificate; write tls.certificateFile and tls.keyFile")
	case len(files) == 0:
		return nil, nil
	case v.certs != nil && slices.Equal(v.certs.files, files):
		return v.certs, nil
	}
	return loadCertificates(files)
}

// tlsConfig asks clients for a certificate but requires none: nodes show
// theirs, and only AUTH EXTERNAL looks at it.
func (v *virtual) tlsConfig(own *certificates) *tls.Config {
	if own == nil {
		return v.deps.TLS
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12, // RFC 8996
		GetCertificate: v.certificateFor(own),
		ClientAuth:     tls.RequestClientCert,
	}
}

// certificateFor shows nodes, which trust no other, the cluster's certificate,
// and everybody else one of the virtual server's own.
func (v *virtual) certificateFor(own *certificates) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	cluster := v.deps.TLS
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if cluster == nil || !v.deps.ForNode(hello) {
			return own.choose(hello), nil
		}
		if cluster.GetCertificate != nil {
			return cluster.GetCertificate(hello)
		}
		return &cluster.Certificates[0], nil
	}
}

// speaksFirst says whether a client that has sent nothing yet understands a reply.
func (v *virtual) speaksFirst() bool { return !v.rules.Load().implicitTLS }

// clientOf is what is known of a client before it has said anything.
func (v *virtual) clientOf(c *smtpd.Conn) client {
	ip := c.ClientIP()
	h := &host{ctx: c.Context(), dns: v.deps.Resolver, ip: ip}
	// Who may forward connections has looked, and would have found the same.
	if f := c.Forwarded(); f.Name != "" || f.NameUnavailable {
		h.asked, h.found = true, mail.DomainKey(f.Name)
	}
	return client{ip: ip, host: h}
}

// Greet implements smtpd.Greeter: while nothing is known of the organisation
// every answer would be a guess.
func (v *virtual) Greet(c *smtpd.Conn) (banner string, err error) {
	r := v.rules.Load()
	switch {
	case !v.deps.Directory.Config().HasOrganization():
		err = notReady()
	case r.paused:
		err = paused()
	case r.noIntegrated && v.deps.drained() && !c.Turned(): // where nodes may come in, only MAIL tells who is none
		err = drained()
	case !c.Turned(): // whom this side called may speak
		err = r.admission.admit(v.clientOf(c))
	}
	if err != nil {
		return "", v.refuse(v.log, "smtp_connection_refused", err, zap.Stringer("client", c.RemoteAddr()))
	}
	return "", nil
}

// NewSession implements smtpd.Backend.
func (v *virtual) NewSession(c *smtpd.Conn) (smtpd.Session, error) {
	s := newSession(v, c)
	if s.rules().verify {
		return verifyingSession{s}, nil
	}
	return s, nil
}

// bindingAt is the binding that a connection came in by; "" if it was closed
// meanwhile.
func (v *virtual) bindingAt(local net.Addr) string {
	list := v.bound.Load()
	at, err := netip.ParseAddrPort(local.String())
	if err != nil || list == nil {
		return ""
	}
	found := ""
	for _, b := range *list {
		if b.at.Port() != at.Port() {
			continue
		}
		if b.at.Addr().Unmap() == at.Addr().Unmap() {
			return b.binding
		}
		if b.at.Addr().IsUnspecified() {
			found = b.binding
		}
	}
	return found
}

// rebound tells sessions of a change of the listeners.
func (v *virtual) rebound() {
	var list []boundAddress
	for b, l := range v.listeners {
		if at, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			list = append(list, boundAddress{b, at})
		}
	}
	v.bound.Store(&list)
}
