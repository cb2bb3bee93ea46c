package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// Config of a runner. Self, Organization and Probe are required.
type Config struct {
	Self         mail.GUID
	Organization mail.GUID
	// Version of the software, shown in the table.
	Version string

	// Listener on which the runner serves GossipService itself, with ServerTLS
	// if that is given. Nil: somebody else serves, see [Runner.RegisterService].
	Listener  net.Listener
	ServerTLS *tls.Config
	// Identify tells which server of the directory a caller's certificate names.
	// Nil: callers are believed what they say, which only fits a test.
	Identify func(tls.ConnectionState) (mail.GUID, error)
	// ClientTLS gives the settings to dial a peer; they must accept that very
	// peer only. Nil: streams are not encrypted, which only fits a test.
	ClientTLS func(peer mail.GUID) (*tls.Config, error)

	// DialMail opens a connection to a peer's mail port on which this server has
	// authenticated and which the peer has turned over to link state. nil: streams
	// go over gRPC only.
	DialMail func(ctx context.Context, peer mail.GUID) (net.Conn, error)

	// StatePath is the file that keeps the table over a restart; empty: none.
	StatePath string

	// Probe tries whether the connector can be used: connect, greet, leave.
	// server is the remote bridgehead to try, zero if any will do or there is none.
	Probe func(ctx context.Context, connector, server mail.GUID) error
	// ProbeTimeout bounds one probe; zero: 10s.
	ProbeTimeout time.Duration

	// Load is asked before each keep-alive for what changes often; nil: nothing.
	Load func() Load

	// Names are for the log, where people read; without one the GUID is written.
	Names  Names
	Logger *zap.Logger      // nil: silent
	Now    func() time.Time // nil: time.Now
	Random func(n int) int  // nil: math/rand
}

// Load is what direct neighbours tell each other along with the keep-alive.
type Load struct {
	DirectoryRevision int64
	Queued            int64 // messages
}

const (
	defaultProbeTimeout = 10 * time.Second
	handshakeTimeout    = 5 * time.Second
	maxProbes           = 64 // at a time
)

func (c *Config) complete() error {
	switch {
	case c.Self.IsZero():
		return errors.New("gossip: Self is zero; give the GUID of this server's directory object")
	case c.Organization.IsZero():
		return errors.New("gossip: Organization is zero; give the GUID of the organization's directory object")
	case c.Probe == nil:
		return errors.New("gossip: no Probe; without one a connector that is down would never come up")
	case c.ServerTLS != nil && c.Identify == nil:
		return errors.New("gossip: ServerTLS without Identify would accept any holder of a certificate as any server")
	}
	if c.ProbeTimeout <= 0 {
		c.ProbeTimeout = defaultProbeTimeout
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.IntN
	}
	guid := func(g mail.GUID) string { return g.String() }
	if c.Names.Server == nil {
		c.Names.Server = guid
	}
	if c.Names.Connector == nil {
		c.Names.Connector = guid
	}
	if c.Load == nil {
		c.Load = func() Load { return Load{} }
	}
	return nil
}

func (c *Config) machine() *linkstate.Machine {
	return linkstate.New(linkstate.Config{
		Self:        linkstate.GUID(c.Self),
		Incarnation: uint64(max(c.Now().Unix(), 1)),
		Version:     c.Version,
		Random:      c.Random,
	})
}
