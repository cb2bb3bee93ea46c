package smtpd

import (
	"net"
	"net/netip"
)

// Forwarded is what a host in front of this one said of the client: a proxy by
// its PROXY header, a content filter by XCLIENT. [Conn.ClientIP], [Conn.RemoteAddr],
// [Conn.LocalAddr] and, until the next HELO, [Conn.Hostname] follow it already.
type Forwarded struct {
	// Proxy is the host that really connected; the zero Addr if nobody forwarded.
	Proxy netip.Addr
	// Name is the client's host name by its address. NameUnavailable says that it
	// has none; with NameTemporary that could not be found out now.
	Name                           string
	NameUnavailable, NameTemporary bool
	// Login is the user as whom the client authenticated before; "" for nobody.
	Login string

	client, local netip.AddrPort // zero: not said
}

// Forwarded is what a proxy said of the client. Its Proxy is valid only if one did.
func (c *Conn) Forwarded() Forwarded { return c.forward }

// RemoteAddr is the client's address, as forwarded.
func (c *Conn) RemoteAddr() net.Addr {
	if c.forward.client.IsValid() {
		return net.TCPAddrFromAddrPort(c.forward.client)
	}
	return c.raw.RemoteAddr()
}

// LocalAddr is the address the client connected to, as forwarded.
func (c *Conn) LocalAddr() net.Addr {
	if c.forward.local.IsValid() {
		return net.TCPAddrFromAddrPort(c.forward.local)
	}
	return c.raw.LocalAddr()
}

// unforward goes back to what was known when SMTP began: by the PROXY header, or
// by TCP. What XCLIENT said in clear does not survive STARTTLS, since somebody in
// between could have said it (RFC 3207 section 4.2).
func (c *Conn) unforward() {
	c.forward = c.began.forward
	c.server.recount(c, c.began.client)
}

// beginning is what unforward goes back to.
type beginning struct {
	forward Forwarded
	client  netip.Addr
}

// forwarded makes another address the client's, and lets it count there.
func (c *Conn) forwarded(client netip.AddrPort) {
	a := client.Addr().Unmap().WithZone("")
	if !c.forward.Proxy.IsValid() {
		c.forward.Proxy = c.client
	}
	c.forward.client = netip.AddrPortFrom(a, client.Port())
	c.server.recount(c, a)
}
