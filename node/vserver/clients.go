package vserver

import (
	"net/netip"
	"strings"

	"github.com/postroad/postroad/store/directory"
)

// clientList is a list of clients as the book's dialogues have them: single
// computers, networks, domains.
type clientList struct {
	networks []netip.Prefix
	domains  []string // as DomainKey writes them
}

func newClientList(networks, domains []string) clientList {
	l := clientList{networks: parseNetworks(networks)}
	for _, d := range domains {
		l.domains = append(l.domains, directory.DomainKey(d))
	}
	return l
}

func parseNetworks(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range list {
		if p, ok := parseNetwork(n); ok {
			all = append(all, p)
		}
	}
	return all
}

func parseNetwork(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, ip.BitLen()), true
}

func inNetworks(list []netip.Prefix, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, n := range list {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// has says whether the client is on the list. The name of its address is asked
// for only where the address does not decide. err tells that DNS could not say.
func (l *clientList) has(c client) (bool, error) {
	if inNetworks(l.networks, c.ip) {
		return true, nil
	}
	if len(l.domains) == 0 || c.host == nil {
		return false, nil
	}
	name, err := c.host.name()
	for _, d := range l.domains {
		if name == d || strings.HasSuffix(name, "."+d) {
			return true, nil
		}
	}
	return false, err
}
