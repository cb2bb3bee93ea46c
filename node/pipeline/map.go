package pipeline

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/topo"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Rebuild makes the first routing table; RunMap keeps it current.
func (p *Pipeline) Rebuild() {
	conf := p.cfg.Catalog.Config()
	start := time.Now()
	t := topo.Build(conf, p.links.Table(), p.self, p.version.Add(1))
	p.routes.Update(t, conf)
	took := time.Since(start)
	p.history.Note(p.routes, start, took)
	p.cfg.Logger.Named("routing").Info("table_built", zap.Uint64("table", t.Version),
		zap.Int64("directory_revision", conf.Revision()), zap.Duration("took", took))
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
	if _, here := conf.ServerByGUID(directory.GUID(p.self)); !here && conf.HasOrganization() {
		p.cfg.Logger.Warn("server_not_in_directory", zap.Int64("directory_revision", conf.Revision()), zap.String("cure",
			"neighbours ignore this node now; stop it when its queues are empty, or apply its Server object again"))
	}
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
	var spec *directoryv1.RetryClock
	if list := conf.VirtualServersOf(server); len(list) > 0 {
		spec = list[0].Spec.GetRetry()
	}
	t := directory.Retry(spec)
	c := queue.DefaultClock()
	c.First, c.Second, c.Third, c.Subsequent = t.First, t.Second, t.Third, t.Subsequent
	c.DelayNotice, c.Expiration = t.DelayNotice, t.Expiration
	// Where no connector says how a glitch is retried (inside a group, the local
	// store), waiting longer for that than for the first real retry is no sense.
	c.GlitchWait = min(c.GlitchWait, c.First)
	return c
}

// limitsOf are the connection limits of a server's first virtual server. On one
// link more connections than the default of the queue pay only where each is
// slow; the virtual server says so by setting its own.
func limitsOf(conf *directory.Configuration, server string) queue.Limits {
	var l queue.Limits
	if list := conf.VirtualServersOf(server); len(list) > 0 {
		o := list[0].Spec.GetOutbound()
		l.Connections, l.PerLink = int(o.GetMaxConnections()), int(o.GetMaxConnectionsPerLink())
	}
	return l
}

// idleOf is how long a server's first virtual server keeps connections without
// mail; 0 leaves it to the default of delivery.
func idleOf(conf *directory.Configuration, server string) time.Duration {
	if list := conf.VirtualServersOf(server); len(list) > 0 {
		return list[0].Spec.GetOutbound().GetIdleTimeout().AsDuration()
	}
	return 0
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
