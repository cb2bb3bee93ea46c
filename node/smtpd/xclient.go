package smtpd

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postroad/postroad/node/mail"
)

// XCLIENT is Postfix's (its XCLIENT_README): a host in front says who the client
// is. The values are xtext; two words stand for what is not known.
const (
	xclientAttributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
	xclientUnknown    = "[UNAVAILABLE]"
	xclientTemporary  = "[TEMPUNAVAIL]"
)

// xclientCommand is what an XCLIENT says; values not given are nil.
type xclientCommand struct {
	name, helo, login *string // "" for [UNAVAILABLE]
	temporary         bool    // NAME=[TEMPUNAVAIL]
	addr, destAddr    *netip.Addr
	port, destPort    *uint16
}

// xclient is the command.
func (c *Conn) xclient(arg string) reply {
	switch {
	case !c.mayXClient:
		return refuse(550, smtp.EnhancedCode{5, 7, 0}, "Not allowed to send XCLIENT")
	case c.tx.open:
		return outOfOrder("XCLIENT is not allowed during a mail transaction")
	}
	x, err := parseXClient(arg)
	if err != "" {
		return syntax("Syntax error: " + err)
	}
	// As if the client had connected anew; TLS stays, it is the channel's.
	c.logout()
	c.helo, c.esmtp, c.mechanism, c.tx = "", false, "", transaction{}
	c.impersonate(x)
	return c.greeting()
}

// impersonate takes over what x says and keeps the rest.
func (c *Conn) impersonate(x xclientCommand) {
	f := &c.forward
	client, local := c.remote(), f.local
	if x.addr != nil {
		client = netip.AddrPortFrom(*x.addr, client.Port())
		f.Name, f.NameUnavailable, f.NameTemporary = "", false, false
	}
	if x.port != nil {
		client = netip.AddrPortFrom(client.Addr(), *x.port)
	}
	if x.destAddr != nil {
		local = netip.AddrPortFrom(*x.destAddr, local.Port())
	}
	if x.destPort != nil {
		local = netip.AddrPortFrom(local.Addr(), *x.destPort)
	}
	f.local = local
	c.forwarded(client)
	if x.name != nil {
		f.Name, f.NameUnavailable, f.NameTemporary = *x.name, *x.name == "" && !x.temporary, x.temporary
	}
	if x.helo != nil {
		c.helo = *x.helo
	}
	if x.login != nil {
		f.Login = *x.login
	}
}

// remote is the client's address and port, as forwarded.
func (c *Conn) remote() netip.AddrPort {
	if c.forward.client.IsValid() {
		return c.forward.client
	}
	ap, _ := netip.ParseAddrPort(c.raw.RemoteAddr().String())
	return netip.AddrPortFrom(c.client, ap.Port())
}

// parseXClient reads the attributes; the text says what is wrong.
func parseXClient(arg string) (x xclientCommand, wrong string) {
	if arg == "" {
		return x, "XCLIENT needs ATTRIBUTE=VALUE"
	}
	for word := range strings.FieldsSeq(arg) {
		key, value, found := strings.Cut(word, "=")
		key = upper(key)
		value, err := mail.DecodeXtext(value)
		if !found || value == "" || err != nil || !isPrintable(value) {
			return x, "XCLIENT needs ATTRIBUTE=VALUE, the value as xtext"
		}
		if wrong := x.set(key, value); wrong != "" {
			return x, wrong
		}
	}
	return x, ""
}

func (x *xclientCommand) set(key, value string) (wrong string) {
	word := upper(value)
	unknown := word == xclientUnknown || word == xclientTemporary
	text := value
	if unknown {
		text = ""
	}
	fine := true
	switch key {
	case "NAME":
		fine = unknown || isHello(value)
		x.name, x.temporary = &text, word == xclientTemporary
	case "HELO":
		fine = unknown || isHello(value)
		x.helo = &text
	case "LOGIN":
		x.login = &text
	case "PROTO":
		fine = unknown || word == "SMTP" || word == "ESMTP"
	case "ADDR":
		x.addr, fine = xclientAddress(text)
	case "DESTADDR":
		x.destAddr, fine = xclientAddress(text)
	case "PORT":
		x.port, fine = xclientPort(text)
	case "DESTPORT":
		x.destPort, fine = xclientPort(text)
	default:
		return "attribute must be one of " + xclientAttributes
	}
	if !fine {
		return "bad value of attribute " + key
	}
	return ""
}

// xclientAddress reads IPv4, or IPv6 with the tag "IPV6:"; "" is none.
func xclientAddress(s string) (*netip.Addr, bool) {
	if s == "" {
		return &netip.Addr{}, true
	}
	rest, tagged := cutKeyword(s, "IPV6:")
	a, err := netip.ParseAddr(rest)
	if err != nil || a.Zone() != "" || a.Is4() && tagged {
		return nil, false
	}
	a = a.Unmap()
	return &a, true
}

func xclientPort(s string) (*uint16, bool) {
	var port uint16
	if s == "" {
		return &port, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	port = uint16(n)
	return &port, err == nil
}
