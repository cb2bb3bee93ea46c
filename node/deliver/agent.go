package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// Resolver finds mail hosts. An error that has the methods of [LookupError]
// decides the outcome; any other error counts as temporary.
type Resolver interface {
	// MX gives the hosts of a domain in the order to try them.
	MX(ctx context.Context, domain string) ([]mail.Host, error)
	// Addrs gives the addresses of a host name.
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
}

// LookupError is what a Resolver's errors may say about themselves.
type LookupError interface {
	error
	Status() mail.Status
	Temporary() bool
}

// Dialer opens connections; *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Timeouts of a dialog; zero fields get the values of RFC 5321 section 4.5.3.2, or
// for nodes those in brackets: we know how fast our own nodes are, and that
// there is another way when one is not.
type Timeouts struct {
	Connect  time.Duration // one address; 30 s (10 s)
	Greeting time.Duration // and EHLO, STARTTLS, AUTH; 5 min (20 s)
	Mail     time.Duration // and RSET; 5 min (1 min)
	Rcpt     time.Duration // 5 min (1 min)
	Data     time.Duration // the 354; 2 min (1 min)
	Block    time.Duration // one write of content; 3 min (1 min)
	End      time.Duration // the reply to the final dot or the last chunk; 10 min (3 min)
	Quit     time.Duration // 5 s
	Idle     time.Duration // an open connection without work; 30 s
}

// Options of an Agent. Hostname is needed; NodeTLS for HopNode, Resolver for
// HopMX, MaildirRoot for HopLocal.
type Options struct {
	// Hostname is the FQDN for EHLO; it also makes maildir names unique among hosts.
	Hostname string
	// NodeTLS gives the mutual TLS settings that admit only the named server.
	// nil for a server means that it cannot be reached in trust.
	NodeTLS func(server mail.GUID) *tls.Config
	// TLS is the base for hosts outside the organisation: roots for
	// TLSVerified, versions. nil: the system's.
	TLS      *tls.Config
	Resolver Resolver
	Dialer   Dialer // nil: &net.Dialer{}

	// MaildirRoot holds one maildir for each mailbox.
	MaildirRoot string
	// MailboxFolder names a target's maildir below MaildirRoot; nil: the
	// address's key.
	MailboxFolder func(mail.Target) string

	// Quota gives that of a target's maildir; nil: what its maildirsize says.
	Quota func(mail.Target) Quota

	// Passport gives the value of XPOSTROAD for a message to a node; "" sends none.
	Passport func(*mail.Envelope, mail.Hop) string

	// Settings gives those of this moment for a hop, by its VirtualServer; nil: none. It
	// must be fast.
	Settings func(mail.Hop) Settings

	// Timeouts hold for hosts outside, NodeTimeouts for HopNode.
	Timeouts     Timeouts
	NodeTimeouts Timeouts
	// Window bounds the transactions (16) and WindowBytes the octets (1 MiB)
	// sent and not answered yet; one transaction may always be in flight.
	Window      int
	WindowBytes int64
	// MaxTransactions ends a connection after that many; 0: no limit.
	MaxTransactions int

	// Random is in [0, 1), for shares of smart hosts; nil: rand.Float64.
	Random func() float64

	Logger *zap.Logger      // nil: none
	Clock  func() time.Time // nil: time.Now
}

// Agent delivers. Its methods may be called from many goroutines.
type Agent struct {
	opts   Options
	log    *zap.Logger
	shaky  *shakyHosts
	boxes  *mailboxes
	dialer Dialer
	disk   disk
}

