package node

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/track"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

func (n *Node) openSpool(p *parts, o *observatory) (*spool.Spool, error) {
	s, err := spool.Open(filepath.Join(n.cfg.Data, "spool"), spool.Options{
		Logger: n.log.Named("spool"), MinFree: n.cfg.MinFree, Recipients: queue.Recipients, FS: n.deps.Disk, DiskTimeout: n.diskTimeout,
	})
	if err != nil {
		return nil, err
	}
	p.add("spool", func() { n.closed("spool", s.Close()) })
	p.run("spool", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Failed():
			return fmt.Errorf("%w; the node must be started again (nothing acknowledged is lost)", s.Err())
		}
	})
	o.ledger = &accountant{node: n.cfg.Name, log: n.log.Named("ledger"), book: s}
	o.registry.MustRegister(o.ledger)
	p.run("ledger", o.ledger.run)
	n.reached("spool")
	return s, nil
}

func (n *Node) openCatalog(p *parts) (*catalog.Catalog, error) {
	c, err := catalog.Open(filepath.Join(n.cfg.Data, "catalog"), catalog.Options{Logger: n.log.Named("catalog")})
	if err != nil {
		return nil, err
	}
	p.add("catalog", func() { n.closed("catalog", c.Close()) })
	n.reached("catalog")
	return c, nil
}

func (n *Node) openTracking(p *parts, o *observatory) (*track.Log, error) {
	t, err := track.New(track.Config{Dir: filepath.Join(n.cfg.Data, "tracking"), Metrics: o.registry, Logger: n.log.Named("tracking")})
	if err != nil {
		return nil, err
	}
	p.add("tracking", func() { n.closed("tracking", t.Close()) })
	n.reached("tracking")
	return t, nil
}

func (n *Node) followDirectory(ctx context.Context, p *parts, c *catalog.Catalog) (*directory.Directory, error) {
	tls, err := n.etcdTLS()
	if err != nil {
		return nil, err
	}
	d, err := directory.Open(ctx, directory.Config{
		Endpoints: n.cfg.Etcd.Endpoints, TLS: tls, Organization: n.cfg.Organization, Logger: n.log.Named("directory"),
	})
	if err != nil {
		return nil, err
	}
	p.add("directory", func() { n.closed("directory", d.Close()) })
	p.run("catalog's following", func(ctx context.Context) error { return c.Follow(ctx, d) })
	n.reached("directory")
	return d, nil
}

// awaitConfiguration waits until the catalog knows this server. A catalog from
// an earlier run does at once, whether etcd answers or not.
func (n *Node) awaitConfiguration(ctx context.Context, c *catalog.Catalog) (directory.Server, error) {
	found := make(chan directory.Server, 1)
	defer c.Subscribe(func(conf *directory.Configuration) {
		if s, ok := conf.Server(n.cfg.Name); ok && conf.HasOrganization() {
			select {
			case found <- s:
			default:
			}
		}
	})()
	remind := time.NewTicker(5 * time.Second)
	defer remind.Stop()
	for {
		select {
		case s := <-found:
			n.reached("configuration")
			return s, nil
		case <-ctx.Done():
			return directory.Server{}, ctx.Err()
		case <-remind.C:
			reason, cure := missing(n.cfg.Name, c.Revision())
			n.deps.Manager.Status("waiting for the configuration: " + reason)
			n.log.Warn("waiting_for_configuration", zap.Strings("etcd", n.cfg.Etcd.Endpoints), zap.String("reason", reason), zap.String("cure", cure))
		}
	}
}

// missing is why a node has no configuration, and what to do: its catalog is of the
// directory's revision, 0 if it has none of it yet.
func missing(name string, revision int64) (reason, cure string) {
	if revision == 0 {
		return "nothing has been read of the directory yet",
			"look above for directory_watch_interrupted (etcd is away, or refuses this node) and catalog_follow_failed (the catalog's disk)"
	}
	return fmt.Sprintf("the directory, revision %d, has no Organization or no Server called %s", revision, name),
		"write them with postroad import (the first time) or postroadctl apply, or correct name and organization in the configuration"
}
