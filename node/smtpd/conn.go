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

	raw     net.Conn // as accepted
	conn    net.Conn // raw or TLS over it
	tls     *tls.Conn
	client  netip.Addr
	refused bool // over a limit

	in  input
	out []byte

	helo      string
	esmtp     bool
	session   Session
	mechanism string // of the successful AUTH
	tx        transaction

	errors   int
	idle     int // commands since the last one that served a message
	messages int
	closed   bool // the loop ends after the present reply
	broken   bool // nothing can be written any more
	hungUp   bool // closed by this side, while the client may still be sending
	ackDue   bool // out holds the acknowledgement of a message

	mu      sync.Mutex // guards waiting together with the read deadline
	waiting bool       // blocked in a read between commands
}

// transaction is the state between MAIL and the end of the content.
type transaction struct {
	open   bool // MAIL was accepted
	rcpts  int  // accepted
	tried  int  // RCPT commands seen
	utf8   bool
	chunks bool   // BDAT has begun
	failed *reply // why a BDAT of it failed; repeated until LAST
}

// Hostname is the argument of HELO or EHLO.
func (c *Conn) Hostname() string { return c.helo }

// Extended says whether the client said EHLO.
func (c *Conn) Extended() bool { return c.esmtp }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// ClientIP is the client's address without port, unmapped; the zero Addr if the
// connection is no IP connection.
func (c *Conn) ClientIP() netip.Addr { return c.client }

// LocalAddr is the address the client connected to.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

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

// Context ends with the connection.
func (c *Conn) Context() context.Context { return c.ctx }

// Protocol is the keyword for the "with" clause of the Received field (RFC 3848,
// RFC 6531 section 4.3).
func (c *Conn) Protocol(utf8 bool) string {
	if !c.esmtp {
		return "SMTP"
	}
	p := "ESMTP"
	if utf8 {
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
