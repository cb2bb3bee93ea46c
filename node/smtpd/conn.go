package smtpd

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"

	"go.uber.org/zap"
)

// Conn is one client's connection. Sessions read it; only the engine changes it,
// and only between calls of the session.
type Conn struct {
	server *Server
	cfg    *Config
	log    *zap.Logger
	ctx    context.Context
	cancel context.CancelFunc

	raw        net.Conn // as accepted
	conn       net.Conn // raw or TLS over it
	tls        *tls.Conn
	leafOf     *tls.Certificate // shown in the handshake; nil if that is not known
	client     netip.Addr
	counted    netip.Prefix // among Server.clients
	refused    string       // by a limit: what the 421 says
	forward    Forwarded    // what PROXY and XCLIENT said
	began      beginning
	mayXClient bool
	turned     context.Context // of ServeTurned; nil: the client opened the connection

	in    input
	out   []byte
	watch observed

	helo      string
	esmtp     bool
	session   Session
	mechanism string // of the successful AUTH
	tx        transaction

	errors       int
	authFailures int
	idle         int // commands since the last message that did nothing for one
	refusals     int // recipients refused for good since the last one accepted
	messages     int
	unwelcome    bool // refused by the 554 that was the greeting
	closed       bool // the loop ends after the present reply
	broken       bool // nothing can be written any more
	hungUp       bool // closed by this side, while the client may still be sending
	ackDue       bool // out holds the acknowledgement of a message

	mu      sync.Mutex // guards waiting together with the read deadline
	waiting bool       // blocked in a read between commands
}

// transaction is the state between MAIL and the end of the content.
type transaction struct {
	open     bool // MAIL was accepted
	rcpts    int  // accepted
	tried    int  // RCPT commands seen
	utf8     bool
	original string          // ORCPT of the RCPT in hand, as it came
	binary   bool            // BODY=BINARYMIME
	chunks   bool            // BDAT has begun
	names    []string        // of the accepted recipients, for LMTP only
	domains  map[string]bool // of the accepted recipients, where they are limited
	each     *statuses       // LMTP: what the session said of each recipient
	accepted bool            // LMTP: for one of them at least
	failed   *reply          // why a BDAT of it failed; repeated until LAST
}

// OriginalRecipient is ORCPT of the RCPT command that the session is asked about, as
// it came: what is relayed has to be identical, in case and encoding (RFC 3461 section
// 5.2.1). "" if it gave none.
func (c *Conn) OriginalRecipient() string { return c.tx.original }

// Hostname is the argument of HELO or EHLO.
func (c *Conn) Hostname() string { return c.helo }

// Extended says whether the client said EHLO.
func (c *Conn) Extended() bool { return c.esmtp }

// ClientIP is the client's address, as forwarded, without port, unmapped; the zero Addr if the
// connection is no IP connection.
func (c *Conn) ClientIP() netip.Addr { return c.client }

// TLSConnectionState is the state of the TLS connection; ok is false in clear.
func (c *Conn) TLSConnectionState() (state tls.ConnectionState, ok bool) {
	if c.tls == nil {
		return tls.ConnectionState{}, false
	}
	return c.tls.ConnectionState(), true
}

// Authenticated says whether AUTH has succeeded; Mechanism is the SASL mechanism then.
func (c *Conn) Authenticated() bool { return c.mechanism != "" }

// Mechanism is the name of the SASL mechanism that succeeded, "" before that.
func (c *Conn) Mechanism() string { return c.mechanism }

// Turned says that this side opened the connection, and that its roles have changed.
func (c *Conn) Turned() bool { return c.turned != nil }

// Context ends with the connection.
func (c *Conn) Context() context.Context { return c.ctx }

// Protocol is the keyword for the "with" clause of the Received field (RFC 3848,
// RFC 6531 section 4.3).
func (c *Conn) Protocol(utf8 bool) string {
	if !c.esmtp {
		return "SMTP"
	}
	p := "ESMTP"
	switch {
	case c.cfg.LMTP && utf8:
		p = "UTF8LMTP"
	case c.cfg.LMTP:
		p = "LMTP"
	case utf8:
		p = "UTF8SMTP"
	}
	if c.tls != nil {
		p += "S"
	}
	if c.Authenticated() {
		p += "A"
	}
	return p
}
