package mail

import (
	"strings"
	"time"
)

// HopKind is the way a hop is delivered over.
type HopKind uint8

// Hop kinds.
const (
	HopUnreachable HopKind = iota // no path now; wait for the map to change
	HopLocal                      // the mailbox store of this server
	HopNode                       // another node, by mutually authenticated SMTP
	HopSmartHost                  // smart hosts of an SMTP connector or virtual server
	HopMX                         // the MX hosts of Domain
	HopLMTP                       // an LMTP gateway of a foreign connector
	HopDrop                       // a drop directory of a foreign connector
	HopFail                       // never deliverable: Reason and Status tell why
)

// Hop is a next hop: what a link is for. Two hops with equal Key are one link.
type Hop struct {
	Kind HopKind
	// Name is what an operator reads: "paris-2", "smart host relay.example",
	// "example.com (MX)", "local delivery".
	Name string
	// Server is the next node (HopNode).
	Server GUID
	// Connector is the connector the hop leads over; zero inside a group.
	Connector GUID
	// ConnectorName is its name in the directory.
	ConnectorName string
	// Travel is the connector chosen for the messages, which travels with them
	// to the next node (HopNode); zero: that node chooses. It may be the one the
	// hop leads over, and often lies further on.
	Travel GUID
	// Hosts are the SMTP addresses to try, in order: "host:port", or "[1.2.3.4]".
	// For HopNode they belong to one server; for HopSmartHost each is one host.
	Hosts []string
	// Domain is the domain to look up (HopMX).
	Domain string
	// Status and Reason: for HopFail and HopUnreachable, and why this way was
	// taken otherwise.
	Status Status
	Reason string
	// TableVersion is the version of the routing table that decided.
	TableVersion uint64
	Options      HopOptions
}

// HopOptions are the connector's outbound settings; zero values mean the
// virtual server's own.
type HopOptions struct {
	TLS            TLSPolicy
	UseHELO        bool   // HELO instead of EHLO (the book, chapter 2)
	Account        string // user for AUTH; empty: no AUTH
	PasswordFile   string
	Port           int // HopMX and smart hosts without a port; 0: 25
	MaxConnections int
	// Glitch is how many failed connections are retried, GlitchWait apart,
	// before the link counts as failed.
	Glitch     int
	GlitchWait time.Duration
	Directory  string // HopDrop
}

// TLSPolicy is what a connector asks of the channel.
type TLSPolicy uint8

// TLS policies, weakest first.
const (
	TLSOpportunistic TLSPolicy = iota // use STARTTLS if offered, never verify
	TLSNone
	TLSRequired
	TLSVerified
)

// Key tells links apart.
func (h Hop) Key() string {
	switch h.Kind {
	case HopUnreachable:
		return "unreachable"
	case HopLocal:
		return "local"
	case HopNode:
		// All messages of a link get one passport's worth of routing.
		return "node:" + h.Server.String() + ":" + h.Connector.String() + ":" + h.Travel.String()
	case HopSmartHost:
		return "smarthost:" + h.Connector.String() + ":" + strings.Join(h.Hosts, ";")
	case HopMX:
		return "mx:" + h.Connector.String() + ":" + h.Domain
	case HopLMTP:
		return "lmtp:" + h.Connector.String()
	case HopDrop:
		return "drop:" + h.Connector.String()
	}
	return "fail:" + h.Status.String()
}
