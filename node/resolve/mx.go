package resolve

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/node/mail"
)

// maxHosts bounds the MX hosts looked at; a domain with more gets its best ones.
const maxHosts = 10

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
		return []mail.Host{{Name: domain, Addrs: r.sorted(nil, []netip.Addr{ip})}}, nil
	}
	name := mail.DomainKey(domain)
	if isLocalhost(name) {
		return r.implicit(ctx, name)
	}
	list, found, err := r.exchanges(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, permanent(name, mail.StatusBadDomain, "the domain does not exist")
	case len(list) == 0:
		return r.implicit(ctx, name)
	case nullMX(list):
		return nil, permanent(name, mail.StatusNullMX, "the domain takes no mail (null MX)")
	}
	list = slices.DeleteFunc(list, func(x exchange) bool { return x.name == "" })
	r.arrange(list)
	hosts, at, failed := r.locate(ctx, name, list)
	if failed != nil {
		return nil, failed
	}
	return r.cutSelf(ctx, name, list, hosts, at)
}

// implicit is the domain as its own mail host. If that host is this one, the
// domain is not one it knows, so mail would only come back.
func (r *Resolver) implicit(ctx context.Context, name string) ([]mail.Host, error) {
	addrs, err := r.Addrs(ctx, name)
	if err != nil {
		return nil, err
	}
	h := mail.Host{Name: name, Addrs: addrs}
	t := traceOf(ctx)
	t.host(TracedHost{Preference: -1, Name: name, Addrs: addrs})
	if r.isSelf(h) {
		t.cut(-1, name)
		return nil, loops(name)
	}
	return []mail.Host{h}, nil
}

// nullMX is RFC 7505 section 3: one record, for the root.
func nullMX(list []exchange) bool { return len(list) == 1 && list[0].name == "" }

func (r *Resolver) arrange(list []exchange) {
	slices.SortFunc(list, func(a, b exchange) int { return strings.Compare(a.name, b.name) })
	if r.opts.Shuffle != nil {
		r.opts.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	slices.SortStableFunc(list, func(a, b exchange) int { return cmp.Compare(a.preference, b.preference) })
}

// locate finds the addresses of hosts; at[i] is the index in list of hosts[i].
func (r *Resolver) locate(ctx context.Context, name string, list []exchange) ([]mail.Host, []int, *Error) {
	var hosts []mail.Host
	var at []int
	var failed *Error
	t := traceOf(ctx)
	for i, x := range list {
		if len(hosts) == maxHosts {
			t.beyond(list[i:])
			break
		}
		traced := TracedHost{Preference: int(x.preference), Name: x.name}
		if r.isName(x.name) {
			hosts, at = append(hosts, mail.Host{Name: x.name}), append(at, i)
			t.host(traced)
			continue
		}
		addrs, err := r.Addrs(ctx, x.name)
		var e *Error
		switch {
		case err == nil:
			hosts, at = append(hosts, mail.Host{Name: x.name, Addrs: addrs}), append(at, i)
			traced.Addrs = addrs
		case errors.As(err, &e):
			traced.LeftOut = e.Reason
			if e.Transient {
				failed = e
			}
		}
		t.host(traced)
	}
	switch {
	case len(hosts) > 0:
		return hosts, at, nil
	case failed != nil:
		return nil, nil, failed
	}
	return nil, nil, permanent(name, mail.StatusNoRoute, "no mail host of the domain has an address")
}

// cutSelf drops this host and all that are not better than it (RFC 5321
// section 5.1): they would hand the mail to us again.
func (r *Resolver) cutSelf(ctx context.Context, name string, list []exchange, hosts []mail.Host, at []int) ([]mail.Host, error) {
	for i, h := range hosts {
		if !r.isSelf(h) {
			continue
		}
		traceOf(ctx).cut(int(list[at[i]].preference), h.Name)
		first := i
		for first > 0 && list[at[first-1]].preference == list[at[i]].preference {
			first--
		}
		if first == 0 {
			return nil, loops(name)
		}
		return hosts[:first], nil
	}
	return hosts, nil
}

func loops(name string) *Error {
	return permanent(name, mail.StatusLoopsToSelf, "the best mail host of the domain is this server, which does not know the domain")
}

func (r *Resolver) isName(name string) bool {
	return slices.ContainsFunc(r.opts.Names, func(own string) bool { return mail.DomainKey(own) == name })
}

func (r *Resolver) isSelf(h mail.Host) bool {
	return r.isName(h.Name) || r.opts.IsSelf != nil && slices.ContainsFunc(h.Addrs, r.opts.IsSelf)
}

// exchanges asks for MX records; found is false if the domain does not exist.
func (r *Resolver) exchanges(ctx context.Context, name string) ([]exchange, bool, *Error) {
	a, err := r.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, false, err
	}
	var list []exchange
	for _, rr := range a.records {
		if mx, ok := rr.(*dns.MX); ok {
			list = append(list, exchange{mx.Preference, mail.DomainKey(mx.Mx)})
		}
	}
	return list, a.found, nil
}
