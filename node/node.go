package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/postroad/postroad/node/admin"
	"github.com/postroad/postroad/node/pipeline"
	"github.com/postroad/postroad/node/pressure"
	"github.com/postroad/postroad/node/track"
	"github.com/postroad/postroad/node/trust"
	"github.com/postroad/postroad/store/catalog"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// Deps are what a node may be given instead of making it itself; the zero value
// is what a process of its own wants.
type Deps struct {
	// Version of the software, shown to everyone.
	Version string
	// Logger; nil: to standard error, as the configuration says.
	Logger *zap.Logger
	// Disk is the file system of the spool; nil: the operating system's.
	Disk spool.FS
	// Gossip and Admin are listeners that exist already; nil: made by Run.
	Gossip, Admin net.Listener
	// Manager is told how the node fares; nil: nobody is.
	Manager Manager
}

// Manager is who started the node and wants to know how far it is.
type Manager interface {
	// Status is one line for people.
	Status(text string)
	// Ready says that the node takes mail.
	Ready()
	// Stopping says that it takes no more.
	Stopping()
}

type nobody struct{}

func (nobody) Status(string) {}
func (nobody) Ready()        {}
func (nobody) Stopping()     {}

// Node is one node.
type Node struct {
	cfg      Config
	deps     Deps
	log      *zap.Logger
	flushLog func() error
	identity *trust.Identity
	started  time.Time
	// diskTimeout is that of the spool; 0: its default.
	diskTimeout time.Duration

	mu    sync.Mutex
	boot  []BootEvent
	ready chan struct{}
}

// BootEvent is one step of the boot, reached After the start.
type BootEvent struct {
	Name  string
	After time.Duration
}

// New checks what can be checked without touching the node's data.
func New(c Config, d Deps) (*Node, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	identity, err := trust.Load(c.TLS)
	if err != nil {
		return nil, err
	}
	want := trust.Name{Organization: c.Organization, Role: trust.RoleServer, Name: c.Name}
	if identity.Name != want {
		return nil, fmt.Errorf("tls.cert %s is for %s; this node is %s: put this node's certificate there, or correct name and organization in the configuration", c.TLS.Cert, identity.Name, want)
	}
	log, flush := d.Logger, func() error { return nil }
	if log == nil {
		if log, flush, err = newLogger(c.Log); err != nil {
			return nil, err
		}
	}
	if d.Manager == nil {
		d.Manager = nobody{}
	}
	timeout, err := c.diskTimeout()
	if err != nil {
		return nil, err
	}
	return &Node{
		cfg: c, deps: d, identity: identity, ready: make(chan struct{}), diskTimeout: timeout,
		log: log.With(zap.String("node", c.Name)), flushLog: flush,
	}, nil
}

// Ready is closed when the boot is complete.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Boot lists the steps reached so far.
func (n *Node) Boot() []BootEvent {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]BootEvent(nil), n.boot...)
}

func (n *Node) reached(name string) {
	e := BootEvent{name, time.Since(n.started)}
	n.mu.Lock()
	n.boot = append(n.boot, e)
	n.mu.Unlock()
	n.log.Info("boot", zap.String("reached", name), zap.Duration("after", e.After))
	n.deps.Manager.Status("booting: reached " + name)
}

// Run boots the node and runs it until ctx ends or a part fails, then drains it.
// It may be called once. A clean stop returns nil.
func (n *Node) Run(ctx context.Context) error {
	n.started = time.Now()
	p := newParts(n.log)
	up, err := p.boot(ctx, stopLimit, func(ctx context.Context) error { return n.start(ctx, p) })
	if up {
		select {
		case <-ctx.Done():
		case err = <-p.failed:
		}
	}
	if late := (*overdueError)(nil); errors.As(err, &late) {
		return err
	}
	return n.end(p, err)
}

// end stops what runs; err is why, nil: it was asked to. It returns even if the log hangs,
// which may go to a file on the disk that failed.
func (n *Node) end(p *parts, err error) error {
	n.deps.Manager.Stopping()
	limit := stopLimit
	if errors.Is(err, spool.ErrFailed) {
		limit = failedLimit
	}
	var unwritten error
	late := p.await(limit, func() {
		p.ending.Store("log")
		switch {
		case errors.Is(err, spool.ErrFailed):
			n.log.Error("storage_failed", zap.Error(err), zap.String("cure", "the node ends; start it again when the disk is well"))
		case err != nil:
			n.log.Error("stopping", zap.Error(err)) // of its own accord
		default:
			n.log.Info("stopping")
		}
		p.stopAll()
		p.ending.Store("log")
		n.log.Info("stopped")
		unwritten = n.flushLog()
	})
	if late != nil {
		return errors.Join(err, late)
	}
	return errors.Join(err, unwritten)
}

// How long a node may take to stop: longer than what it drains, shorter than the
// patience of service managers (systemd: 90 s). Once its storage failed there is
// nothing to be saved.
const (
	stopLimit   = 75 * time.Second
	failedLimit = 30 * time.Second
)

