package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The cluster of these tests: three groups; a and b are bridgeheads of the
// first, d of the second, e of the third; c is a plain member of the first.
//
//	paris (a, b, c) ──north──> london (d) ──east──> tokyo (e)
//	      a or b    <──south──            <──west──
var (
	organization = mail.GUID{0xff}

	serverA = mail.GUID{3, 'a'}
	serverB = mail.GUID{1, 'b'}
	serverC = mail.GUID{5, 'c'}
	serverD = mail.GUID{2, 'd'}
	serverE = mail.GUID{4, 'e'}

	north = mail.GUID{1, 'n'}
	south = mail.GUID{2, 's'}
	east  = mail.GUID{3, 'e'}
	west  = mail.GUID{4, 'w'}
)

var everyone = []mail.GUID{serverA, serverB, serverC, serverD, serverE}

// demo timings, as `postroad up` uses them.
var demoTimings = linkstate.Timings{
	Keepalive: 200 * time.Millisecond, SuspectAfter: time.Second,
	RefuteWithin: 500 * time.Millisecond, AntiEntropy: 5 * time.Second,
}

func members() linkstate.Members {
	g := func(guids ...mail.GUID) (out []linkstate.GUID) {
		for _, x := range guids {
			out = append(out, linkstate.GUID(x))
		}
		return out
	}
	paris, london, tokyo := linkstate.GUID{1}, linkstate.GUID{2}, linkstate.GUID{3}
	detection := linkstate.Detection{GlitchRetries: 1, GlitchInterval: 100 * time.Millisecond, ProbeInterval: time.Second}
	return linkstate.Members{
		Servers: []linkstate.Member{
			{Server: linkstate.GUID(serverA), Group: paris}, {Server: linkstate.GUID(serverB), Group: paris},
			{Server: linkstate.GUID(serverC), Group: paris},
			{Server: linkstate.GUID(serverD), Group: london}, {Server: linkstate.GUID(serverE), Group: tokyo},
		},
		Connectors: []linkstate.ConnectorInfo{
			{GUID: linkstate.GUID(north), Group: paris, Local: g(serverA, serverB), Remote: g(serverD), Detection: detection},
			{GUID: linkstate.GUID(south), Group: london, Local: g(serverD), Remote: g(serverA, serverB), Detection: detection},
			{GUID: linkstate.GUID(east), Group: london, Local: g(serverD), Remote: g(serverE), Detection: detection},
			{GUID: linkstate.GUID(west), Group: tokyo, Local: g(serverE), Remote: g(serverD), Detection: detection},
		},
	}
}

// cluster runs several gossip runners over TCP on loopback.
type cluster struct {
	t         *testing.T
	dir       string
	security  func(self mail.GUID, c *Config) // nil: plaintext
	addresses map[mail.GUID]string
	listeners map[mail.GUID]net.Listener
	nodes     map[mail.GUID]*testNode

	// protocols that nodes speak; the newest if not named.
	protocols map[mail.GUID]uint32

	changed chan struct{} // some table changed somewhere

	mu      sync.Mutex
	unreach map[mail.GUID]bool // connectors over which no mail passes
}

type testNode struct {
	*Runner
	stop context.CancelFunc
	done chan error
}

func newCluster(t *testing.T, security func(mail.GUID, *Config)) *cluster {
	c := &cluster{
		t: t, dir: t.TempDir(), security: security,
		addresses: make(map[mail.GUID]string), listeners: make(map[mail.GUID]net.Listener),
		nodes: make(map[mail.GUID]*testNode), unreach: make(map[mail.GUID]bool),
		changed: make(chan struct{}, 1),
	}
	for _, s := range everyone {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.listeners[s], c.addresses[s] = l, l.Addr().String()
	}
	t.Cleanup(func() {
		for s := range c.nodes {
			c.kill(s)
		}
		for _, l := range c.listeners {
			l.Close()
		}
	})
	return c
}

// probe stands for an SMTP connection: it works if the far node runs.
func (c *cluster) probe(_ context.Context, connector, server mail.GUID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unreach[connector] {
		return errors.New("connection refused")
	}
	for _, info := range members().Connectors {
		if mail.GUID(info.GUID) != connector {
			continue
		}
		for _, r := range info.Remote {
			if _, runs := c.nodes[mail.GUID(r)]; runs && (server.IsZero() || server == mail.GUID(r)) {
				return nil
			}
		}
	}
	return errors.New("connection refused")
}

