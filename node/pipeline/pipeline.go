package pipeline

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/gossip"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/pickup"
	"github.com/postroad/postroad/node/pressure"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/submit"
	"github.com/postroad/postroad/node/topo"
	"github.com/postroad/postroad/node/track"
	"github.com/postroad/postroad/node/trust"
	"github.com/postroad/postroad/node/vserver"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// Config is what the stages stand on.
type Config struct {
	Self     directory.Server // this node, as the catalog has it at the start
	Version  string
	Data     string // the node's folder
	Spool    *spool.Spool
	Pressure *pressure.Sampler
	Catalog  *catalog.Catalog
	Tracking *track.Log
	Identity *trust.Identity
	// Metrics gets those of the stages; nil: none.
	Metrics prometheus.Registerer
	// Gossip is where neighbours call.
	Gossip net.Listener
	Logger *zap.Logger
}

// Pipeline is a node's stages, wired.
type Pipeline struct {
	cfg  Config
	self mail.GUID

	Servers  *vserver.Set
	pickup   *pickup.Pickup
	replay   *pickup.Pickup
	submit   *submit.Submitter
	category *categorize.Categorizer
	routes   *route.Route
	queues   *queue.Runner
	reports  *reporter
	agent    *deliver.Agent
	links    *gossip.Runner

	dns       *resolvers
	fetching  *fetching
	inquiries inquiries
	acted     acted
	ruled     string          // which rules the queues have
	ctx       context.Context // ends with the queues
	cancel    context.CancelFunc

	traffic  *traffic
	drained  map[drainable]drainState // as the log has it
	version  atomic.Uint64            // of the routing table
	changes  route.History
	past     *past
	follower topo.Follower // of Rebuild alone
	rebuild  chan struct{} // the map changed
	regate   chan struct{} // the table, and with it the schedules
}

