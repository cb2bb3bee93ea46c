package smtpd

import (
	"crypto/tls"
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
	c.send(ok(220, smtp.EnhancedCode{2, 0, 0}, "Ready to start TLS"))
	c.flush()
	if !c.handshake() {
		return reply{}
	}
	// Nothing learnt in clear survives (RFC 3207 section 4.2).
	c.logout()
	c.helo, c.esmtp, c.mechanism, c.tx = "", false, "", transaction{}
	return reply{}
}

// handshake puts TLS under the connection, or ends it.
func (c *Conn) handshake() bool {
	t := tls.Server(c.raw, c.cfg.TLS)
	deadline := time.Now().Add(c.cfg.Timeouts.Handshake)
	c.raw.SetWriteDeadline(deadline)
	err := errClosing
	if c.wait(deadline) {
		err = t.Handshake()
		c.mu.Lock()
		c.waiting = false
		c.mu.Unlock()
	}
	if err != nil {
		// There is no channel left on which a reply could be understood.
		c.log.Info("smtp_tls_failed", zap.Stringer("client", c.RemoteAddr()), zap.Error(err))
		c.broken, c.closed = true, true
		return false
	}
	c.tls, c.conn = t, t
	c.in.src = t
	return true
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
