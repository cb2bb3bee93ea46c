package resolve

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Bounds on how long an answer is kept, whatever it says: DNS is asked again
// soon after a repair, and not for every message.
const (
	minTTL      = 5 * time.Second
	maxTTL      = time.Hour
	noSOA       = time.Minute // negative answer without SOA
	maxAliases  = 8
	udpSize     = 1232 // what passes everywhere without fragments
	noAnswerYet = "no DNS server answered"
	// maxKept is how many records an answer may have to be kept: no honest one has
	// more, and the cache counts answers, not octets.
	maxKept = 100
)

// answer is what DNS says about a name and a type.
type answer struct {
	records []dns.RR
	found   bool   // the name exists
	name    string // at the end of the aliases; without the dot, lower case
	until   time.Time
	server  string // that gave it
	at      time.Time
}

// family gives the addresses of one kind.
func (r *Resolver) family(ctx context.Context, name string, kind uint16) ([]netip.Addr, answer, *Error) {
	a, err := r.lookup(ctx, name, kind)
	if err != nil {
		return nil, answer{}, err
	}
	var list []netip.Addr
	for _, rr := range a.records {
		var b []byte
		switch rr := rr.(type) {
		case *dns.A:
			b = rr.A.To4()
		case *dns.AAAA:
			b = rr.AAAA
		}
		if ip, ok := netip.AddrFromSlice(b); ok {
			list = append(list, ip)
		}
	}
	return list, a, nil
}

// lookup answers from the cache, or asks, and follows aliases that a server
// left for us. Who asks what is being asked already waits for that answer.
func (r *Resolver) lookup(ctx context.Context, name string, kind uint16) (answer, *Error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return answer{}, nil // cannot exist
	}
	key := question{dns.CanonicalName(name), kind}
	now := r.opts.Clock()
	a, f := r.join(key, now)
	if f == nil {
		traceOf(ctx).question(key, &a, true, now, nil)
		return a, nil
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		r.leave(key, f)
		err := temporary(strings.TrimSuffix(key.name, "."), "DNS: %v", context.Cause(ctx))
		traceOf(ctx).question(key, nil, false, now, err)
		return answer{}, err
	}
	if f.err != nil {
		traceOf(ctx).question(key, nil, false, now, f.err)
		return answer{}, f.err
	}
	traceOf(ctx).question(key, &f.answer, false, now, nil)
	return f.answer, nil
}

func (r *Resolver) askFor(ctx context.Context, key question, now time.Time) (answer, *Error) {
	name := strings.TrimSuffix(key.name, ".")
	a := answer{found: true, until: now.Add(maxTTL), at: now}
	for q, hops := key, 0; ; hops++ {
		if hops == maxAliases {
			return answer{}, temporary(name, "more than %d aliases in a row", maxAliases)
		}
		m, server, err := r.ask(ctx, q)
		if err != nil {
			return answer{}, temporary(name, "%v", err)
		}
		a.server = server
		alias := a.add(m, q, now)
		if alias == "" {
			break
		}
		q.name = alias
	}
	return a, nil
}

// add takes over a reply; it gives the name to ask for next if the reply ends in
// an alias without records behind it.
func (a *answer) add(m *dns.Msg, q question, now time.Time) (next string) {
	name, moved := q.name, 0
	for ; moved < maxAliases; moved++ {
		target := aliasOf(m, name, a, now)
		if target == "" {
			break
		}
		name = target
	}
	a.name = strings.TrimSuffix(dns.CanonicalName(name), ".")
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == q.kind && rr.Header().Class == dns.ClassINET && dns.CanonicalName(rr.Header().Name) == dns.CanonicalName(name) {
			a.records = append(a.records, rr)
			a.limit(now, time.Duration(rr.Header().Ttl)*time.Second)
		}
	}
	switch {
	case len(a.records) > 0:
		return ""
	case m.Rcode == dns.RcodeNameError:
		a.found = false
	case moved == maxAliases: // a loop, most likely; lookup gives up on it
		return name
	case moved > 0 && !hasSOA(m):
		return name
	}
	a.limit(now, negativeTTL(m))
	return ""
}

func aliasOf(m *dns.Msg, name string, a *answer, now time.Time) string {
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && dns.CanonicalName(c.Hdr.Name) == dns.CanonicalName(name) {
			a.limit(now, time.Duration(c.Hdr.Ttl)*time.Second)
			return c.Target
		}
	}
	return ""
}

func (a *answer) limit(now time.Time, ttl time.Duration) {
	if t := now.Add(max(ttl, minTTL)); t.Before(a.until) {
		a.until = t
	}
}

func hasSOA(m *dns.Msg) bool {
	for _, rr := range m.Ns {
		if _, ok := rr.(*dns.SOA); ok {
			return true
		}
	}
	return false
}

// negativeTTL is RFC 2308 section 5: the lesser of the SOA's TTL and its minimum.
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Minttl, soa.Hdr.Ttl)) * time.Second
		}
	}
	return noSOA
}