// start is the boot: each step stands on the ones before.
func (n *Node) start(ctx context.Context, p *parts) error {
	observe, err := newObservatory(n, p)
	if err != nil {
		return err
	}
	// The first to touch the disk: it does not wait for ever for one that does not answer.
	s, err := n.openSpool(p, observe)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	c, err := n.openCatalog(p)
	if err != nil {
		return err
	}
	tracking, err := n.openTracking(p, observe)
	if err != nil {
		return err
	}
	d, err := n.followDirectory(ctx, p, c)
	if err != nil {
		return err
	}
	self, err := n.awaitConfiguration(ctx, c)
	if err != nil {
		return err
	}
	p.run("certificates", n.followIdentity)
	pressed := n.watchPressure(p, s, c)
	pipe, err := n.startPipeline(p, pipelineParts{s, c, tracking, self, observe.registry, pressed})
	if err != nil {
		return err
	}
	observe.watch(pipe, s, c, pressed)
	a, err := n.startAdmin(p, view{pipe, observe.ledger, n, d, c, s, pressed, self})
	if err != nil {
		return err
	}
	p.add("smtp", func() { n.closeServers(pipe) })
	p.port(func() { n.closeServers(pipe) })
	if err := pipe.Servers.Start(); err != nil {
		return err
	}
	p.run("virtual servers", pipe.Servers.Run)
	p.run("pickup", pipe.RunPickup)
	p.run("dequeue", pipe.RunDequeue)
	n.reached("smtp")
	a.SetReady(true)
	n.reached("ready")
	close(n.ready)
	n.deps.Manager.Ready()
	return nil
}

type pipelineParts struct {
	spool    *spool.Spool
	catalog  *catalog.Catalog
	tracking *track.Log
	self     directory.Server
	metrics  prometheus.Registerer
	pressure *pressure.Sampler
}

func (n *Node) startPipeline(p *parts, with pipelineParts) (*pipeline.Pipeline, error) {
	l, err := n.listen(p, "gossip", n.deps.Gossip, n.cfg.Gossip, directory.GossipAddress(with.self.Spec))
	if err != nil {
		return nil, err
	}
	pipe, err := pipeline.New(pipeline.Config{
		Self: with.self, Version: n.deps.Version, Data: n.cfg.Data, Spool: with.spool, Pressure: with.pressure, Catalog: with.catalog,
		Tracking: with.tracking, Identity: n.identity, Gossip: l, Metrics: with.metrics, Logger: n.log,
	})
	if err != nil {
		l.Close()
		return nil, err
	}
	p.add("history", func() { n.closed("history", pipe.Close()) })
	p.run("link state", pipe.RunLinks)
	n.reached("link state")
	pipe.Rebuild()
	p.run("routing", pipe.RunMap)
	p.run("load", pipe.RunLoad)
	n.reached("routing")
	p.run("queues", pipe.RunQueues)
	n.reached("queues")
	return pipe, nil
}

func (n *Node) startAdmin(p *parts, v view) (*admin.Server, error) {
	l, err := n.listen(p, "admin API", n.deps.Admin, n.cfg.Admin, directory.AdminAddress(v.self.Spec))
	if err != nil {
		return nil, err
	}
	a, err := admin.New(admin.Config{
		Socket: n.cfg.AdminSocket, Listener: l, TLS: n.identity.ServerTLS(), MayChange: n.mayChange, FromNode: n.fromNode,
		ClientTLS: n.identity.ClientTLS, Node: v, Directory: v.directory, Catalog: catalogView{v.catalog}, Logger: n.log.Named("admin"),
	})
	if err != nil {
		l.Close()
		return nil, err
	}
	p.run("admin API", a.Run)
	n.reached("admin")
	return a, nil
}

// listen gives a listener: l if that is not nil, or one on the configured address,
// or on the port of the Server object.
func (n *Node) listen(p *parts, what string, l net.Listener, configured, fromDirectory string) (net.Listener, error) {
	if l == nil {
		address := configured
		if address == "" {
			_, port, err := net.SplitHostPort(fromDirectory)
			if err != nil {
				return nil, fmt.Errorf("%s: address %q of server %s: %w", what, fromDirectory, n.cfg.Name, err)
			}
			address = ":" + port
		}
		var err error
		if l, err = net.Listen("tcp", address); err != nil {
			return nil, fmt.Errorf("%s cannot listen: %w; stop the other program, or set another address in the node's configuration", what, err)
		}
	}
	p.port(func() { _ = l.Close() })
	return l, nil
}

// closeServers ends the SMTP sessions: idle ones at once with 421, those within
// a message when it has been taken.
func (n *Node) closeServers(pipe *pipeline.Pipeline) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.closed("smtp", pipe.Servers.Shutdown(ctx))
}

func (n *Node) closed(part string, err error) {
	if err != nil {
		n.log.Error("closing", zap.String("part", part), zap.Error(err))
	}
}
