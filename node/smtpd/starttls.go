package smtpd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
)

func (c *Conn) offersTLS() bool {
	return c.cfg.TLS != nil && c.tls == nil && c.cfg.offers(ExtSTARTTLS)
}

// startTLS is STARTTLS (RFC 3207 section 4).
func (c *Conn) startTLS(arg string) reply {
	switch {
	case arg != "":
		return syntax("STARTTLS takes no argument")
	case c.session == nil:
		return outOfOrder("Send EHLO first")
	case c.tls != nil:
		return outOfOrder("TLS is already active")
	case !c.offersTLS():
		return notImplemented("STARTTLS")
	case c.tx.open:
		return outOfOrder("STARTTLS is not allowed during a mail transaction")
	case !c.in.empty():
		// It must be the last command of a group (RFC 3207 section 4, RFC 2920
		// section 3.1). What follows in clear may come from a third party, so
		// there is no going on, neither in clear nor under TLS.
		return hangup(501, enhOrder, "STARTTLS must be the last command sent")
	}
	if c.server.handshakes.Load() >= int64(c.cfg.MaxHandshakes) {
		return reply{code: 454, enh: smtp.EnhancedCode{4, 7, 0}, text: "TLS not available due to temporary reason"}
	}
	c.send(ok(220, smtp.EnhancedCode{2, 0, 0}, "Ready to start TLS"))
	c.flush()
	if !c.handshake() {
		return reply{}
	}
	// Nothing learnt in clear survives (RFC 3207 section 4.2).
	c.logout()
	c.helo, c.esmtp, c.mechanism, c.tx = "", false, "", transaction{}
	c.unforward()
	return reply{}
}

var errHandshakes = errors.New("too many handshakes are under way")

// handshake puts TLS under the connection, or ends it.
func (c *Conn) handshake() bool {
	state, err := c.shakeHands()
	if err != nil {
		// There is no channel left on which a reply could be understood.
		c.log.Info("smtp_tls_failed", zap.Stringer("client", c.RemoteAddr()), zap.Error(err))
		c.broken, c.closed = true, true
		return false
	}
	c.tls, c.conn = state, state
	c.in.src = state
	return true
}

func (c *Conn) shakeHands() (*tls.Conn, error) {
	defer c.server.handshakes.Add(-1)
	// Half-open handshakes cost the most memory and time that a stranger can have here.
	if c.server.handshakes.Add(1) > int64(c.cfg.MaxHandshakes) {
		return nil, errHandshakes
	}
	under := &underTLS{Conn: c.raw, ahead: slices.Clone(c.in.window())}
	c.in.advance(len(under.ahead))
	t := tls.Server(under, c.cfg.TLS)
	deadline := time.Now().Add(c.cfg.Timeouts.Handshake)
	c.raw.SetWriteDeadline(deadline)
	if !c.wait(deadline) {
		return nil, errClosing
	}
	// In a goroutine of its own: it needs a deep stack once, which the connection
	// would keep for the hours it may be idle.
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil { // of a callback; guard cannot see it here
				done <- fmt.Errorf("panic in the handshake: %v", p)
			}
		}()
		done <- t.Handshake()
	}()
	err := <-done
	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if c.leafOf = under.shown; c.leafOf == nil {
		c.leafOf = c.cfg.only // a resumed session shows none
	}
	return t, nil
}

// underTLS is what TLS runs over. It has the octets that were read with the PROXY
// header in front, and notes which certificate was shown.
type underTLS struct {
	net.Conn
	ahead []byte
	shown *tls.Certificate
}

func (u *underTLS) Read(p []byte) (int, error) {
	if len(u.ahead) > 0 {
		n := copy(p, u.ahead)
		u.ahead = u.ahead[n:]
		return n, nil
	}
	return u.Conn.Read(p)
}

// rememberCertificate makes a configuration tell [underTLS] its choice, which
// crypto/tls keeps to itself and tls-server-end-point needs. GetConfigForClient
// leads around it; then there is only tls-exporter.
func rememberCertificate(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	own := config.Clone()
	own.Certificates = nil // crypto/tls would prefer them where a client names no server
	own.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := chooseCertificate(config, hello)
		if u, mine := hello.Conn.(*underTLS); mine && err == nil {
			u.shown = cert
		}
		return cert, err
	}
	return own
}

// chooseCertificate is what crypto/tls does where GetCertificate does not decide.
func chooseCertificate(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if config.GetCertificate != nil && (len(config.Certificates) == 0 || hello.ServerName != "") {
		if cert, err := config.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	for i := range config.Certificates {
		if cert := &config.Certificates[i]; hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	if len(config.Certificates) > 0 {
		return &config.Certificates[0], nil
	}
	return nil, nil // crypto/tls says that there is none
}

// leaf is the server's certificate of this connection, nil if that is not known.
func (c *Conn) leaf() *x509.Certificate {
	if c.leafOf == nil || len(c.leafOf.Certificate) == 0 {
		return nil
	}
	if c.leafOf.Leaf != nil {
		return c.leafOf.Leaf
	}
	leaf, err := x509.ParseCertificate(c.leafOf.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// logout ends the session, if there is one.
func (c *Conn) logout() {
	s := c.session
	c.session = nil
	if s != nil {
		if err := s.Logout(); err != nil {
			c.log.Warn("smtp_logout_failed", zap.Stringer("client", c.RemoteAddr()), zap.Error(err))
		}
	}
}
