package pipeline

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/topo"
	"github.com/postroad/postroad/store/directory"
)

// Rebuild makes the first routing table; RunMap keeps it current.
func (p *Pipeline) Rebuild() {
	conf := p.cfg.Catalog.Config()
	start := time.Now()
	t := topo.Build(conf, p.links.Table(), p.self, p.version.Add(1))
	p.routes.Update(t, conf)
	p.cfg.Logger.Named("routing").Info("table_built", zap.Uint64("table", t.Version),
		zap.Int64("directory_revision", conf.Revision()), zap.Duration("took", time.Since(start)))
}

// RunMap follows the directory and the link state until ctx ends. Changes in
// quick succession share one rebuild.
func (p *Pipeline) RunMap(ctx context.Context) error {
	defer p.cfg.Catalog.Subscribe(p.configured)()
	defer p.links.Subscribe(p.changed)()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.rebuild:
			p.Rebuild()
		}
	}
}

// configured takes over a new configuration: who is a neighbour, how fast
// failures are noticed, when links are retried.
func (p *Pipeline) configured(conf *directory.Configuration) {
	members, timings, addresses := topo.Members(conf, p.self)
	p.links.SetMembers(members, timings, addresses)
	p.queues.SetClock(clockOf(conf, p.cfg.Self.Name))
	p.Servers.Update()
	p.changed()
}

func (p *Pipeline) changed() {
	select {
	case p.rebuild <- struct{}{}:
	default: // one is due anyway
	}
}

// clockOf is the retry clock of a server's first virtual server.
func clockOf(conf *directory.Configuration, server string) queue.Clock {
	c := queue.DefaultClock()
	list := conf.VirtualServersOf(server)
	if len(list) == 0 {
		return c
	}
	r := list[0].Spec.GetRetry()
	if r == nil {
		return c
	}
	for _, f := range []struct {
		to    *time.Duration
		given *durationpb.Duration
	}{
		{&c.First, r.First}, {&c.Second, r.Second}, {&c.Third, r.Third}, {&c.Subsequent, r.Subsequent},
		{&c.DelayNotice, r.DelayNotice}, {&c.Expiration, r.Expiration},
	} {
		if f.given != nil {
			*f.to = f.given.AsDuration()
		}
	}
	return c
}

// dnsServers are the name servers that a server's first virtual server names
// for external domains.
func dnsServers(conf *directory.Configuration, server string) []string {
	list := conf.VirtualServersOf(server)
	if len(list) == 0 {
		return nil
	}
	return list[0].Spec.GetOutbound().GetDnsServers()
}
