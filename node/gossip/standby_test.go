package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// A firewall lets connections through in one direction only, and it is the server
// with the higher GUID that may connect: there is a stream all the same, over either
// carrier, and it is not fought over.
func TestOneDirectionIsEnough(t *testing.T) {
	both := map[mail.GUID]linkstate.Status{serverD: linkstate.Alive, serverE: linkstate.Alive}
	for _, carrier := range []Carrier{CarrierGRPC, CarrierSMTP} {
		t.Run(string(carrier), func(t *testing.T) {
			var closed atomic.Bool
			c := newCluster(t, nil)
			open := mailPorts(c, &closed)
			c.security = func(self mail.GUID, conf *Config) {
				open(self, conf)
				if self == serverD {
					conf.DialMail = func(context.Context, mail.GUID) (net.Conn, error) { return nil, errors.New("dropped by the firewall") }
				}
			}
			c.addresses[serverE] = "127.0.0.1:1" // nobody listens there; D, the lower one, is at its own
			c.start(serverD, serverE)
			for _, s := range []mail.GUID{serverD, serverE} {
				c.nodes[s].SetCarriers(map[mail.GUID]Carrier{serverD: carrier, serverE: carrier})
			}
			c.eventually(patience, c.agree(both))
			c.over(serverD, serverE, carrier)
			c.nodes[serverE].SetDrain(linkstate.DrainSoft)
			c.eventually(patience, func() error {
				if r := c.nodes[serverD].Table().Get(linkstate.GUID(serverE)); r.Drain != linkstate.DrainSoft {
					return errors.New("d does not know that e is drained")
				}
				return nil
			})
		})
	}
}

// The higher of two GUIDs dials when the lower one had time enough to, not while
// there is a stream, and leaves the lower one the time again when it has ended.
func TestStandsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Duration
		began := time.Now()
		c := testConfig()
		c.Random = func(int) int { return 0 } // no jitter
		c.ClientTLS = func(mail.GUID) (*tls.Config, error) {
			dials = append(dials, time.Since(began))
			return nil, errors.New("no certificate")
		}
		r, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		r.keepalive = 200 * time.Millisecond // so the patience is 1.2 s
		n := &neighbour{guid: linkstate.GUID(serverD), address: "192.0.2.1:691", since: began, wake: make(chan struct{}, 1), lost: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.dialLoop(ctx, n); close(ended) }()
		<-time.After(1400 * time.Millisecond)
		s := newSession(ctx, greeting{linkstate.GUID(serverD), linkstate.Protocol}, &stuck{})
		r.mu.Lock()
		n.session, n.since = s, time.Now()
		r.mu.Unlock()
		<-time.After(time.Minute)
		r.mu.Lock()
		n.drop(errPeerClosed, time.Now())
		r.mu.Unlock()
		<-time.After(1300 * time.Millisecond)
		cancel()
		<-ended
		want := []time.Duration{1200, 1250, 1350, 61400 + 1200}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(dials, want) {
			t.Errorf("dialed at %v, want %v", dials, want)
		}
	})
}
