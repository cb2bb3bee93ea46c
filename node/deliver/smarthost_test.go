package deliver

import (
	"context"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// book of DNS: hosts by MX, and addresses by name.
type phoneBook struct {
	mx    map[string][]mail.Host
	addrs map[string][]netip.Addr
	// asked for, in order: "mx a.example"
	asked []string
}

func (b *phoneBook) MX(_ context.Context, domain string) ([]mail.Host, error) {
	b.asked = append(b.asked, "mx "+domain)
	if h := b.mx[domain]; h != nil {
		return h, nil
	}
	return nil, lookupError{status: mail.StatusBadDomain}
}

func (b *phoneBook) Addrs(_ context.Context, name string) ([]netip.Addr, error) {
	b.asked = append(b.asked, "address "+name)
	if a := b.addrs[name]; a != nil {
		return a, nil
	}
	return nil, lookupError{status: mail.StatusBadDomain}
}

func ips(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// A bare name is looked up like a domain; brackets, a port, and proof of identity
// make it a host.
func TestSmartHostLookup(t *testing.T) {
	for name, c := range map[string]struct {
		hosts   []string
		options mail.HopOptions
		want    string
		asked   string
	}{
		"name":        {hosts: []string{"a.example"}, want: "mx1.a.example [192.0.2.1]:25, mx1.a.example [2001:db8::1]:25, mx2.a.example [192.0.2.2]:25", asked: "mx a.example"},
		"in brackets": {hosts: []string{"[a.example]"}, want: "a.example [192.0.2.9]:25", asked: "address a.example"},
		"with a port": {hosts: []string{"a.example:2525"}, want: "a.example [192.0.2.9]:2525", asked: "address a.example"},
		"both":        {hosts: []string{"[a.example]:2525"}, want: "a.example [192.0.2.9]:2525", asked: "address a.example"},
		"addresses":   {hosts: []string{"[192.0.2.7]:2525", "[IPv6:2001:db8::7]"}, want: "[192.0.2.7]:2525, [2001:db8::7]:25"},
		"a list, one unknown": {hosts: []string{"gone.example", "[192.0.2.7]", "a.example"}, options: mail.HopOptions{Port: 26},
			want: "[192.0.2.7]:26, mx1.a.example [192.0.2.1]:26, mx1.a.example [2001:db8::1]:26, mx2.a.example [192.0.2.2]:26", asked: "mx gone.example, mx a.example"},
		"to be verified": {hosts: []string{"a.example"}, options: mail.HopOptions{TLS: mail.TLSVerified}, want: "a.example [192.0.2.9]:25", asked: "address a.example"},
		"REQUIRETLS":     {hosts: []string{"a.example"}, options: mail.HopOptions{RequireTLS: true}, want: "a.example [192.0.2.9]:25", asked: "address a.example"},
	} {
		b := &phoneBook{
			mx:    map[string][]mail.Host{"a.example": {{Name: "mx1.a.example", Addrs: ips("192.0.2.1", "2001:db8::1")}, {Name: "mx2.a.example", Addrs: ips("192.0.2.2")}}},
			addrs: map[string][]netip.Addr{"a.example": ips("192.0.2.9")},
		}
		list, err := New(Options{Hostname: "me.example", Resolver: b}).endpoints(t.Context(), mail.Hop{Kind: mail.HopSmartHost, Hosts: c.hosts, Options: c.options})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, e := range list {
			got = append(got, e.remote())
			if !e.smart {
				t.Errorf("%s: %s is no smart host", name, e.remote())
			}
		}
		if strings.Join(got, ", ") != c.want || strings.Join(b.asked, ", ") != c.asked {
			t.Errorf("%s: %q, asked %q", name, got, b.asked)
		}
	}
}

// Each smart host comes first as often as its share says, and all come each time.
func TestSmartHostShares(t *testing.T) {
	const times = 20000
	random := rand.New(rand.NewPCG(1, 2))
	a := New(Options{Hostname: "me.example", Random: random.Float64})
	hop := mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"[192.0.2.1]", "[192.0.2.2]", "[192.0.2.3]"}}
	for _, shares := range [][]int{{1, 1, 1}, {1, 3, 6}, {100, 1, 1}} {
		hop.Options.Shares = shares
		first, total := map[string]int{}, 0
		for _, n := range shares {
			total += n
		}
		for range times {
			got := a.inOrder(hop)
			first[got[0]]++
			if got = slices.Sorted(slices.Values(got)); !slices.Equal(got, hop.Hosts) {
				t.Fatalf("%v is not all of %v", got, hop.Hosts)
			}
		}
		for i, h := range hop.Hosts {
			p := float64(shares[i]) / float64(total)
			// Five standard deviations; the numbers are the same each time.
			if d := math.Abs(float64(first[h]) - p*times); d > 5*math.Sqrt(times*p*(1-p)) {
				t.Errorf("shares %v: %s came first %d times of %d", shares, h, first[h], times)
			}
		}
	}
	hop.Options.Shares = nil
	if got := a.inOrder(hop); !slices.Equal(got, hop.Hosts) {
		t.Errorf("without shares: %v", got)
	}
}