func (c *cluster) start(servers ...mail.GUID) {
	c.t.Helper()
	for _, s := range servers {
		l := c.listeners[s]
		if l == nil {
			var err error
			if l, err = net.Listen("tcp", c.addresses[s]); err != nil {
				c.t.Fatal(err)
			}
		}
		delete(c.listeners, s)
		conf := Config{
			Self: s, Organization: organization, Version: "test", Listener: l,
			StatePath: filepath.Join(c.dir, s.String()), Probe: c.probe,
			Load: func() Load { return Load{DirectoryRevision: 42, Queued: int64(s[0])} },
		}
		if c.security != nil {
			c.security(s, &conf)
		}
		r, err := New(conf)
		if err != nil {
			c.t.Fatal(err)
		}
		if p := c.protocols[s]; p != 0 {
			r.protocol = p
		}
		r.Subscribe(func() { signal(c.changed) })
		ctx, cancel := context.WithCancel(c.t.Context())
		n := &testNode{r, cancel, make(chan error, 1)}
		m := members()
		m.Self = linkstate.GUID(s)
		r.SetMembers(m, demoTimings, c.addresses)
		c.mu.Lock()
		c.nodes[s] = n
		c.mu.Unlock()
		go func() { n.done <- r.Run(ctx) }()
	}
}

func (c *cluster) kill(s mail.GUID) {
	c.t.Helper()
	c.mu.Lock()
	n := c.nodes[s]
	delete(c.nodes, s)
	c.mu.Unlock()
	n.stop()
	if err := <-n.done; err != nil {
		c.t.Errorf("%s: Run: %v", s, err)
	}
}

// eventually waits until check is satisfied; it looks after each change.
func (c *cluster) eventually(within time.Duration, check func() error) {
	c.t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	// Some of what is waited for (a neighbour's state) changes no table.
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-c.changed:
		case <-poll.C:
		case <-deadline.C:
			c.t.Fatalf("not within %v: %v", within, err)
		}
	}
}

// agree: all running nodes have one table, in which these servers have this status.
func (c *cluster) agree(status map[mail.GUID]linkstate.Status) func() error {
	return func() error {
		var digest linkstate.Hash
		for s, n := range c.nodes {
			t := n.Table()
			if digest == (linkstate.Hash{}) {
				digest = t.Digest()
			}
			if t.Digest() != digest {
				return fmt.Errorf("digest of %s differs", s)
			}
			for of, want := range status {
				if r := t.Get(linkstate.GUID(of)); statusOf(r) != want {
					return fmt.Errorf("%s sees %s as %s, want %s", s, of, statusOf(r), want)
				}
			}
		}
		return nil
	}
}

func (c *cluster) linkIs(bridgehead, connector mail.GUID, down bool) func() error {
	return func() error {
		for s, n := range c.nodes {
			state, ok := connectorOf(n.Table().Get(linkstate.GUID(bridgehead)), linkstate.GUID(connector))
			if !ok || state.Down != down {
				return fmt.Errorf("%s sees connector %s of %s: %+v, want down %v", s, connector, bridgehead, state, down)
			}
		}
		return nil
	}
}

// patience is generous, for a busy machine; what is measured is whether, not when.
const patience = 30 * time.Second

var allAlive = map[mail.GUID]linkstate.Status{
	serverA: linkstate.Alive, serverB: linkstate.Alive, serverC: linkstate.Alive,
	serverD: linkstate.Alive, serverE: linkstate.Alive,
}

func TestCluster(t *testing.T) {
	for name, security := range map[string]func(mail.GUID, *Config){"plaintext": nil, "tls": newPKI(t).secure} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, security)
			c.start(everyone...)
			c.eventually(patience, c.agree(allAlive))

			// A connector that fails here is known in the farthest group.
			c.mu.Lock()
			c.unreach[north] = true
			c.mu.Unlock()
			c.nodes[serverA].ReportLink(north, false, "451 too busy")
			c.eventually(patience, c.linkIs(serverA, north, true))
			c.eventually(patience, c.linkIs(serverB, north, false))
			c.mu.Lock()
			c.unreach[north] = false
			c.mu.Unlock()
			c.eventually(patience, c.linkIs(serverA, north, false)) // found by a probe

			// The death of a member, of a group of one, and their return.
			for _, victim := range []mail.GUID{serverB, serverE} {
				before := c.nodes[victim].Table().Get(linkstate.GUID(victim)).Incarnation
				c.kill(victim)
				c.eventually(patience, c.agree(map[mail.GUID]linkstate.Status{victim: linkstate.Down}))
				c.start(victim)
				c.eventually(patience, c.agree(allAlive))
				if after := c.nodes[serverA].Table().Get(linkstate.GUID(victim)).Incarnation; after <= before {
					t.Errorf("incarnation %d after %d", after, before)
				}
			}
		})
	}
}

