package node

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postroad/postroad/deploy/scenarios"
	"github.com/postroad/postroad/node/trust"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// patience bounds what has no limit of its own in these tests.
const patience = 20 * time.Second * slowdown

// cluster is the organisation of deploy/scenarios/three-sites.yaml in this
// process, with a real etcd and very short timers.
type cluster struct {
	t    *testing.T
	dir  string
	objs []*directoryv1.Object
	ca   *trust.Authority
	etcd *directory.Embedded
	// directory is an administrator's connection to etcd.
	directory *directory.Directory
	members   map[string]*member
	// disk is that of nodes launched from now on, nil: the operating system's; and how long
	// it may not answer, 0: the default.
	disk        spool.FS
	diskTimeout time.Duration
}

// member is one node. Its folder and its addresses outlive a restart.
type member struct {
	cfg    Config
	smtp   string
	node   *Node
	cancel context.CancelFunc
	done   chan error // nil while the node is stopped
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), members: map[string]*member{}}
	objs, err := directory.DecodeYAML(bytes.NewReader(scenarios.ThreeSites), "three-sites.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.objs = objs
	if c.ca, err = trust.OpenAuthority(filepath.Join(c.dir, "ca"), "example", time.Now()); err != nil {
		t.Fatal(err)
	}
	c.hurry()
	c.startEtcd()
	c.settle()
	t.Cleanup(c.stop)
	c.apply(c.objs...)
	for _, name := range c.names() {
		c.launch(name)
	}
	for _, name := range c.names() {
		c.awaitReady(name)
	}
	return c
}

// hurry makes the organisation's timers as short as a loaded machine with the
// race detector bears.
func (c *cluster) hurry() {
	ms := func(n int) *durationpb.Duration {
		return durationpb.New(time.Duration(n) * time.Millisecond * slowdown)
	}
	for _, o := range c.objs {
		switch {
		case o.GetOrganization() != nil:
			o.GetOrganization().LinkState = &directoryv1.LinkStateTimings{
				Keepalive: ms(100), SuspectAfter: ms(500), RefuteWithin: ms(300), AntiEntropy: ms(1000),
			}
		case o.GetVirtualServer() != nil:
			r := o.GetVirtualServer().GetRetry()
			r.First, r.Second, r.Third, r.Subsequent = ms(100), ms(100), ms(200), ms(200)
		case o.GetRoutingGroupConnector() != nil:
			d := o.GetRoutingGroupConnector().GetDetection()
			d.GlitchInterval, d.ProbeInterval = ms(50), ms(200)
		}
	}
}

