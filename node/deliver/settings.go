package deliver

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// Settings are what may change while an Agent runs, and differ from one virtual server to
// the other; a connection keeps those of its beginning. All but Idle count for hosts
// outside the organisation only.
type Settings struct {
	// Resolver finds the hosts; nil: Options.Resolver.
	Resolver Resolver
	// Hostname is the name for EHLO and HELO; "": Options.Hostname.
	Hostname string
	// Timeouts; zero fields are those of Options.
	Timeouts Timeouts
	// Sources are addresses to connect from, at most one of each family; a family
	// without one is not used. Empty: the system chooses.
	Sources []netip.Addr
	// MaxTransactions ends a connection after that many messages; 0: no limit.
	MaxTransactions int
	// Masquerade hides the organisation's own domains from hosts outside.
	Masquerade Masquerade
}

// smartGreeting is how long a smart host may take to greet if nothing is said: it
// was chosen by an administrator, so that a silent one is broken, not busy.
const smartGreeting = time.Minute

// settings are those of this moment for a hop.
func (a *Agent) settings(hop mail.Hop) Settings {
	var s Settings
	if a.opts.Settings != nil {
		s = a.opts.Settings(hop)
	}
	if s.Resolver == nil {
		s.Resolver = a.opts.Resolver
	}
	if s.Hostname == "" {
		s.Hostname = a.opts.Hostname
	}
	return s
}

// limits are the timeouts for the host behind a hop.
func (a *Agent) limits(s *Settings, hop mail.Hop) Timeouts {
	if hop.Kind == mail.HopNode {
		t := a.opts.NodeTimeouts
		if s.Timeouts.Idle > 0 {
			t.Idle = s.Timeouts.Idle
		}
		return t
	}
	t := s.Timeouts
	if t.Greeting <= 0 && a.opts.Timeouts.Greeting == outsideTimeouts.Greeting && hop.Kind == mail.HopSmartHost {
		t.Greeting = smartGreeting
	}
	t.fill(a.opts.Timeouts)
	return t
}

// dial opens the stream, from the source address that is set for its family.
func (a *Agent) dial(ctx context.Context, s *Settings, hop mail.Hop, at endpoint) (net.Conn, error) {
	outside := hop.Kind == mail.HopMX || hop.Kind == mail.HopSmartHost
	if !outside || len(s.Sources) == 0 || at.network != "tcp" {
		return a.dialer.DialContext(ctx, at.network, at.address)
	}
	to, err := netip.ParseAddrPort(at.address)
	if err != nil {
		return a.dialer.DialContext(ctx, at.network, at.address)
	}
	for _, from := range s.Sources {
		if from.Is4() == to.Addr().Unmap().Is4() {
			d := net.Dialer{}
			if own, ok := a.dialer.(*net.Dialer); ok {
				d = *own
			}
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			return d.DialContext(ctx, at.network, at.address)
		}
	}
	return nil, &net.AddrError{Err: "no source address of this family is set", Addr: to.Addr().String()}
}
