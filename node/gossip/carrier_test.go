package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// mailPorts lets the nodes of a cluster reach each other's "mail ports": a
// connection whose far end is handed to the peer's runner, as X-LINK2STATE does.
func mailPorts(c *cluster, closed *atomic.Bool) func(mail.GUID, *Config) {
	return func(self mail.GUID, conf *Config) {
		conf.DialMail = func(_ context.Context, peer mail.GUID) (net.Conn, error) {
			c.mu.Lock()
			n := c.nodes[peer]
			c.mu.Unlock()
			if n == nil || closed.Load() {
				return nil, errors.New("connection refused")
			}
			here, there := net.Pipe()
			c.t.Cleanup(func() { there.Close() })
			go n.ServeMail(c.t.Context(), self, there)
			return here, nil
		}
	}
}

// over waits until both ends of a pair say what carries their stream.
func (c *cluster) over(a, b mail.GUID, want Carrier) {
	c.t.Helper()
	c.eventually(patience, func() error {
		for _, w := range [][2]mail.GUID{{a, b}, {b, a}} {
			for _, n := range c.nodes[w[0]].Neighbours() {
				if n.Server == w[1] && n.Carrier != want {
					return fmt.Errorf("%s reaches %s over %q, want %q; its last error: %s", w[0], w[1], n.Carrier, want, n.LastError)
				}
			}
		}
		return nil
	})
}

// configure gives a running node other gossip addresses and carriers.
func (c *cluster) configure(s mail.GUID, addresses map[mail.GUID]string, carriers map[mail.GUID]Carrier) {
	m := members()
	m.Self = linkstate.GUID(s)
	c.nodes[s].SetCarriers(carriers)
	c.nodes[s].SetMembers(m, demoTimings, addresses)
}

// Where the gossip port cannot be reached link state takes the mail port, and
// goes back to its own as soon as that works.
func TestMailPortIsTheMakeshift(t *testing.T) {
	var closed atomic.Bool
	c := newCluster(t, nil)
	c.security = mailPorts(c, &closed)
	open := c.addresses
	// D dials A and E; nobody listens on port 1. B, with the lowest GUID, dials D.
	c.addresses = map[mail.GUID]string{serverA: "127.0.0.1:1", serverB: open[serverB], serverC: open[serverC], serverD: "127.0.0.1:1", serverE: "127.0.0.1:1"}
	auto := map[mail.GUID]Carrier{serverA: CarrierAuto, serverB: CarrierAuto, serverD: CarrierAuto, serverE: CarrierAuto}
	for _, s := range everyone {
		c.start(s)
		c.configure(s, c.addresses, auto)
	}
	c.eventually(patience, c.agree(allAlive))
	c.over(serverD, serverE, CarrierSMTP)
	c.over(serverB, serverD, CarrierSMTP)

	t.Log("a change travels over it")
	c.mu.Lock()
	c.unreach[west] = true
	c.mu.Unlock()
	for range 2 {
		c.nodes[serverE].ReportLink(west, false, "no route")
	}
	c.eventually(patience, c.linkIs(serverE, west, true))

	t.Log("the gossip ports open")
	for _, s := range everyone {
		c.configure(s, open, auto)
	}
	c.over(serverD, serverE, CarrierGRPC)
	c.over(serverB, serverD, CarrierGRPC)
	c.eventually(patience, c.agree(allAlive))
}

// What a stream may go over can change while it is being dialled: nobody would look at it again.
func TestCarrierChangesWhileItIsDialled(t *testing.T) {
	var closed atomic.Bool
	c := newCluster(t, nil)
	c.security = mailPorts(c, &closed)
	c.start(serverD, serverE)
	c.over(serverD, serverE, CarrierGRPC)
	r := c.nodes[serverD]
	r.SetCarriers(map[mail.GUID]Carrier{serverE: CarrierSMTP})
	s := newSession(t.Context(), greeting{server: linkstate.GUID(serverE), protocol: 1}, nil)
	s.dialled = true
	if err := r.attach(s); !errors.Is(err, errOtherCarrier) {
		t.Errorf("the stream was taken: %v", err)
	}
}

// A connector may ask for one carrier; a running stream follows.
func TestCarrierIsASetting(t *testing.T) {
	var closed atomic.Bool
	c := newCluster(t, nil)
	c.security = mailPorts(c, &closed)
	c.start(serverD, serverE)
	set := func(carrier Carrier) {
		for _, s := range []mail.GUID{serverD, serverE} {
			c.nodes[s].SetCarriers(map[mail.GUID]Carrier{serverD: carrier, serverE: carrier})
		}
	}
	both := map[mail.GUID]linkstate.Status{serverD: linkstate.Alive, serverE: linkstate.Alive}
	c.eventually(patience, c.agree(both))
	c.over(serverD, serverE, CarrierGRPC)
	set(CarrierSMTP)
	c.over(serverD, serverE, CarrierSMTP)
	c.eventually(patience, c.agree(both))
	set(CarrierGRPC)
	c.over(serverD, serverE, CarrierGRPC)

	t.Log("a carrier that does not work is said")
	closed.Store(true)
	set(CarrierSMTP)
	c.eventually(patience, func() error {
		for _, n := range c.nodes[serverD].Neighbours() {
			if n.Server == serverE && !n.Connected && n.LastError == "connection refused" {
				return nil
			}
		}
		return fmt.Errorf("%+v", c.nodes[serverD].Neighbours())
	})
}

