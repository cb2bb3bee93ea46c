package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/node/mail"
)

// Options of a Resolver.
type Options struct {
	// Servers are recursive DNS servers, "address" or "address:port". Empty:
	// those of File.
	Servers []string
	File    string // nil Servers only; "": /etc/resolv.conf

	Timeout  time.Duration // for one question to one server; 0: 5 s
	Attempts int           // rounds over all servers; 0: 2

	// Names are this host's own names: MX hosts of these and of the same or a
	// lower preference are cut (RFC 5321 section 5.1).
	Names []string
	// IsSelf, if set, knows this host by its addresses too.
	IsSelf func(netip.Addr) bool

	PreferIPv4 bool // of a host with both, an A first; else an AAAA

	// Shuffle spreads hosts of equal preference; rand.Shuffle fits. nil keeps
	// the order of the names.
	Shuffle func(n int, swap func(i, j int))
	Clock   func() time.Time // nil: time.Now
	// CacheSize bounds the answers kept; 0: 10,000.
	CacheSize int
}

// Resolver looks up mail hosts. It may be used from many goroutines.
type Resolver struct {
	opts    Options
	servers []string
	cache   *cache

	hits, shared, answered, failed atomic.Int64

	flying  sync.Mutex
	flights map[question]*flight

	mu     sync.Mutex
	silent map[string]time.Time // servers to ask last, until then
}

// Error is a lookup without result. Status is what a report says of it.
type Error struct {
	Name      string // what was looked up
	Reason    string
	Code      mail.Status
	Transient bool
}

// Error is the name and the reason.
func (e *Error) Error() string { return e.Name + ": " + e.Reason }

// Status is the enhanced status code, of class 4 for temporary errors.
func (e *Error) Status() mail.Status { return e.Code }

// Temporary says whether to ask again later.
func (e *Error) Temporary() bool { return e.Transient }

func temporary(name, format string, args ...any) *Error {
	return &Error{Name: name, Reason: fmt.Sprintf(format, args...), Code: mail.StatusDirectory, Transient: true}
}

func permanent(name string, code mail.Status, reason string) *Error {
	return &Error{Name: name, Reason: reason, Code: code}
}

// New builds a Resolver. It fails if no server is given and none is configured
// on this system.
func New(o Options) (*Resolver, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 2
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 10000
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	servers := o.Servers
	if len(servers) == 0 {
		file := o.File
		if file == "" {
			file = "/etc/resolv.conf"
		}
		conf, err := dns.ClientConfigFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("DNS servers: %w; name them in the configuration", err)
		}
		servers = conf.Servers
	}
	r := &Resolver{opts: o, cache: newCache(o.CacheSize), silent: map[string]time.Time{}, flights: map[question]*flight{}}
	for _, s := range servers {
		r.servers = append(r.servers, withPort(s))
	}
	if len(r.servers) == 0 {
		return nil, errors.New("DNS servers: none is configured; name at least one")
	}
	return r, nil
}

func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

// Addrs gives the addresses of a host: one of the preferred family first, then the
// families in turn, so that a family that does not work costs one attempt before the
// other is tried. The name may be an address or an address literal. The error is an
// [*Error].
func (r *Resolver) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, _, err := r.locate(ctx, name)
	if err != nil {
		return nil, err
	}
	return addrs, nil
}

// locate is Addrs, with the name that stands at the end of the host's aliases.
func (r *Resolver) locate(ctx context.Context, name string) (addrs []netip.Addr, canonical string, failed *Error) {
	if ip, ok := literal(name); ok {
		return []netip.Addr{ip}, name, nil
	}
	name = mail.DomainKey(name)
	if isLocalhost(name) {
		return r.sorted([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, []netip.Addr{netip.IPv6Loopback()}), name, nil
	}
	type result struct {
		addrs  []netip.Addr
		answer answer
		err    *Error
	}
	six := make(chan result, 1)
	go func() {
		list, a, err := r.family(ctx, name, dns.TypeAAAA)
		six <- result{list, a, err}
	}()
	list, four, err := r.family(ctx, name, dns.TypeA)
	other := <-six
	addrs, canonical = r.sorted(list, other.addrs), cmp.Or(four.name, other.answer.name)
	switch {
	case len(addrs) > 0:
		return addrs, canonical, nil
	case err != nil:
		return nil, "", err
	case other.err != nil:
		return nil, "", other.err
	case !four.found && !other.answer.found:
		return nil, "", permanent(name, mail.StatusBadDomain, "the name does not exist")
	}
	return nil, "", permanent(name, mail.StatusNoRoute, "the name has no address")
}

// isLocalhost names what is never asked of DNS (RFC 6761 section 6.3).
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// sorted takes the families in turn, the preferred one first; each keeps the order in
// which DNS gave it (RFC 5321 section 5.1).
func (r *Resolver) sorted(four, six []netip.Addr) []netip.Addr {
	first, second := six, four
	if r.opts.PreferIPv4 {
		first, second = four, six
	}
	list := make([]netip.Addr, 0, len(four)+len(six))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			list = append(list, first[i])
		}
		if i < len(second) {
			list = append(list, second[i])
		}
	}
	return list
}

// literal reads "[1.2.3.4]", "[IPv6:::1]" (RFC 5321 section 4.1.3) and plain addresses.
func literal(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
		if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
			s = s[5:]
		}
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap(), err == nil
}