func (c *cluster) startEtcd() {
	c.t.Helper()
	f := c.issue(trust.Name{Organization: "example", Role: trust.RoleServer, Name: "etcd"})
	e, err := directory.Embed(c.t.Context(), directory.EmbedConfig{
		Dir: filepath.Join(c.dir, "etcd"),
		TLS: &directory.EmbedTLS{CAFile: f.CA, CertFile: f.Cert, KeyFile: f.Key},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.etcd = e
	id, err := trust.Load(c.issue(trust.Name{Organization: "example", Role: trust.RoleAdmin, Name: "operator"}))
	if err != nil {
		c.t.Fatal(err)
	}
	c.directory, err = directory.Open(context.Background(), directory.Config{
		Endpoints: e.Endpoints(), TLS: id.ClientTLS("etcd"), Organization: "example",
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) issue(n trust.Name) trust.Files {
	c.t.Helper()
	f := trust.Files{
		CA:   filepath.Join(c.dir, "ca", trust.AuthorityCert),
		Cert: filepath.Join(c.dir, n.Name+".crt"), Key: filepath.Join(c.dir, n.Name+".key"),
	}
	if err := c.ca.Issue(n, []string{"127.0.0.1"}, f.Cert, f.Key, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	return f
}

// settle gives every server a loopback address of its own, from which no
// outgoing connection is ever made: after a restart its ports are still free.
func (c *cluster) settle() {
	c.t.Helper()
	i, network := byte(0), claimNetwork(c.t)
	for _, o := range c.objs {
		s := o.GetServer()
		if s == nil {
			continue
		}
		i++
		name, free := o.GetMetadata().GetName(), freeAddresses(c.t, net.IPv4(127, 77, network, i), 4)
		s.SmtpAddress, s.GossipAddress, s.AdminAddress = free[0], free[1], free[2]
		for _, v := range c.objs {
			if vs := v.GetVirtualServer(); vs.GetServer() == name {
				vs.Bindings = []string{free[0]}
			}
		}
		c.members[name] = &member{smtp: free[0], cfg: Config{
			Name: name, Organization: "example", Data: filepath.Join(c.dir, name), MinFree: 1 << 20,
			TLS:    c.issue(trust.Name{Organization: "example", Role: trust.RoleServer, Name: name}),
			Etcd:   EtcdConfig{Endpoints: c.etcd.Endpoints()},
			Gossip: free[1], Admin: free[2], Metrics: free[3],
		}}
	}
}

// claimNetwork gives the third octet of a network that no other cluster has, of this process
// or another, until the test ends.
func claimNetwork(t testing.TB) byte {
	t.Helper()
	for n := range 256 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.77.%d.254:10000", n)); err == nil {
			t.Cleanup(func() { _ = l.Close() })
			return byte(n)
		}
	}
	t.Fatal("all networks from 127.77.0.0 to 127.77.255.0 are taken by other tests")
	return 0
}

func freeAddresses(t testing.TB, host net.IP, n int) []string {
	t.Helper()
	var all []string
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all are held until the last is known
		all = append(all, l.Addr().String())
	}
	return all
}

func (c *cluster) names() []string {
	var all []string
	for name := range c.members {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// launch starts a node; awaitReady waits for it.
func (c *cluster) launch(name string) {
	c.t.Helper()
	m := c.members[name]
	n, err := New(m.cfg, Deps{Version: "test", Logger: c.logger(name), Disk: c.disk})
	if err != nil {
		c.t.Fatal(err)
	}
	n.diskTimeout = c.diskTimeout
	ctx, cancel := context.WithCancel(context.Background())
	m.node, m.cancel, m.done = n, cancel, make(chan error, 1)
	go func() { m.done <- n.Run(ctx) }()
}

func (c *cluster) awaitReady(name string) {
	c.t.Helper()
	m := c.members[name]
	select {
	case <-m.node.Ready():
	case err := <-m.done:
		m.done = nil
		c.t.Fatalf("%s ended while booting: %v", name, err)
	case <-time.After(patience):
		c.t.Fatalf("%s is not ready after %v; it reached %v", name, patience, m.node.Boot())
	}
}

// halt stops nodes as SIGTERM does and waits until they are down.
func (c *cluster) halt(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.members[name].cancel()
	}
	for _, name := range names {
		m := c.members[name]
		select {
		case err := <-m.done:
			m.done = nil
			if err != nil {
				c.t.Errorf("%s: %v", name, err)
			}
		case <-time.After(patience):
			c.t.Fatalf("%s did not stop within %v", name, patience)
		}
	}
}

func (c *cluster) stop() {
	var alive []string
	for _, name := range c.names() {
		if c.members[name].done != nil {
			alive = append(alive, name)
		}
	}
	c.halt(alive...)
	if err := c.directory.Close(); err != nil {
		c.t.Error(err)
	}
	if c.etcd != nil {
		c.etcd.Stop()
	}
	if c.t.Failed() {
		for _, name := range c.names() {
			b, _ := os.ReadFile(c.logFile(name))
			c.t.Logf("%s:\n%s", name, b[max(0, len(b)-6000):])
		}
	}
}

func (c *cluster) logFile(name string) string { return filepath.Join(c.dir, name+".log") }

func (c *cluster) logger(name string) *zap.Logger {
	z := zap.NewProductionConfig()
	z.OutputPaths, z.Sampling, z.DisableCaller = []string{c.logFile(name)}, nil, true
	l, err := z.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

func (c *cluster) apply(objs ...*directoryv1.Object) {
	c.t.Helper()
	if _, _, _, err := c.directory.Apply(c.t.Context(), objs, false); err != nil {
		c.t.Fatal(err)
	}
}

// object is one object as the directory has it now.
func (c *cluster) object(kind, name string) *directoryv1.Object {
	c.t.Helper()
	o, err := c.directory.Get(c.t.Context(), kind, name)
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// api is a node's admin API over its unix socket.
func (c *cluster) api(name string) *grpc.ClientConn {
	c.t.Helper()
	conn, err := grpc.NewClient("unix:"+filepath.Join(c.members[name].cfg.Data, "admin.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

// letter is a message with an ID that nothing else contains.
type letter struct{ from, to, id string }

func newLetter(from, to, id string) letter { return letter{from, to, id + "@example.test"} }

func (c *cluster) send(at string, l letter) error {
	client, err := smtp.Dial(c.members[at].smtp)
	if err != nil {
		return err
	}
	defer client.Close()
	text := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s>\r\n\r\nHello\r\n", l.from, l.to, l.id)
	if err := client.SendMail(l.from, []string{l.to}, strings.NewReader(text)); err != nil {
		return err
	}
	return client.Quit()
}

func (c *cluster) mustSend(at string, l letter) {
	c.t.Helper()
	if err := c.send(at, l); err != nil {
		c.t.Fatalf("%s refused %s to %s: %v", at, l.id, l.to, err)
	}
}

// copies counts the letter in a mailbox.
func (c *cluster) copies(at, address string, l letter) int {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.members[at].cfg.Data, "maildir", address, "new", "*"))
	if err != nil {
		c.t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			c.t.Fatal(err)
		}
		n += bytes.Count(b, []byte("Message-ID: <"+l.id+">"))
	}
	return n
}

func (c *cluster) awaitCopy(at, address string, l letter) {
	c.t.Helper()
	eventually(c.t, patience, func() error {
		if c.copies(at, address, l) == 0 {
			return fmt.Errorf("no %s in the mailbox of %s on %s", l.id, address, at)
		}
		return nil
	})
}

// awaitIdle waits until no node has a message any more: what was to arrive has,
// also a second time if that were possible.
func (c *cluster) awaitIdle(asked string) {
	c.t.Helper()
	nodes := nodev1.NewNodeServiceClient(c.api(asked))
	eventually(c.t, patience, func() error {
		all, err := nodes.Nodes(c.t.Context(), &nodev1.NodesRequest{})
		if err != nil {
			return err
		}
		for _, n := range all.GetNodes() {
			if n.GetQueued() > 0 {
				return fmt.Errorf("%d messages on %s", n.GetQueued(), n.GetName())
			}
		}
		return nil
	})
}
