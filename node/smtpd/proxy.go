package smtpd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// The PROXY protocol of HAProxy, versions 1 and 2: a header in front of
// everything else, TLS included, that names the client.

// proxyHeader is what it says. Without addresses (LOCAL, UNKNOWN, AF_UNIX) the
// connection speaks for the proxy itself.
type proxyHeader struct{ client, local netip.AddrPort }

var (
	errProxyMore   = errors.New("the header is not complete")
	errProxyNone   = errors.New("the connection must begin with a PROXY header")
	errProxyLine   = errors.New("malformed PROXY header of version 1")
	errProxyBinary = errors.New("malformed PROXY header of version 2")
	errProxyLong   = errors.New("the PROXY header is too long")
)

const (
	proxySignature1 = "PROXY "
	proxySignature2 = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxyLine    = 107 // version 1, with CRLF
	maxProxyBinary  = 2 << 10
)

// parseProxy reads the header at the beginning of b and says how long it is.
// errProxyMore means that it may become one.
func parseProxy(b []byte) (h proxyHeader, n int, err error) {
	switch {
	case begins(b, proxySignature2):
		return parseProxy2(b)
	case begins(b, proxySignature1):
		return parseProxy1(b)
	}
	return h, 0, errProxyNone
}

// begins says whether b and signature agree as far as b goes.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

func parseProxy1(b []byte) (h proxyHeader, n int, err error) {
	window := b[:min(len(b), maxProxyLine)]
	end := bytes.Index(window, []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxProxyLine {
			return h, 0, errProxyLong
		}
		return h, 0, errProxyMore
	}
	n = end + 2
	f := strings.Split(string(b[len(proxySignature1):end]), " ")
	if f[0] == "UNKNOWN" {
		return h, n, nil // what follows must be ignored
	}
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return h, 0, errProxyLine
	}
	if h.client, err = proxyAddress(f[0], f[1], f[3]); err == nil {
		h.local, err = proxyAddress(f[0], f[2], f[4])
	}
	if err != nil {
		return proxyHeader{}, 0, err
	}
	return h, n, nil
}

func proxyAddress(family, address, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() != (family == "TCP4") || a.Zone() != "" {
		return netip.AddrPort{}, errProxyLine
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' || port[0] == '+' {
		return netip.AddrPort{}, errProxyLine
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

func parseProxy2(b []byte) (h proxyHeader, n int, err error) {
	const fixed = 16
	if len(b) < fixed {
		return h, 0, errProxyMore
	}
	version, command, family := b[12]>>4, b[12]&0xf, b[13]
	n = fixed + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case version != 2 || command > 1:
		return h, 0, errProxyBinary
	case n > maxProxyBinary:
		return h, 0, errProxyLong
	case len(b) < n:
		return h, 0, errProxyMore
	case command == 0: // LOCAL: the proxy looks after us, addresses mean nothing
		return h, n, nil
	}
	size, known := map[byte]int{0x11: 4, 0x21: 16}[family] // TCP over IPv4, over IPv6
	if !known {
		// Unspecified, UDP, AF_UNIX: to be accepted, and ignored.
		return h, n, nil
	}
	body := b[fixed:n]
	if len(body) < 2*size+4 {
		return h, 0, errProxyBinary
	}
	client, _ := netip.AddrFromSlice(body[:size])
	local, _ := netip.AddrFromSlice(body[size : 2*size])
	ports := body[2*size:] // and TLVs, which are not needed here
	h.client = netip.AddrPortFrom(client, binary.BigEndian.Uint16(ports))
	h.local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(ports[2:]))
	return h, n, nil
}

// readProxy takes the header off the connection. Without one it ends the
// connection without a word: what the other end speaks is not known.
func (c *Conn) readProxy() bool {
	deadline := time.Now().Add(c.cfg.Timeouts.Proxy)
	for {
		var err error
		if !c.in.empty() {
			var h proxyHeader
			var n int
			h, n, err = parseProxy(c.in.window())
			if err == nil {
				c.in.advance(n)
				c.proxied(h)
				return true
			}
		}
		if err == nil || err == errProxyMore {
			err = c.await(deadline)
		}
		if err != nil {
			c.log.Warn("smtp_proxy_header_failed", zap.Stringer("proxy", c.raw.RemoteAddr()), zap.Error(err))
			c.broken, c.closed = true, true
			return false
		}
	}
}

func (c *Conn) proxied(h proxyHeader) {
	if h.client.IsValid() {
		c.forward.local = h.local
		c.forwarded(h.client)
	}
}
