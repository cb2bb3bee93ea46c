package pipeline

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/resolve"
	"github.com/postroad/postroad/store/directory"
)

// resolvers ask the name servers that each virtual server names at the moment; a change
// of the list takes effect with the next lookup, without the old cache. Virtual servers
// with equal settings share one resolver, and so its cache.
type resolvers struct {
	config func() *directory.Configuration
	self   directory.Server

	mu      sync.Mutex
	made    *directory.Configuration // of which the settings are known
	known   map[mail.GUID]dnsSettings
	current []knownResolver
	before  resolve.Stats // of the resolvers before these
}

type knownResolver struct {
	dnsSettings
	*resolve.Resolver
}

// resolver is that of the virtual server by which a hop is sent.
type resolver struct {
	all *resolvers
	hop mail.Hop
}

func (r *resolvers) of(h mail.Hop) *resolver { return &resolver{r, h} }

// dnsSettings are what a resolver is made of.
type dnsSettings struct {
	servers    []string
	names      []string // of this host
	bound      []string // "address:port" of its virtual servers
	port       int      // of hosts outside
	preferIPv4 bool
}

func dnsSettingsOf(conf *directory.Configuration, self directory.Server, by directory.VirtualServer) dnsSettings {
	o := by.Spec.GetOutbound()
	s := dnsSettings{servers: o.GetDnsServers(), names: []string{self.Spec.GetFqdn()}, port: cmp.Or(int(o.GetPort()), directory.PortSMTP), preferIPv4: o.GetPreferIpv4()}
	for _, v := range conf.VirtualServersOf(self.Name) {
		if name := v.Spec.GetFqdn(); name != "" {
			s.names = append(s.names, name)
		}
		s.bound = append(s.bound, directory.Bindings(v.Spec)...)
	}
	return s
}

// isSelf says whether mail to an address, on the port of hosts outside, would come to
// this node: one of its virtual servers listens there. own gives the host's addresses of
// the moment, as they come and go while a node runs.
func (s *dnsSettings) isSelf(own func() []netip.Addr) func(netip.Addr) bool {
	mine, all := make(map[netip.Addr]bool), false
	for _, b := range s.bound {
		host, port, err := net.SplitHostPort(b)
		if err != nil || port != strconv.Itoa(s.port) {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
			mine[ip.Unmap()] = true
		} else {
			all = true // "", "0.0.0.0", "[::]"
		}
	}
	return func(ip netip.Addr) bool {
		ip = ip.Unmap()
		return mine[ip] || all && slices.Contains(own(), ip)
	}
}

func ownAddresses() (list []netip.Addr) {
	all, _ := net.InterfaceAddrs() // what cannot be listed is not known to be ours
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}

func (r *resolver) now() (*resolve.Resolver, error) { return r.all.now(r.hop) }

func (r *resolvers) now(h mail.Hop) (*resolve.Resolver, error) {
	conf := r.config()
	by := sendsBy(conf, r.self.Name, h)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made != conf {
		r.learn(conf)
	}
	want, ok := r.known[mail.GUID(by.GUID)]
	if !ok { // a server without any
		want = dnsSettingsOf(conf, r.self, by)
	}
	for _, k := range r.current {
		if reflect.DeepEqual(k.dnsSettings, want) {
			return k.Resolver, nil
		}
	}
	next, err := resolve.New(resolve.Options{
		Servers:    want.servers,
		Names:      want.names,
		IsSelf:     want.isSelf(ownAddresses),
		PreferIPv4: want.preferIPv4,
		Shuffle:    rand.Shuffle,
	})
	if err != nil {
		return nil, err
	}
	r.current = append(r.current, knownResolver{want, next})
	return next, nil
}

// learn takes over a configuration, and drops resolvers that no virtual server wants any more.
func (r *resolvers) learn(conf *directory.Configuration) {
	r.made, r.known = conf, make(map[mail.GUID]dnsSettings)
	for _, v := range conf.VirtualServersOf(r.self.Name) {
		r.known[mail.GUID(v.GUID)] = dnsSettingsOf(conf, r.self, v)
	}
	wanted := slices.Collect(maps.Values(r.known))
	if len(wanted) == 0 {
		wanted = append(wanted, dnsSettingsOf(conf, r.self, directory.VirtualServer{}))
	}
	r.current = slices.DeleteFunc(r.current, func(k knownResolver) bool {
		gone := !slices.ContainsFunc(wanted, func(s dnsSettings) bool { return reflect.DeepEqual(s, k.dnsSettings) })
		if gone {
			r.before = sum(r.before, k.Stats())
		}
		return gone
	})
}

// MX implements deliver.Resolver.
func (r *resolver) MX(ctx context.Context, domain string) ([]mail.Host, error) {
	now, err := r.now()
	if err != nil {
		return nil, err
	}
	return now.MX(ctx, domain)
}

// Addrs implements deliver.Resolver.
func (r *resolver) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	now, err := r.now()
	if err != nil {
		return nil, err
	}
	return now.Addrs(ctx, name)
}
