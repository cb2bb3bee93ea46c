package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/resolve"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// Resolve implements admin.Node: what DNS says of a domain, by the code and the cache of
// delivery.
func (p *Pipeline) Resolve(ctx context.Context, domain, virtualServer string) (*topologyv1.ResolveResponse, error) {
	by, err := p.virtualServer(virtualServer)
	if err != nil {
		return nil, err
	}
	now, err := p.dns.now(mail.Hop{VirtualServer: by})
	if err != nil {
		return nil, err
	}
	trace, _, err := now.Trace(ctx, domain)
	m := &topologyv1.ResolveResponse{Node: p.cfg.Self.Name, Domain: domain, VirtualServer: virtualServer}
	for _, h := range trace.Hosts {
		host := &topologyv1.ResolvedHost{Preference: int32(h.Preference), Name: h.Name, LeftOut: h.LeftOut}
		for _, a := range h.Addrs {
			host.Addresses = append(host.Addresses, a.String())
		}
		m.Hosts = append(m.Hosts, host)
	}
	for _, q := range trace.Questions {
		m.Questions = append(m.Questions, &topologyv1.DNSQuestion{
			Name: q.Name, Type: q.Kind, Records: int32(q.Records), Exists: q.Exists, Cached: q.Cached, Server: q.Server,
			AgeMs: q.Age.Milliseconds(), LeftMs: q.Left.Milliseconds(), Error: q.Err,
		})
	}
	if err != nil {
		m.Error = err.Error()
		var e *resolve.Error
		if errors.As(err, &e) {
			m.Status = e.Status().String()
		}
	}
	return m, nil
}

// virtualServer finds one of this server by name; "" is none.
func (p *Pipeline) virtualServer(name string) (mail.GUID, error) {
	if name == "" {
		return mail.GUID{}, nil
	}
	v, ok := p.cfg.Catalog.Config().VirtualServer(name)
	if !ok || v.Spec.GetServer() != p.cfg.Self.Name {
		return mail.GUID{}, fmt.Errorf("virtual server %[2]q: Server/%[1]s has none of that name; `postroadctl virtualserver list` names them", p.cfg.Self.Name, name)
	}
	return mail.GUID(v.GUID), nil
}

// Describe implements prometheus.Collector.
func (r *resolvers) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(r, ch) }

// Collect implements prometheus.Collector.
func (r *resolvers) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	before := r.before
	before.Kept = 0
	for _, k := range r.current {
		s := k.Stats()
		kept := before.Kept + s.Kept
		before = sum(before, s)
		before.Kept = kept
	}
	r.mu.Unlock()
	lookups := prometheus.NewDesc("postroad_dns_lookups_total", "Lookups in DNS: answered from the cache, by what another one had asked already, by a server, or by none.", []string{"result"}, nil)
	for result, n := range map[string]int64{"cached": before.Hits, "shared": before.Shared, "answered": before.Answered, "failed": before.Failed} {
		ch <- prometheus.MustNewConstMetric(lookups, prometheus.CounterValue, float64(n), result)
	}
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("postroad_dns_cache_entries", "Answers of DNS that are kept.", nil, nil), prometheus.GaugeValue, float64(before.Kept))
}

// sum adds what was counted; what is kept is another's.
func sum(a, b resolve.Stats) resolve.Stats {
	return resolve.Stats{Hits: a.Hits + b.Hits, Shared: a.Shared + b.Shared, Answered: a.Answered + b.Answered, Failed: a.Failed + b.Failed}
}
