package resolve

import (
	"context"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/node/mail"
)

// Names gives the host names of an address (PTR). They are what the owner of
// the address says; [Resolver.Addrs] of a name tells whether the owner of the name
// agrees. The error is an [*Error].
func (r *Resolver) Names(ctx context.Context, ip netip.Addr) ([]string, error) {
	name, err := dns.ReverseAddr(ip.Unmap().WithZone("").String())
	if err != nil {
		return nil, permanent(ip.String(), mail.StatusBadDomain, "is no address")
	}
	a, failed := r.lookup(ctx, name, dns.TypePTR)
	if failed != nil {
		return nil, failed
	}
	var names []string
	for _, rr := range a.records {
		if p, ok := rr.(*dns.PTR); ok {
			names = append(names, strings.TrimSuffix(p.Ptr, "."))
		}
	}
	if len(names) == 0 {
		return nil, permanent(name, mail.StatusBadDomain, "the address has no name")
	}
	return names, nil
}

// Listed gives the IPv4 addresses of a name in a list of addresses (RFC 5782
// section 2.1): none, and no error, for what is not on the list. The error is an
// [*Error].
func (r *Resolver) Listed(ctx context.Context, name string) ([]netip.Addr, error) {
	list, _, err := r.family(ctx, name, dns.TypeA)
	if err != nil {
		return nil, err
	}
	return list, nil
}
