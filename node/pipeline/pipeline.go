package pipeline

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/gossip"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/submit"
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
	Catalog  *catalog.Catalog
	Tracking *track.Log
	Identity *trust.Identity
	// Gossip is where neighbours call.
	Gossip net.Listener
	Logger *zap.Logger
}

// Pipeline is a node's stages, wired.
type Pipeline struct {
	cfg  Config
	self mail.GUID

	Servers  *vserver.Set
	submit   *submit.Submitter
	category *categorize.Categorizer
	routes   *route.Route
	queues   *queue.Runner
	agent    *deliver.Agent
	links    *gossip.Runner

	inquiries inquiries
	ctx       context.Context // ends with the queues
	cancel    context.CancelFunc

	version atomic.Uint64 // of the routing table
	history route.History
	rebuild chan struct{} // the map changed
}

// New wires the stages. Nothing moves before the Run methods are called.
func New(c Config) (*Pipeline, error) {
	p := &Pipeline{cfg: c, self: mail.GUID(c.Self.GUID), rebuild: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.inquiries.probe = func(ctx context.Context, k mail.GUID) error { return p.probe(ctx, k, mail.GUID{}) }
	p.inquiries.report = func(k mail.GUID, ok bool, reason string) { p.links.ReportLink(k, ok, reason) }

	// A client's message: virtual server -> spool -> queue runner.
	p.submit = submit.New(submit.Config{
		Store: c.Spool,
		Group: p.group,
		Next:  p.accepted,
	})
	p.Servers = vserver.NewSet(vserver.Deps{
		Self:      p.self,
		Directory: c.Catalog,
		Submitter: p.submit,
		Full:      func() bool { return c.Spool.Level() == spool.High },
		Node:      p.nodeAt,
		TLS:       c.Identity.MailTLS(),
		Logger:    c.Logger.Named("smtp"),
	})

	// Its recipients, and the next hop for each destination.
	p.category = categorize.New(c.Catalog, p.self)
	p.routes = route.New()

	// Its way out.
	p.agent = deliver.New(deliver.Options{
		Hostname:    c.Self.Spec.GetFqdn(),
		NodeTLS:     p.tlsTo,
		Resolver:    &resolver{config: c.Catalog.Config, self: c.Self},
		Timeouts:    deliver.Timeouts{Idle: idleOf(c.Catalog.Config(), c.Self.Name)},
		MaildirRoot: p.maildirRoot(),
		Passport:    p.passport,
		Logger:      c.Logger.Named("deliver"),
	})
	p.queues = queue.New(queue.Config{
		Store:       c.Spool,
		Router:      p.routes,
		Agent:       agent{p.agent},
		Categorizer: categorizer{p.category},
		Reporter: &reporter{
			submit: p.submit, config: c.Catalog.Config, hostname: c.Self.Spec.GetFqdn(),
			clock: func() queue.Clock { return clockOf(c.Catalog.Config(), c.Self.Name) },
		},
		SizeLimits: p.routes.Limits,
		Events:     p.event,
		Links:      p.linkResult,
		Clock:      clockOf(c.Catalog.Config(), c.Self.Name),
		Limits:     limitsOf(c.Catalog.Config(), c.Self.Name),
		Logger:     c.Logger.Named("queue"),
	})

	// What the organisation knows of its links.
	var err error
	p.links, err = gossip.New(gossip.Config{
		Self:         p.self,
		Organization: mail.GUID(c.Catalog.Config().Organization().GUID),
		Version:      c.Version,
		Listener:     c.Gossip,
		ServerTLS:    c.Identity.ServerTLS(),
		Identify:     p.identify,
		ClientTLS:    p.gossipTLS,
		StatePath:    filepath.Join(c.Data, "linkstate"),
		Probe:        p.probe,
		Load:         p.load,
		Names:        p.names(),
		Logger:       c.Logger.Named("linkstate"),
	})
	return p, err
}

// accepted is the hand-over from acceptance to the queues.
func (p *Pipeline) accepted(e *mail.Envelope) {
	p.received(e)
	p.queues.Enqueue(e.ID, e)
}

// RunLinks gossips until ctx ends.
func (p *Pipeline) RunLinks(ctx context.Context) error { return p.links.Run(ctx) }

// RunQueues moves mail until ctx ends, then finishes what is in flight.
func (p *Pipeline) RunQueues(ctx context.Context) error {
	err := p.queues.Run(ctx)
	p.cancel()
	p.inquiries.wg.Wait()
	return err
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

// passport is what a message carries to the next node.
func (p *Pipeline) passport(e *mail.Envelope, h mail.Hop) string {
	pass := codec.PassportOf(e)
	pass.Connector, pass.Revision = h.Travel, p.cfg.Catalog.Revision()
	return codec.EncodePassport(pass)
}

func (p *Pipeline) load() gossip.Load {
	return gossip.Load{DirectoryRevision: p.cfg.Catalog.Revision(), Queued: p.cfg.Spool.Stats().Messages}
}