// A host that failed stands behind the others, whatever its share, until it worked
// or five minutes are over.
func TestBadSmartHostIsRemembered(t *testing.T) {
	now := time.Unix(1000, 0)
	a := New(Options{Hostname: "me.example", Clock: func() time.Time { return now }, Random: func() float64 { return 0.5 }})
	hop := mail.Hop{Kind: mail.HopSmartHost, Hosts: []string{"[192.0.2.1]", "[192.0.2.2]"}, Options: mail.HopOptions{Shares: []int{100, 1}}}
	first := func() string {
		list, err := a.endpoints(t.Context(), hop)
		if err != nil || len(list) != 2 {
			t.Fatalf("%v, %v", list, err)
		}
		return list[0].host
	}
	if got := first(); got != "192.0.2.1" {
		t.Errorf("first %s", got)
	}
	a.shaky.failed("192.0.2.1:25", now)
	if got := first(); got != "192.0.2.2" {
		t.Errorf("after a failure %s", got)
	}
	now = now.Add(shakyFor)
	if got := first(); got != "192.0.2.1" {
		t.Errorf("after %v %s", shakyFor, got)
	}
	a.shaky.failed("192.0.2.1:25", now)
	a.shaky.worked("192.0.2.1:25")
	if got := first(); got != "192.0.2.1" {
		t.Errorf("after it worked %s", got)
	}
}

// A host that takes the connection and then no mail, for a reason of its own, ends the
// attempt; the next one goes to the next host (RFC 5321 section 5.1). What is about a
// message or a mailbox is no reason, and who takes mail again is the first again.
func TestNextAttemptNextHost(t *testing.T) {
	type host int
	says := func(at, what string) func(string, string) string {
		return func(verb, _ string) string {
			if verb == at || at == "end" && (verb == "DOT" || verb == "BDAT") {
				return what
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		script func(string, string) string // of the better host
		second host                        // that the second attempt goes to
	}{
		"no room":                 {says("MAIL", "452 4.3.1 disk full"), 2},
		"no room, without status": {says("MAIL", "452 disk full"), 2},
		"no room for the content": {says("end", "452 4.3.1 disk full"), 2},
		"something wrong":         {says("end", "451 local error"), 2},
		"no service for RCPT":     {says("RCPT", "450 4.3.2 not now"), 2},
		"421 at MAIL":             {says("MAIL", "421 4.3.2 overloaded"), 2},
		"goes away at RCPT":       {says("RCPT", "drop"), 2},
		"not SMTP":                {says("MAIL", "what?"), 2},
		"greylisting":             {says("RCPT", "450 4.7.1 greylisted"), 1},
		"greylisting, no status":  {says("RCPT", "451 greylisted"), 1},
		"a full mailbox":          {says("RCPT", "452 4.2.2 full"), 1},
		"policy at the end":       {says("end", "451 4.7.1 later"), 1},
		"a refusal":               {says("RCPT", "550 5.1.1 nobody"), 1},
		"all is well":             {says("", ""), 1},
	} {
		for _, ext := range []string{"nothing", "pipelining", "pipelining+chunking"} {
			t.Run(name+"/"+ext, func(t *testing.T) {
				now := time.Unix(1000, 0)
				asked := map[host]int{}
				script := c.script
				d := &dialTo{server: func(address string, conn net.Conn) {
					f := &fake{ext: combinations[ext]}
					if strings.HasPrefix(address, "192.0.2.1:") {
						asked[1]++
						f.script = script
					} else {
						asked[2]++
					}
					f.serve(0, conn)
				}}
				o := Options{Hostname: "me.example", Dialer: d, Clock: func() time.Time { return now }}
				twoHosts(&o)
				a := New(o)
				hop := mail.Hop{Kind: mail.HopMX, Name: "x.example (MX)", Domain: "x.example"}
				attempt := func() host {
					clear(asked)
					_ = a.Serve(t.Context(), hop, newFeed(t, many(1)...))
					d.wg.Wait()
					if asked[1]+asked[2] != 1 {
						t.Fatalf("hosts asked: %v", asked)
					}
					if asked[1] > 0 {
						return 1
					}
					return 2
				}
				if got := attempt(); got != 1 {
					t.Errorf("the first attempt went to host %d", got)
				}
				now = now.Add(10 * time.Minute)
				if got := attempt(); got != c.second {
					t.Errorf("the second attempt went to host %d, want %d", got, c.second)
				}
				now = now.Add(troubledFor)
				script = nil // it has been repaired
				for range 2 {
					if got := attempt(); got != 1 {
						t.Errorf("after %v the attempt went to host %d", troubledFor, got)
					}
				}
			})
		}
	}
}

// dialTo gives each connection, with the address, to a server function.
type dialTo struct {
	wg     sync.WaitGroup
	server func(address string, c net.Conn)
}

func (d *dialTo) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	a, b := net.Pipe()
	d.wg.Go(func() {
		defer func() { _ = b.Close() }()
		d.server(address, b)
	})
	return a, nil
}

// Of hosts that are all in trouble each has its turn.
func TestTroubledHostsTakeTurns(t *testing.T) {
	s, now := newShakyHosts(), time.Unix(1000, 0)
	list := func() string {
		l := []endpoint{{address: "a"}, {address: "b"}, {address: "c"}}
		s.order("hop", l, now)
		return l[0].address + l[1].address + l[2].address
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "abc"},
		{func() { s.troubled("hop", "a", now) }, "bca"},
		{func() { s.troubled("other hop", "b", now) }, "bca"},
		{func() { s.failed("b", now) }, "cab"},
		{func() { s.troubled("hop", "c", now) }, "abc"},
		{func() { s.troubled("hop", "a", now) }, "bca"},
		{func() { now = now.Add(5 * time.Minute) }, "bca"},
		{func() { s.eased("hop", "a") }, "abc"},
		{func() { now = now.Add(troubledFor) }, "abc"},
	} {
		now = now.Add(time.Second)
		step.do()
		if got := list(); got != step.want {
			t.Errorf("%s, want %s", got, step.want)
		}
	}
}
