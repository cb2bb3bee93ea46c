package deliver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Default ports: RFC 5321 section 4.5.4.2 and RFC 2033 section 5, which forbids
// LMTP on 25.
const (
	portSMTP = 25
	portLMTP = 24
)

// endpoint is one address of one host.
type endpoint struct {
	network, address string // as a Dialer takes them
	host             string // the name to verify in TLS and to show
}

// remote is the endpoint for logs and reports: "mx.example.com [192.0.2.1]:25".
func (e endpoint) remote() string {
	ap, err := netip.ParseAddrPort(e.address)
	if err != nil {
		return e.address
	}
	at := "[" + ap.Addr().String() + "]:" + strconv.Itoa(int(ap.Port()))
	if _, err := netip.ParseAddr(strings.Trim(e.host, "[]")); err == nil || e.host == "" {
		return at
	}
	return e.host + " " + at
}

// maxEndpoints bounds the addresses tried in one Serve (RFC 5321 section 5.1
// lets a client set a limit).
const maxEndpoints = 20

// endpoints lists where the hop may be reached, hosts that failed lately last.
func (a *Agent) endpoints(ctx context.Context, hop mail.Hop) ([]endpoint, error) {
	var list []endpoint
	var err error
	if hop.Kind == mail.HopMX {
		list, err = a.mxEndpoints(ctx, hop)
	} else {
		list, err = a.hostEndpoints(ctx, hop)
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, refuse(mail.Defer(mail.StatusNoAnswer, "no host is known for "+hop.Name))
	}
	a.shaky.order(list, a.opts.Clock())
	return list[:min(len(list), maxEndpoints)], nil
}

func (a *Agent) mxEndpoints(ctx context.Context, hop mail.Hop) ([]endpoint, error) {
	if a.opts.Resolver == nil {
		return nil, refuse(mail.Defer(mail.StatusDirectory, "this node has no DNS resolver to find "+hop.Domain))
	}
	hosts, err := a.opts.Resolver.MX(ctx, hop.Domain)
	if err != nil {
		return nil, lookupFailed(err)
	}
	var list []endpoint
	for _, h := range hosts {
		for _, ip := range h.Addrs {
			list = append(list, endpoint{"tcp", netip.AddrPortFrom(ip, uint16(defaultPort(hop))).String(), h.Name})
		}
	}
	return list, nil
}

func (a *Agent) hostEndpoints(ctx context.Context, hop mail.Hop) ([]endpoint, error) {
	var list []endpoint
	var failed error
	for _, h := range hop.Hosts {
		e := parseHost(h, defaultPort(hop))
		name, port, err := net.SplitHostPort(e.address)
		// Nodes and gateways are local matters, perhaps known to the hosts file
		// only, so the system looks them up; smart hosts are looked up in the DNS
		// that the virtual server names.
		if hop.Kind != mail.HopSmartHost || a.opts.Resolver == nil || err != nil || e.network != "tcp" || isIP(name) {
			list = append(list, e)
			continue
		}
		addrs, err := a.opts.Resolver.Addrs(ctx, name)
		if err != nil {
			failed = worse(failed, lookupFailed(err))
			continue
		}
		for _, ip := range addrs {
			list = append(list, endpoint{"tcp", net.JoinHostPort(ip.String(), port), name})
		}
	}
	if len(list) == 0 {
		return nil, failed
	}
	return list, nil
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func defaultPort(hop mail.Hop) int {
	switch {
	case hop.Options.Port != 0:
		return hop.Options.Port
	case hop.Kind == mail.HopLMTP:
		return portLMTP
	}
	return portSMTP
}

// parseHost reads "host", "host:port", "[1.2.3.4]", "[IPv6:::1]:25", "unix:/path", "/path".
func parseHost(s string, port int) endpoint {
	if path, ok := strings.CutPrefix(s, "unix:"); ok || strings.HasPrefix(s, "/") {
		return endpoint{"unix", path, "localhost"}
	}
	host, explicit, err := net.SplitHostPort(s)
	if err != nil {
		host, explicit = strings.Trim(s, "[]"), strconv.Itoa(port)
	}
	if len(host) > 5 && strings.EqualFold(host[:5], "IPv6:") {
		host = host[5:]
	}
	return endpoint{"tcp", net.JoinHostPort(host, explicit), host}
}

// lookupFailed turns a resolver's error into the hop's.
func lookupFailed(err error) *ConnectError {
	var l LookupError
	if errors.As(err, &l) {
		o := mail.Outcome{Result: mail.Failed, Status: l.Status(), Text: l.Error()}
		if l.Temporary() {
			o.Result = mail.Deferred
		}
		e := refuse(o)
		e.Err = err
		return e
	}
	e := refuse(mail.Defer(mail.StatusDirectory, err.Error()))
	e.Err = err
	return e
}

// worse keeps the error that decides for the whole hop: one host that may work
// later is enough to wait.
func worse(old, now error) error {
	var o *ConnectError
	if errors.As(old, &o) && o.Temporary {
		var n *ConnectError
		if errors.As(now, &n) && !n.Temporary {
			return old
		}
	}
	return now
}
