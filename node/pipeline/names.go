package pipeline

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/postroad/postroad/node/gossip"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/resolve"
	"github.com/postroad/postroad/store/directory"
)

// resolver asks the name servers that the virtual server names at the moment; a
// change of the list takes effect with the next lookup, without the old cache.
type resolver struct {
	config func() *directory.Configuration
	self   directory.Server

	mu      sync.Mutex
	known   dnsSettings
	current *resolve.Resolver
	before  resolve.Stats // of the resolvers before it
}

// dnsSettings are what a resolver is made of.
type dnsSettings struct {
	servers    []string
	names      []string // of this host
	bound      []string // "address:port" of its virtual servers
	port       int      // of hosts outside
	preferIPv4 bool
}

func dnsSettingsOf(conf *directory.Configuration, self directory.Server) dnsSettings {
	_, o := outboundSpec(conf, self.Name)
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

func (r *resolver) now() (*resolve.Resolver, error) {
	want := dnsSettingsOf(r.config(), r.self)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && reflect.DeepEqual(want, r.known) {
		return r.current, nil
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
	if r.current != nil {
		r.before = sum(r.before, r.current.Stats())
	}
	r.known, r.current = want, next
	return next, nil
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

// serverName is a server's name for people; the GUID where it has none.
func serverName(conf *directory.Configuration, g mail.GUID) string {
	if s, ok := conf.ServerByGUID(directory.GUID(g)); ok {
		return s.Name
	}
	return g.String()
}

// names are what link state shows, and writes into the log, in place of GUIDs.
func (p *Pipeline) names() gossip.Names {
	conf := p.cfg.Catalog.Config
	return gossip.Names{
		Server:    func(g mail.GUID) string { return serverName(conf(), g) },
		Group:     func(g mail.GUID) string { return groupName(conf(), g) },
		Connector: func(g mail.GUID) string { return connectorName(conf(), g) },
	}
}

func groupName(conf *directory.Configuration, server mail.GUID) string {
	s, _ := conf.ServerByGUID(directory.GUID(server))
	return s.Spec.GetRoutingGroup()
}

func connectorName(conf *directory.Configuration, g mail.GUID) string {
	if n, ok := conf.ConnectorName(directory.GUID(g)); ok {
		return n
	}
	return g.String()
}