// New wires the stages. Nothing moves before the Run methods are called.
func New(c Config) (*Pipeline, error) {
	p := &Pipeline{cfg: c, self: mail.GUID(c.Self.GUID), rebuild: make(chan struct{}, 1), regate: make(chan struct{}, 1)}
	p.traffic = newTraffic(filepath.Join(c.Data, "load"), c.Logger.Named("routing"), time.Now())
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.inquiries.probe = func(ctx context.Context, k mail.GUID) error { return p.probe(ctx, k, mail.GUID{}) }
	p.inquiries.report = func(k mail.GUID, ok bool, reason string) { p.links.ReportLink(k, ok, reason) }
	if err := p.wireIn(); err != nil {
		return nil, err
	}
	if err := p.wireOut(); err != nil {
		return nil, err
	}
	if err := p.wireLinks(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// wireIn makes what takes mail.
func (p *Pipeline) wireIn() (err error) {
	c := p.cfg
	// A client's message: virtual server -> spool -> queue runner.
	p.submit = submit.New(submit.Config{
		Store: c.Spool,
		Node:  p.self,
		Group: p.group,
		Next:  p.accepted,
	})
	p.dns = &resolvers{config: c.Catalog.Config, self: c.Self}
	if c.Metrics != nil {
		c.Metrics.MustRegister(p.dns)
	}
	p.Servers = vserver.NewSet(vserver.Deps{
		Resolver: p.dns.of(mail.Hop{}),
		ForNode:  trust.AsksForNode,
		Archive:  p.archive,
		Data:     c.Data,
		Metrics:  c.Metrics,

		MaxConnections: inboundShare(),

		Self:      p.self,
		Directory: c.Catalog,
		Submitter: p.submit,
		Foresee:   p.foresee,
		Full:      func() bool { return p.pressed() == pressure.High },
		Slow:      func() bool { return p.pressed() == pressure.Medium },
		Node:      p.nodeAt,
		LinkState: linkState{p},
		Triggers:  triggers{p},
		TLS:       c.Identity.MailTLS(),
		Logger:    c.Logger.Named("smtp"),
	})

	// A message of a program on this host: pickup folder -> spool -> queue runner.
	if p.pickup, err = p.newPickup(pickup.Folder); err != nil {
		return err
	}
	p.replay, err = p.newPickup(pickup.Replay)
	return err
}

// wireOut makes what finds the way of mail, and sends it.
func (p *Pipeline) wireOut() (err error) {
	c := p.cfg
	// Its recipients, and the next hop for each destination.
	p.category = categorize.New(c.Catalog, p.self)
	p.routes = route.New()
	if p.past, err = newPast(filepath.Join(c.Data, "history"), c.Logger.Named("routing")); err != nil {
		return err
	}
	p.version.Store(p.past.Last()) // numbers go on, so that what names one means the same after a restart

	// Its way out.
	p.agent = deliver.New(deliver.Options{
		Hostname:    c.Self.Spec.GetFqdn(),
		NodeTLS:     p.mailTLSTo,
		Settings:    p.settings,
		MaildirRoot: p.maildirRoot(),
		Quota:       p.quota,
		Passport:    p.passport,
		Logger:      c.Logger.Named("deliver"),
	})
	p.fetching = newFetching(p)
	p.reports = &reporter{
		submit: p.submit, config: c.Catalog.Config, hostname: c.Self.Spec.GetFqdn(),
		server: c.Self.Name, badmail: filepath.Join(c.Data, "badmail"), counts: filepath.Join(c.Data, "reports"),
		metrics: newReportMetrics(c.Metrics), log: c.Logger.Named("reports"),
	}
	p.reports.restore(time.Now())
	senders := sendersOf(c.Catalog.Config(), c.Self.Name)
	p.queues = queue.New(queue.Config{
		Store:       c.Spool,
		Router:      router{p.routes, c.Catalog.Config},
		Agent:       agent{p.agent, p.fetching.delivered},
		Categorizer: categorizer{p.category},
		Reporter:    p.reports,
		Rules:       p.rules(c.Catalog.Config()),
		Describe: func(d mail.Destination) string {
			return p.destination(queue.Info{Destination: d, Kind: queue.KindLocal})
		},
		SizeLimits: p.routes.SizeLimits,
		Events:     p.event,
		Links:      p.linkResult,
		Clock:      senders.Default.Clock,
		Limits:     senders.Default.Limits,
		Own:        senders.Own,

		Connections: senders.Connections,
		Logger:      c.Logger.Named("queue"),
	})
	return nil
}

// settings are those of delivery over a hop at this moment.
func (p *Pipeline) settings(h mail.Hop) deliver.Settings {
	conf := p.cfg.Catalog.Config()
	s := settingsOf(conf, sendsBy(conf, p.cfg.Self.Name, h))
	s.Resolver = p.dns.of(h)
	return s
}

// wireLinks makes what the organisation knows of its links.
func (p *Pipeline) wireLinks() (err error) {
	c := p.cfg
	p.links, err = gossip.New(gossip.Config{
		Self:         p.self,
		Organization: mail.GUID(c.Catalog.Config().Organization().GUID),
		Version:      c.Version,
		Listener:     c.Gossip,
		ServerTLS:    c.Identity.ServerTLS(),
		Identify:     p.identify,
		ClientTLS:    p.gossipTLS,
		DialMail:     p.dialMail,
		StatePath:    filepath.Join(c.Data, "linkstate"),
		Probe:        p.probe,
		Load:         p.load,
		Names:        p.names(),
		Logger:       c.Logger.Named("linkstate"),
	})
	return err
}

// Close ends what New opened; nothing of the pipeline runs any more.
func (p *Pipeline) Close() error { return p.past.Close() }

// accepted is the hand-over from acceptance to the queues.
func (p *Pipeline) accepted(e *mail.Envelope) {
	p.received(e)
	p.queues.Enqueue(e.ID, e)
}

// RunLinks gossips until ctx ends.
func (p *Pipeline) RunLinks(ctx context.Context) error { return p.links.Run(ctx) }

// RunPickup takes mail from the pickup and replay folders until ctx ends.
func (p *Pipeline) RunPickup(ctx context.Context) error {
	var replay sync.WaitGroup
	var err error
	replay.Go(func() { err = p.replay.Run(ctx) })
	first := p.pickup.Run(ctx)
	replay.Wait()
	return errors.Join(first, err)
}

// RunQueues moves mail until ctx ends, then finishes what is in flight.
func (p *Pipeline) RunQueues(ctx context.Context) error {
	var saving sync.WaitGroup
	saving.Go(func() { p.reports.run(ctx) })
	err := p.queues.Run(ctx)
	saving.Wait()
	p.reports.save(time.Now())
	p.cancel()
	p.inquiries.wg.Wait()
	return err
}

// pressed is how short of something this node is.
func (p *Pipeline) pressed() pressure.Level {
	level, _ := p.cfg.Pressure.Level()
	return level
}

// group is the routing group that this node is in now.
func (p *Pipeline) group() mail.GUID {
	conf := p.cfg.Catalog.Config()
	s, ok := conf.ServerByGUID(directory.GUID(p.self))
	if !ok {
		return mail.GUID{}
	}
	g, _ := conf.Group(s.Spec.GetRoutingGroup())
	return mail.GUID(g.GUID)
}

// nodeAt names the node of this organisation at the other end of a connection.
func (p *Pipeline) nodeAt(s tls.ConnectionState) (mail.GUID, bool) {
	g, err := p.identify(s)
	return g, err == nil
}

var (
	errNoNode  = errors.New("the certificate is not that of a node of this organisation")
	errUnknown = errors.New("the directory has no such server")
)

func (p *Pipeline) identify(s tls.ConnectionState) (mail.GUID, error) {
	name, ok := p.cfg.Identity.PeerServer(s)
	if !ok {
		return mail.GUID{}, errNoNode
	}
	srv, ok := p.cfg.Catalog.Config().Server(name)
	if !ok {
		return mail.GUID{}, errUnknown
	}
	return mail.GUID(srv.GUID), nil
}

// tlsTo admits only the named server.
func (p *Pipeline) tlsTo(server mail.GUID) *tls.Config {
	srv, ok := p.cfg.Catalog.Config().ServerByGUID(directory.GUID(server))
	if !ok {
		return nil
	}
	return p.cfg.Identity.ClientTLS(srv.Name)
}

// mailTLSTo is tlsTo for its mail listener, which may have other certificates.
func (p *Pipeline) mailTLSTo(server mail.GUID) *tls.Config {
	srv, ok := p.cfg.Catalog.Config().ServerByGUID(directory.GUID(server))
	if !ok {
		return nil
	}
	return p.cfg.Identity.MailClientTLS(srv.Name)
}

func (p *Pipeline) gossipTLS(peer mail.GUID) (*tls.Config, error) {
	if c := p.tlsTo(peer); c != nil {
		return c, nil
	}
	return nil, errUnknown
}

// maildirRoot is where mailboxes without another store are.
func (p *Pipeline) maildirRoot() string {
	if root := p.cfg.Self.Spec.GetLocalDelivery().GetMaildir().GetRoot(); root != "" {
		return root
	}
	return filepath.Join(p.cfg.Data, "maildir")
}

// quota is what the directory allows a target's mailbox. A catalog that cannot
// tell now bounds nothing.
func (p *Pipeline) quota(t mail.Target) deliver.Quota {
	o, _, err := p.cfg.Catalog.Lookup(t.Address.Key())
	if err != nil {
		return deliver.Quota{}
	}
	q := o.GetRecipient().GetMailbox().GetQuota()
	return deliver.Quota{Size: q.GetSize(), Count: int64(q.GetCount())}
}

// passport is what a message carries to the next node.
func (p *Pipeline) passport(e *mail.Envelope, h mail.Hop) string {
	pass := codec.PassportOf(e)
	pass.Connector, pass.Revision = h.Travel, p.cfg.Catalog.Revision()
	return codec.EncodePassport(pass)
}

func (p *Pipeline) load() gossip.Load {
	return gossip.Load{DirectoryRevision: p.cfg.Catalog.Revision(), Queued: p.cfg.Spool.Stats().Messages}
}
