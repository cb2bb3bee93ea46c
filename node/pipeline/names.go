package pipeline

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
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
	servers []string
	current *resolve.Resolver
}

func (r *resolver) now() (*resolve.Resolver, error) {
	servers := dnsServers(r.config(), r.self.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && slices.Equal(servers, r.servers) {
		return r.current, nil
	}
	next, err := resolve.New(resolve.Options{
		Servers: servers,
		Names:   []string{r.self.Spec.GetFqdn()},
		Shuffle: rand.Shuffle,
	})
	if err != nil {
		return nil, err
	}
	r.servers, r.current = servers, next
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
