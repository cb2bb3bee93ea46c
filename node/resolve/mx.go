package resolve

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/node/mail"
)

// Bounds on the work that a domain can make, however many MX it has.
const (
	maxHosts = 10 // a domain with more gets its best ones
	maxLooks = 30 // hosts whose addresses are looked for
)

type exchange struct {
	preference uint16
	name       string
}

// MX gives the mail hosts of a domain with their addresses, in the order to try
// them: MX by preference, equal ones shuffled; without MX the domain itself
// (RFC 5321 section 5.1). Hosts without an address are left out while another
// has one. The error is an [*Error].
func (r *Resolver) MX(ctx context.Context, domain string) ([]mail.Host, error) {
	if ip, ok := literal(domain); ok {
		if r.isOwn([]netip.Addr{ip}) {
			return nil, loops(domain)
		}
		return []mail.Host{{Name: domain, Addrs: r.sorted(nil, []netip.Addr{ip})}}, nil
	}
	name := mail.DomainKey(domain)
	if isLocalhost(name) {
		return r.implicit(ctx, name)
	}
	list, exists, err := r.exchanges(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return nil, permanent(name, mail.StatusBadDomain, "the domain does not exist")
	case len(list) == 0:
		return r.implicit(ctx, name)
	case nullMX(list):
		return nil, permanent(name, mail.StatusNullMX, "the domain takes no mail (null MX)")
	}
	list = slices.DeleteFunc(list, func(x exchange) bool { return x.name == "" })
	r.arrange(list)
	hosts, failed := r.findAll(ctx, list)
	better, self := r.cutSelf(ctx, hosts)
	switch {
	case len(better) > 0:
		return better, nil
	case failed != nil: // one that is better than this host may be found later
		return nil, failed
	case self:
		return nil, loops(name)
	}
	return nil, permanent(name, mail.StatusNoRoute, "no mail host of the domain has an address")
}

// NullMX says whether a domain has declared that it takes no mail (RFC 7505 section 3).
// A domain that does not exist has not. The error is an [*Error].
func (r *Resolver) NullMX(ctx context.Context, domain string) (bool, error) {
	name := mail.DomainKey(domain)
	if _, ok := literal(domain); ok || isLocalhost(name) {
		return false, nil
	}
	list, _, err := r.exchanges(ctx, name)
	if err != nil {
		return false, err
	}
	return nullMX(list), nil
}

// implicit is the domain as its own mail host. If that host is this one, the
// domain is not one it knows, so mail would only come back.
func (r *Resolver) implicit(ctx context.Context, name string) ([]mail.Host, error) {
	addrs, canonical, err := r.locate(ctx, name)
	if err != nil {
		return nil, err
	}
	t := traceOf(ctx)
	t.host(TracedHost{Preference: -1, Name: name, Addrs: addrs})
	if r.isName(name) || r.isName(canonical) || r.isOwn(addrs) {
		t.cut(-1, name)
		return nil, loops(name)
	}
	return []mail.Host{{Name: name, Addrs: addrs}}, nil
}

// nullMX is RFC 7505 section 3: the root is the only host.
func nullMX(list []exchange) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(x exchange) bool { return x.name != "" })
}

// arrange brings hosts into the order to try them, this host's own names before their
// equals: what stands behind them need not be looked for.
func (r *Resolver) arrange(list []exchange) {
	slices.SortFunc(list, func(a, b exchange) int { return strings.Compare(a.name, b.name) })
	if r.opts.Shuffle != nil {
		r.opts.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	rank := func(x exchange) int {
		if r.isName(x.name) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b exchange) int {
		return cmp.Or(cmp.Compare(a.preference, b.preference), rank(a)-rank(b))
	})
}

// found is a mail host with its addresses.
type found struct {
	mail.Host
	preference uint16
	self       bool
}

// findAll finds the addresses of hosts, up to the ten best and their equals: one of
// those may be this host under another name. failed is why one may be missing for now.
func (r *Resolver) findAll(ctx context.Context, list []exchange) (hosts []found, failed *Error) {
	t, met := traceOf(ctx), false
	for i, x := range list {
		if i == maxLooks || len(hosts) >= maxHosts && x.preference > hosts[len(hosts)-1].preference {
			t.beyond(list[i:])
			break
		}
		h := found{Host: mail.Host{Name: x.name}, preference: x.preference, self: r.isName(x.name)}
		traced := TracedHost{Preference: int(x.preference), Name: x.name}
		if !h.self {
			addrs, canonical, err := r.locate(ctx, x.name)
			if err != nil {
				traced.LeftOut = err.Reason
				t.host(traced)
				if err.Transient && !met { // what stands behind this host would be cut
					failed = err
				}
				continue
			}
			// RFC 5321 section 5.1 forbids an alias here; those who use one mean its target.
			h.Addrs, traced.Addrs, h.self = addrs, addrs, r.isName(canonical) || r.isOwn(addrs)
		}
		met = met || h.self
		hosts = append(hosts, h)
		t.host(traced)
	}
	return hosts, failed
}

// cutSelf drops this host and all that are not better than it (RFC 5321
// section 5.1): they would hand the mail to us again.
func (r *Resolver) cutSelf(ctx context.Context, hosts []found) (better []mail.Host, self bool) {
	if i := slices.IndexFunc(hosts, func(h found) bool { return h.self }); i >= 0 {
		self = true
		own := hosts[i]
		traceOf(ctx).cut(int(own.preference), own.Name)
		hosts = slices.DeleteFunc(hosts, func(h found) bool { return h.preference >= own.preference })
	}
	traceOf(ctx).best(maxHosts)
	hosts = hosts[:min(len(hosts), maxHosts)]
	for _, h := range hosts {
		better = append(better, h.Host)
	}
	return better, self
}

func loops(name string) *Error {
	return permanent(name, mail.StatusLoopsToSelf, "the best mail host of the domain is this server, which does not know the domain")
}

func (r *Resolver) isName(name string) bool {
	return slices.ContainsFunc(r.opts.Names, func(own string) bool { return mail.DomainKey(own) == name })
}

func (r *Resolver) isOwn(addrs []netip.Addr) bool {
	return r.opts.IsSelf != nil && slices.ContainsFunc(addrs, r.opts.IsSelf)
}

// exchanges asks for MX records; exists is false if the domain does not exist.
func (r *Resolver) exchanges(ctx context.Context, name string) (list []exchange, exists bool, failed *Error) {
	a, err := r.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, false, err
	}
	for _, rr := range a.records {
		if mx, ok := rr.(*dns.MX); ok {
			list = append(list, exchange{mx.Preference, mail.DomainKey(mx.Mx)})
		}
	}
	return list, a.found, nil
}
