package deliver

import (
	"context"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
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