// The only way between two groups: its loss is noticed by the broken stream.
func TestRemoteBridgeheadDies(t *testing.T) {
	c := newCluster(t, nil)
	c.start(everyone...)
	c.eventually(patience, c.agree(allAlive))
	c.kill(serverE)
	c.eventually(patience, c.linkIs(serverD, east, true))
	c.start(serverE)
	c.eventually(patience, c.linkIs(serverD, east, false))
	c.eventually(patience, c.agree(allAlive))
}

func TestRestartFromDisk(t *testing.T) {
	c := newCluster(t, nil)
	c.start(everyone...)
	c.eventually(patience, c.agree(allAlive))
	c.nodes[serverC].SetDrain(linkstate.DrainHard)
	c.eventually(patience, func() error {
		if r := c.nodes[serverE].Table().Get(linkstate.GUID(serverC)); r.Drain != linkstate.DrainHard {
			return errors.New("drain of c not yet known in the third group")
		}
		return nil
	})
	c.kill(serverE)
	r, err := New(Config{Self: serverE, Organization: organization, Probe: c.probe, StatePath: filepath.Join(c.dir, serverE.String())})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Table().Get(linkstate.GUID(serverC)); got == nil || got.Drain != linkstate.DrainHard {
		t.Errorf("before any neighbour was heard the map is %+v", got)
	}
}

func TestNeighbours(t *testing.T) {
	c := newCluster(t, nil)
	c.start(everyone...)
	c.eventually(patience, func() error {
		all := c.nodes[serverD].Neighbours()
		if len(all) != 3 {
			return fmt.Errorf("d has %d neighbours, want a, b and e", len(all))
		}
		for _, n := range all {
			if !n.Connected || n.Load.DirectoryRevision != 42 || n.Load.Queued != int64(n.Server[0]) {
				return fmt.Errorf("neighbour %+v", n)
			}
		}
		return nil
	})
	c.kill(serverA)
	c.eventually(patience, func() error {
		for _, n := range c.nodes[serverD].Neighbours() {
			if n.Server == serverA && !n.Connected && n.LastError != "" {
				return nil
			}
		}
		return errors.New("d does not show why a is away")
	})
	name := func(g mail.GUID) string { return string(g[1:2]) }
	list := c.nodes[serverD].List(Names{Server: name, Group: func(mail.GUID) string { return "g" }, Connector: name})
	if len(list.Entries) != 5 || len(list.Neighbours) != 3 || list.Digest != c.nodes[serverD].Table().Digest().String() {
		t.Errorf("list: %v", list)
	}
}

func TestWrongCertificateIsRefused(t *testing.T) {
	pki := newPKI(t)
	c := newCluster(t, func(self mail.GUID, conf *Config) {
		pki.secure(self, conf)
		if self == serverB { // b dials d, and shows the certificate of c; d, who stands by, finds it as well
			conf.ServerTLS.Certificates = []tls.Certificate{pki.certs[serverC]}
			conf.ClientTLS = func(peer mail.GUID) (*tls.Config, error) { return pki.client(serverC, peer), nil }
		}
	})
	c.start(serverB, serverD)
	c.eventually(patience, func() error {
		for _, n := range c.nodes[serverB].Neighbours() {
			if n.Server == serverD && n.LastError == fmt.Sprintf("claims to be server %s with the certificate of server %s", serverB, serverC) {
				return nil
			}
		}
		return fmt.Errorf("neighbours of b: %+v", c.nodes[serverB].Neighbours())
	})
	if r := c.nodes[serverD].Table().Get(linkstate.GUID(serverB)); r != nil && r.Status == linkstate.Alive {
		t.Errorf("d believes b: %+v", r)
	}
}
