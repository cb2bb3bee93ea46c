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
	HopHeld                       // not to be delivered yet: its sender asked for a later time
	HopFrozen                     // not to be delivered: an administrator stopped it
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
	// ConnectorName is its name in the directory. HopUnreachable has no Connector, but
	// the name of one that the mail waits for, where there is one.
	ConnectorName string
	// Travel is the connector chosen for the messages, which travels with them
	// to the next node (HopNode); zero: that node chooses. It may be the one the
	// hop leads over, and often lies further on.
	Travel GUID
	// VirtualServer is the one by whose settings mail for the hop is sent, and
	// VirtualServerName its name in the directory; zero: by none of its own.
	VirtualServer     GUID
	VirtualServerName string
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
	// ByHand: an administrator, or a rule, named the host. A slip of theirs returns no
	// mail: what cannot be found is waited for.
	ByHand  bool
	Options HopOptions
}

// HopOptions are the outbound settings of the connector, and of Hop.VirtualServer
// where that leaves them open; zero values mean the defaults.
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
	// RequireTLS: the host must prove who it is and offer REQUIRETLS (RFC 8689
	// section 4.2.1); one that does not never gets the mail.
	RequireTLS bool
	// Shares are those of Hosts, in their order (HopSmartHost); nil: as they are
	// written, the others being spares.
	Shares []int
	// Smart are smart hosts to turn to when no host of Domain answers (HopMX).
	Smart []string
	// Oversize: for messages above the connector's oversize threshold, whose
	// timetable may be another.
	Oversize bool
	// Timetable is when the connector may be used; nil: always.
	Timetable *Timetable
	// Remote: mail waits until the other side asks for it.
	Remote bool
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

// Key tells links apart. A link is of one virtual server as long as it lives: when
// another one sends, by a change of the directory, mail moves to another link, and
// connections that are open end by the settings of their beginning.
func (h Hop) Key() string {
	key := h.key()
	if !h.VirtualServer.IsZero() {
		key += "|by " + h.VirtualServer.String()
	}
	if h.Options.RequireTLS {
		key += "|requiretls"
	}
	if h.Options.Oversize {
		key += "|oversize"
	}
	return key
}

func (h Hop) key() string {
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
	case HopHeld:
		return "held"
	case HopFrozen:
		return "frozen"
	}
	return "fail:" + h.Status.String()
}
