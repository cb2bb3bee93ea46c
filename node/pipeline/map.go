package pipeline

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/topo"
	"github.com/postroad/postroad/store/directory"
)

// Rebuild makes the first routing table; RunMap keeps it current.
func (p *Pipeline) Rebuild() {
	conf := p.cfg.Catalog.Config()
	start := time.Now()
	links := p.links.Table()
	version, err := p.past.Next()
	if err != nil {
		p.past.log.Warn("history_not_saved", zap.Uint64("table", version), zap.Error(err))
	}
	t := p.follower.Next(conf, links, p.self, version)
	p.version.Store(version)
	p.routes.Update(t, conf)
	took := time.Since(start)
	select {
	case p.regate <- struct{}{}:
	default:
	}
	if c, changed := p.changes.Note(p.routes, start, took); changed {
		p.keep(c, conf, links)
	}
	p.cfg.Logger.Named("routing").Info("table_built", zap.Uint64("table", t.Version),
		zap.Int64("directory_revision", conf.Revision()), zap.Duration("took", took))
}

// RunMap follows the directory and the link state until ctx ends. Changes in
// quick succession share one rebuild.
func (p *Pipeline) RunMap(ctx context.Context) error {
	defer p.cfg.Catalog.Subscribe(p.configured)()
	defer p.links.Subscribe(p.changed)()
	var gates sync.WaitGroup
	gates.Go(func() { p.runGates(ctx) })
	defer gates.Wait()
	paced(ctx, p.rebuild, func() time.Duration {
		start := time.Now()
		p.Rebuild()
		return time.Since(start)
	})
	return nil
}

// configured takes over a new configuration: who is a neighbour, how fast
// failures are noticed, when links are retried.
func (p *Pipeline) configured(conf *directory.Configuration) {
	if _, here := conf.ServerByGUID(directory.GUID(p.self)); !here && conf.HasOrganization() {
		p.cfg.Logger.Warn("server_not_in_directory", zap.Int64("directory_revision", conf.Revision()), zap.String("cure",
			"neighbours ignore this node now; stop it when its queues are empty, or apply its Server object again"))
	}
	members, timings, addresses := topo.Members(conf, p.self)
	p.links.SetCarriers(carriers(conf, p.self))
	p.links.SetMembers(members, timings, addresses)
	p.drains(conf)
	p.applyRules(conf)
	p.queues.SetSenders(sendersOf(conf, p.cfg.Self.Name))
	p.Servers.Update()
	p.changed()
}

func (p *Pipeline) changed() {
	select {
	case p.rebuild <- struct{}{}:
	default: // one is due anyway
	}
}