// Whatever comes over the mail port ends that stream and nothing else, without a
// word that a stranger could learn from.
func TestMailPortRefusals(t *testing.T) {
	var closed atomic.Bool
	c := newCluster(t, nil)
	c.security = mailPorts(c, &closed)
	c.start(serverD)
	d := c.nodes[serverD].Runner
	hello := func(self, organization mail.GUID, protocol uint32) []byte {
		return written(t, (&Runner{protocol: protocol, conf: Config{Self: self, Organization: organization}}).hello())
	}
	for name, k := range map[string]struct {
		peer   mail.GUID
		octets []byte
	}{
		"another server's name":   {serverB, hello(serverE, organization, 1)},
		"another organisation":    {serverB, hello(serverB, mail.GUID{1}, 1)},
		"old protocol":            {serverB, hello(serverB, organization, 0)},
		"no neighbour":            {serverC, hello(serverC, organization, 1)},
		"no hello":                {serverB, written(t, encodeFrame(&linkstate.Keepalive{}))},
		"oversized":               {serverB, binary.BigEndian.AppendUint32(nil, maxFrame+1)},
		"garbage":                 {serverB, []byte("X-LINK2STATE LAST CHUNK=" + strings.Repeat("A", 4096))},
		"half a frame":            {serverB, binary.BigEndian.AppendUint32(nil, 100)},
		"bad frame after a hello": {serverB, append(hello(serverB, organization, 1), 0, 0, 0, 1, 0xff)},
		"oversized after a hello": {serverB, append(hello(serverB, organization, 1), 0xff, 0xff, 0xff, 0xff)},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			defer here.Close()
			served := make(chan struct{})
			go func() { d.ServeMail(t.Context(), k.peer, there); close(served) }()
			go func() {
				_, _ = here.Write(k.octets)
				if name == "half a frame" {
					here.Close()
				}
			}()
			if err := here.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(here)
			if after := strings.Contains(name, "after"); !after && len(got) > 0 {
				t.Errorf("it was answered with %q (%v)", got, err)
			}
			<-served
		})
	}
	if err := d.AdmitMail(serverC); !errors.Is(err, errNotNeighbour) {
		t.Errorf("no neighbour is admitted: %v", err)
	}
	c.start(serverE)
	c.eventually(patience, c.agree(map[mail.GUID]linkstate.Status{serverD: linkstate.Alive, serverE: linkstate.Alive}))
}

// A caller that says nothing is let go.
func TestSilentCallerOnTheMailPort(t *testing.T) {
	r, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r.ServeMail(ctx, serverB, there) // the end of the context comes before that of the handshake
	if took := time.Since(began); took > handshakeTimeout {
		t.Errorf("it took %v", took)
	}
	if _, err := here.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is open: %v", err)
	}
}

// A stream over the mail port ends while gRPC is tried, at a port that answers nothing:
// that is noticed at once, not when the try is over.
func TestMailPortIsLostWhileTheOwnIsTried(t *testing.T) {
	var closed atomic.Bool
	c := newCluster(t, nil)
	streams := make(chan net.Conn, 99)
	c.security = func(self mail.GUID, conf *Config) {
		mailPorts(c, &closed)(self, conf)
		dial := conf.DialMail
		conf.DialMail = func(ctx context.Context, peer mail.GUID) (net.Conn, error) {
			conn, err := dial(ctx, peer)
			if err == nil {
				streams <- conn
			}
			return conn, err
		}
	}
	c.addresses = map[mail.GUID]string{serverD: "127.0.0.1:1", serverE: "127.0.0.1:1"}
	c.start(serverD, serverE)
	c.nodes[serverE].SetCarriers(map[mail.GUID]Carrier{serverD: CarrierAuto})
	patient := demoTimings
	patient.SuspectAfter = time.Hour // or silence would end it
	configure := func(address string) {
		m := members()
		m.Self = linkstate.GUID(serverD)
		c.nodes[serverD].SetCarriers(map[mail.GUID]Carrier{serverE: CarrierAuto})
		c.nodes[serverD].SetMembers(m, patient, map[mail.GUID]string{serverE: address})
	}
	configure("127.0.0.1:1")
	c.over(serverD, serverE, CarrierSMTP)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	configure(silent.Addr().String())
	tried, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer tried.Close()
	closed.Store(true)
	began := time.Now()
	for len(streams) > 0 {
		(<-streams).Close()
	}
	c.eventually(patience, func() error {
		for _, n := range c.nodes[serverD].Neighbours() {
			if n.Server == serverE && n.Connected {
				return errors.New("the stream is still there")
			}
		}
		return nil
	})
	if took := time.Since(began); took > handshakeTimeout*4/5 {
		t.Errorf("it took %v", took)
	}
}
