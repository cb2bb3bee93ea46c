package deliver

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
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
	smart            bool   // a smart host
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
	dns := a.settings(hop).Resolver
	var list []endpoint
	var err error
	switch {
	case hop.Kind == mail.HopMX && len(hop.Options.Smart) > 0:
		list, err = a.directFirst(ctx, dns, hop)
	case hop.Kind == mail.HopMX:
		list, err = mxEndpoints(ctx, dns, hop)
	default:
		list, err = a.hostEndpoints(ctx, dns, hop)
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, refuse(mail.Defer(mail.StatusNoAnswer, "no host is known for "+hop.Name))
	}
	a.shaky.order(hop.Name, list, a.opts.Clock())
	return list[:min(len(list), maxEndpoints)], nil
}

// directFirst gives the hosts of the domain and, after them, the smart hosts (the
// book, chapter 5, "attempt direct delivery before sending to smart host"). A
// domain that DNS here does not know may well be known there; one that says that
// it takes no mail (RFC 7505) takes none from there either.
func (a *Agent) directFirst(ctx context.Context, dns Resolver, hop mail.Hop) ([]endpoint, error) {
	list, failed := mxEndpoints(ctx, dns, hop)
	var c *ConnectError
	if errors.As(failed, &c) && c.Outcome.Status == mail.StatusNullMX {
		return nil, failed
	}
	list = list[:min(len(list), maxEndpoints/2)]
	via := hop
	via.Kind, via.Hosts = mail.HopSmartHost, hop.Options.Smart
	smart, err := a.hostEndpoints(ctx, dns, via)
	if len(list)+len(smart) == 0 {
		return nil, worse(failed, err)
	}
	return append(list, smart...), nil
}

func mxEndpoints(ctx context.Context, dns Resolver, hop mail.Hop) ([]endpoint, error) {
	if dns == nil {
		return nil, refuse(mail.Defer(mail.StatusDirectory, "this node has no DNS resolver to find "+hop.Domain))
	}
	hosts, err := dns.MX(ctx, hop.Domain)
	if err != nil {
		return nil, lookupFailed(err)
	}
	var list []endpoint
	for _, h := range hosts {
		for _, ip := range h.Addrs {
			list = append(list, endpoint{"tcp", netip.AddrPortFrom(ip, uint16(defaultPort(hop))).String(), h.Name, false})
		}
	}
	return list, nil
}

func (a *Agent) hostEndpoints(ctx context.Context, dns Resolver, hop mail.Hop) ([]endpoint, error) {
	var list []endpoint
	var failed error
	for _, h := range a.inOrder(hop) {
		if name, ok := byMX(dns, hop, h); ok {
			found, err := smartMX(ctx, dns, hop, name)
			if err != nil {
				failed = worse(failed, err)
			}
			list = append(list, found...)
			continue
		}
		e := parseHost(h, defaultPort(hop))
		e.smart = hop.Kind == mail.HopSmartHost
		name, port, err := net.SplitHostPort(e.address)
		// Nodes and gateways are local matters, perhaps known to the hosts file
		// only, so the system looks them up; smart hosts are looked up in the DNS
		// that the virtual server names.
		if hop.Kind != mail.HopSmartHost || dns == nil || err != nil || e.network != "tcp" || isIP(name) {
			list = append(list, e)
			continue
		}
		addrs, err := dns.Addrs(ctx, name)
		if err != nil {
			failed = worse(failed, unknownSmartHost(name, lookupFailed(err)))
			continue
		}
		for _, ip := range addrs {
			list = append(list, endpoint{"tcp", net.JoinHostPort(ip.String(), port), name, e.smart})
		}
	}
	if len(list) == 0 {
		return nil, failed
	}
	return list, nil
}

// inOrder gives the hosts in the order to try them: as they are written, or by a
// random permutation in which each comes first as often as its share says.
func (a *Agent) inOrder(hop mail.Hop) []string {
	if len(hop.Options.Shares) != len(hop.Hosts) || len(hop.Hosts) < 2 {
		return hop.Hosts
	}
	type turn struct {
		host string
		at   float64
	}
	turns := make([]turn, len(hop.Hosts))
	for i, h := range hop.Hosts {
		// The first of events that come by chance, at a rate of the share.
		turns[i] = turn{h, -math.Log(1-a.opts.Random()) / float64(max(hop.Options.Shares[i], 1))}
	}
	slices.SortFunc(turns, func(x, y turn) int { return cmp.Compare(x.at, y.at) })
	hosts := make([]string, len(turns))
	for i, t := range turns {
		hosts[i] = t.host
	}
	return hosts
}

// byMX says whether a smart host is a name to look up like a domain: one without
// brackets and port. What DNS says of MX cannot be believed where the host shall prove
// who it is, so there the name is the host.
func byMX(dns Resolver, hop mail.Hop, host string) (name string, ok bool) {
	if hop.Kind != mail.HopSmartHost || dns == nil || hop.Options.RequireTLS || hop.Options.TLS == mail.TLSVerified {
		return "", false
	}
	return host, !strings.ContainsAny(host, "[]:/") && !isIP(host)
}

func smartMX(ctx context.Context, dns Resolver, hop mail.Hop, name string) ([]endpoint, error) {
	hosts, err := dns.MX(ctx, name)
	if err != nil {
		return nil, unknownSmartHost(name, lookupFailed(err))
	}
	var list []endpoint
	for _, h := range hosts {
		for _, ip := range h.Addrs {
			list = append(list, endpoint{"tcp", netip.AddrPortFrom(ip, uint16(defaultPort(hop))).String(), h.Name, true})
		}
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
		return endpoint{network: "unix", address: path, host: "localhost"}
	}
	host, explicit, err := net.SplitHostPort(s)
	if err != nil {
		host, explicit = strings.Trim(s, "[]"), strconv.Itoa(port)
	}
	if len(host) > 5 && strings.EqualFold(host[:5], "IPv6:") {
		host = host[5:]
	}
	return endpoint{network: "tcp", address: net.JoinHostPort(host, explicit), host: host}
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

// unknownSmartHost rewords a lookup that failed for good: it is no fault of the
// recipient's address, so the codes of addresses (5.1.2) would mislead the sender
// (the book, chapter 7, table 2, 5.4.0).
func unknownSmartHost(name string, e *ConnectError) *ConnectError {
	if !e.Temporary && e.Outcome.Status != mail.StatusLoopsToSelf {
		e.Outcome.Status, e.Outcome.Text = mail.StatusNetwork, "the smart host "+name+" cannot be found: "+e.Outcome.Text
	}
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
