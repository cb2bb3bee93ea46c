package vserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/smtpd"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// virtual is one running virtual server: its rules, the engine, and the
// listeners that feed it. Its fields but rules belong to the Set's lock.
type virtual struct {
	deps   Deps
	log    *zap.Logger
	rules  atomic.Pointer[rules]
	engine *smtpd.Server

	listeners map[string]net.Listener // by binding
	certFiles certificateFiles
	cert      *tls.Certificate
}

type certificateFiles struct{ cert, key string }

func newVirtual(deps Deps, name string) *virtual {
	v := &virtual{
		deps:      deps,
		log:       deps.Logger.With(zap.String("virtual_server", name)),
		listeners: map[string]net.Listener{},
	}
	v.engine = smtpd.New(smtpd.Config{}, v, v.log)
	return v
}

// configure makes the rules apply: to open connections from their next command
// on, what the engine keeps to new connections. On an error the old rules stay.
func (v *virtual) configure(e directory.VirtualServer, conf *directory.Configuration) error {
	r := newRules(e, conf)
	c := r.engine(e.Spec)
	var err error
	if c.TLS, err = v.tlsConfig(e.Spec.GetTls()); err != nil {
		return err
	}
	v.rules.Store(r)
	v.engine.SetConfig(c)
	return nil
}

// tlsConfig asks clients for a certificate but requires none: nodes show
// theirs, and only AUTH EXTERNAL looks at it.
func (v *virtual) tlsConfig(s *directoryv1.ServerTLS) (*tls.Config, error) {
	files := certificateFiles{s.GetCertificateFile(), s.GetKeyFile()}
	if files == (certificateFiles{}) {
		if v.deps.TLS == nil && (s.GetRequired() || s.GetImplicit()) {
			return nil, errors.New("tls: is required, but this node has no certificate; write tls.certificateFile and tls.keyFile")
		}
		return v.deps.TLS, nil
	}
	if v.cert == nil || v.certFiles != files {
		cert, err := tls.LoadX509KeyPair(files.cert, files.key)
		if err != nil {
			return nil, fmt.Errorf("tls: certificate %s with key %s: %w", files.cert, files.key, err)
		}
		v.cert, v.certFiles = &cert, files
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12, // RFC 8996
		Certificates: []tls.Certificate{*v.cert},
		ClientAuth:   tls.RequestClientCert,
	}, nil
}

// Greet implements smtpd.Greeter: while nothing is known of the organisation
// every answer would be a guess.
func (v *virtual) Greet(*smtpd.Conn) (banner string, err error) {
	if !v.deps.Directory.Config().HasOrganization() {
		return "", notReady()
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
