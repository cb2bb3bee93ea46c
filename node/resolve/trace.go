package resolve

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/node/mail"
)

// Trace is how the mail hosts of a domain were found.
type Trace struct {
	// Hosts in the order of preference, those that are left out too.
	Hosts     []TracedHost
	Questions []TracedQuestion // in the order of the answers

	mu sync.Mutex
}

// TracedHost is a mail host that DNS names.
type TracedHost struct {
	Preference int // -1: the domain itself, which has no MX
	Name       string
	Addrs      []netip.Addr
	LeftOut    string // why; "": it gets mail
}

// TracedQuestion is one question to DNS.
type TracedQuestion struct {
	Name, Kind string
	Records    int
	Exists     bool // the name
	Cached     bool
	Server     string        // that answered
	Age        time.Duration // of the answer
	Left       time.Duration // until it is asked again
	Err        string
}

type traceKey struct{}

// Trace is MX, with an account of how its result came about. The code is the same.
func (r *Resolver) Trace(ctx context.Context, domain string) (*Trace, []mail.Host, error) {
	t := &Trace{}
	hosts, err := r.MX(context.WithValue(ctx, traceKey{}, t), domain)
	return t, hosts, err
}

// traceOf gives the account that is kept of a lookup; nil, which notes nothing: none.
func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

func (t *Trace) host(h TracedHost) {
	if t != nil {
		t.Hosts = append(t.Hosts, h)
	}
}

// cut notes why all hosts from the first of a preference on are left out.
func (t *Trace) cut(preference int, self string) {
	if t == nil {
		return
	}
	for i := range t.Hosts {
		h := &t.Hosts[i]
		switch {
		case h.LeftOut != "" || h.Preference < preference:
		case h.Name == self:
			h.LeftOut = "is this server"
		default:
			h.LeftOut = "is not better than this server, which is one of the hosts"
		}
	}
}

func (t *Trace) question(q question, a *answer, cached bool, now time.Time, err error) {
	if t == nil {
		return
	}
	n := TracedQuestion{Name: strings.TrimSuffix(q.name, "."), Kind: dns.TypeToString[q.kind], Cached: cached}
	if err != nil {
		n.Err = err.Error()
	} else {
		n.Records, n.Exists, n.Server, n.Age, n.Left = len(a.records), a.found, a.server, now.Sub(a.at), a.until.Sub(now)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Questions = append(t.Questions, n)
}

const beyondBest = "comes after the ten best"

// beyond notes the hosts that were not looked for.
func (t *Trace) beyond(list []exchange) {
	for _, x := range list {
		t.host(TracedHost{Preference: int(x.preference), Name: x.name, LeftOut: beyondBest})
	}
}

// best notes that only the first n of the hosts that were found get mail.
func (t *Trace) best(n int) {
	if t == nil {
		return
	}
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.LeftOut == "" {
			if n--; n < 0 {
				h.LeftOut = beyondBest
			}
		}
	}
}

// Stats of a resolver, since its beginning.
type Stats struct {
	Hits     int64 // answers from the cache
	Shared   int64 // questions that were on their way already
	Answered int64 // by DNS, absence included
	Failed   int64 // no server answered for good
	Kept     int   // answers in the cache
}

// Stats are those of this moment.
func (r *Resolver) Stats() Stats {
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	return Stats{Hits: r.hits.Load(), Shared: r.shared.Load(), Answered: r.answered.Load(), Failed: r.failed.Load(), Kept: len(r.cache.kept)}
}

// silentFor is how long a name server that did not answer is asked last.
const silentFor = time.Minute

// inTurn gives the name servers in the order to ask them: as they are configured, those
// that were silent lately last, so that one dead server does not hold up each lookup.
func (r *Resolver) inTurn(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.silent) == 0 {
		return r.servers
	}
	rank := func(s string) int {
		if until, ok := r.silent[s]; ok && now.Before(until) {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(r.servers), func(a, b string) int { return rank(a) - rank(b) })
}

// heard notes whether a server answered.
func (r *Resolver) heard(server string, ok bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		delete(r.silent, server)
	} else {
		r.silent[server] = now.Add(silentFor)
	}
}