// New builds an Agent; it opens nothing.
func New(o Options) *Agent {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Quota == nil {
		o.Quota = func(mail.Target) Quota { return Quota{} }
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Dialer == nil {
		o.Dialer = &net.Dialer{}
	}
	if o.Window <= 0 {
		o.Window = 16
	}
	if o.WindowBytes <= 0 {
		o.WindowBytes = 1 << 20
	}
	o.Timeouts.fill(outsideTimeouts)
	o.NodeTimeouts.fill(nodeTimeouts)
	return &Agent{opts: o, log: o.Logger, shaky: newShakyHosts(), boxes: newMailboxes(), dialer: o.Dialer, disk: realDisk{}}
}

var (
	outsideTimeouts = Timeouts{
		Connect: 30 * time.Second, Greeting: 5 * time.Minute, Mail: 5 * time.Minute, Rcpt: 5 * time.Minute,
		Data: 2 * time.Minute, Block: 3 * time.Minute, End: 10 * time.Minute, Quit: 5 * time.Second, Idle: 30 * time.Second,
	}
	nodeTimeouts = Timeouts{
		Connect: 10 * time.Second, Greeting: 20 * time.Second, Mail: time.Minute, Rcpt: time.Minute,
		Data: time.Minute, Block: time.Minute, End: 3 * time.Minute, Quit: 5 * time.Second, Idle: 30 * time.Second,
	}
)

func (t *Timeouts) fill(from Timeouts) {
	for _, f := range []struct {
		d *time.Duration
		v time.Duration
	}{
		{&t.Connect, from.Connect}, {&t.Greeting, from.Greeting}, {&t.Mail, from.Mail}, {&t.Rcpt, from.Rcpt},
		{&t.Data, from.Data}, {&t.Block, from.Block}, {&t.End, from.End}, {&t.Quit, from.Quit}, {&t.Idle, from.Idle},
	} {
		if *f.d <= 0 {
			*f.d = f.v
		}
	}
}

// Serve runs the feed's transactions over the hop until the feed has none for
// Timeouts.Idle, or is closed, or the connection ends. It returns nil if the
// connection ended in peace, a [*ConnectError] otherwise. Every transaction it
// took has been reported by then. Cancelling ctx breaks the connection at
// once; close the feed to end in peace.
func (a *Agent) Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	switch hop.Kind {
	case mail.HopLocal:
		return a.serveStore(ctx, feed, a.deliverLocal)
	case mail.HopDrop:
		return a.serveStore(ctx, feed, dropInto(a, hop))
	case mail.HopNode, mail.HopSmartHost, mail.HopMX, mail.HopLMTP:
		return a.serveDialog(ctx, hop, feed)
	case mail.HopFail:
		return refuse(mail.Fail(hop.Status, hop.Reason))
	}
	return refuse(mail.Defer(mail.StatusNoAnswer, "there is no path to the next hop now: "+hop.Reason))
}

// serveDialog opens a connection and runs the feed over it. When the peer ends
// it in peace while transactions are on their way, they go over another one; each
// connection takes at least one message, so this comes to an end.
func (a *Agent) serveDialog(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	var carry []*delivery
	for {
		p, err := a.open(ctx, hop, zap.InfoLevel)
		if err == nil {
			carry, err = a.converse(ctx, p, feed, carry)
		}
		if err != nil {
			a.giveBack(feed, carry, err)
		}
		if err != nil || len(carry) == 0 {
			return err
		}
	}
}

// ServeConn runs the feed over a connection that the peer opened and on which the
// roles have changed (RFC 2645 section 5.3): the peer greets first. What protects
// the channel, and who the peer is, was settled before.
func (a *Agent) ServeConn(ctx context.Context, conn net.Conn, hop mail.Hop, feed mail.Feed) error {
	set := a.settings(hop)
	at := endpoint{network: "tcp", address: conn.RemoteAddr().String()}
	hop.Options.TLS, hop.Options.Account = mail.TLSNone, ""
	p := newPeer(hop, at, conn, a.limits(&set, hop))
	p.set = set
	_, p.tls = conn.(*tls.Conn)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := a.greet(ctx, p); err != nil {
		return a.asConnectError(p, err)
	}
	carry, err := a.converse(ctx, p, feed, nil)
	a.giveBack(feed, carry, errClosed)
	return err
}

// giveBack reports deliveries for which, or for the rest of which, no connection was found.
func (a *Agent) giveBack(feed mail.Feed, list []*delivery, err error) {
	o := mail.Defer(mail.StatusNoAnswer, err.Error())
	var c *ConnectError
	if errors.As(err, &c) {
		o = c.Outcome
	}
	now := a.opts.Clock()
	for _, d := range list {
		for i := range d.t.Targets {
			d.decide(i, o, "", now)
		}
		feed.Done(d.t, d.outcomes)
	}
}

// Probe finds out whether the hop's host would take mail: it connects, greets,
// proves both identities where the hop asks for it, and leaves. Hops that need
// no connection always answer.
func (a *Agent) Probe(ctx context.Context, hop mail.Hop) error {
	switch hop.Kind {
	case mail.HopNode, mail.HopSmartHost, mail.HopMX, mail.HopLMTP:
	default:
		return nil
	}
	p, err := a.open(ctx, hop, zap.DebugLevel)
	if err != nil {
		return err
	}
	p.quit(p.limits.Quit)
	return nil
}

// storeWorkers is how many transactions one Serve stores at a time: each waits
// for the disk twice, and a disk syncs many files in the time of one.
const storeWorkers = 32

// serveStore feeds a delivery that needs no connection.
func (a *Agent) serveStore(ctx context.Context, feed mail.Feed, deliver func(*mail.Transaction) []mail.Outcome) error {
	var busy sync.WaitGroup
	defer busy.Wait()
	slots := make(chan struct{}, storeWorkers)
	for ctx.Err() == nil {
		slots <- struct{}{}
		t := feed.Next()
		if t == nil {
			<-slots
			set := a.settings(mail.Hop{})
			if !feed.Wait(a.limits(&set, mail.Hop{}).Idle) {
				return nil
			}
			continue
		}
		busy.Go(func() {
			feed.Done(t, deliver(t))
			<-slots
		})
	}
	return nil
}
