package mail

import "net/netip"

// Host is a mail host found in DNS, with the addresses to try in order.
type Host struct {
	Name  string // without a trailing dot; the literal for an address literal
	Addrs []netip.Addr
}
