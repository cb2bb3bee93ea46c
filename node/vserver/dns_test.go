package vserver

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// noSuch is a resolver's certainty that there is nothing.
type noSuch struct{ error }

func (noSuch) Temporary() bool { return false }

var errSilent = errors.New("no DNS server answered")

// zone is DNS in memory.
type zone struct {
	mu     sync.Mutex
	ptr    map[string][]string
	a      map[string]string
	null   map[string]bool // domains without mail
	silent bool
	hang   bool
	asked  []string
}

func (z *zone) ask(ctx context.Context, what string) error {
	z.mu.Lock()
	z.asked = append(z.asked, what)
	silent, hang := z.silent, z.hang
	z.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if silent {
		return errSilent
	}
	return nil
}

func (z *zone) Names(ctx context.Context, ip netip.Addr) ([]string, error) {
	if err := z.ask(ctx, "ptr "+ip.String()); err != nil {
		return nil, err
	}
	if n := z.ptr[ip.String()]; n != nil {
		return n, nil
	}
	return nil, noSuch{errors.New("no name")}
}

func (z *zone) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	if err := z.ask(ctx, "a "+name); err != nil {
		return nil, err
	}
	if a, ok := z.a[name]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, noSuch{errors.New("no address")}
}

func (z *zone) Listed(ctx context.Context, name string) ([]netip.Addr, error) {
	list, err := z.Addrs(ctx, name)
	return list, unlessCertain(err)
}

func (z *zone) NullMX(ctx context.Context, domain string) (bool, error) {
	return z.null[domain], z.ask(ctx, "mx "+domain)
}

func (z *zone) set(silent bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.silent = silent
}

func (z *zone) questions() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

// loopback is a zone in which 127.0.0.1 is mx.partner.test.
func loopback() *zone {
	return &zone{ptr: map[string][]string{"127.0.0.1": {"liar.test", "MX.partner.test"}}, a: map[string]string{"MX.partner.test": "127.0.0.1", "liar.test": "192.0.2.9"}}
}

func with(z *zone) func(*Deps) { return func(d *Deps) { d.Resolver = z } }

func TestHostNameIsVerified(t *testing.T) {
	for name, c := range map[string]struct {
		zone *zone
		want string
		err  bool
	}{
		"leads back":             {loopback(), "mx.partner.test", false},
		"leads elsewhere":        {&zone{ptr: map[string][]string{"127.0.0.1": {"liar.test"}}, a: map[string]string{"liar.test": "192.0.2.9"}}, "", false},
		"leads nowhere":          {&zone{ptr: map[string][]string{"127.0.0.1": {"gone.test"}}}, "", false},
		"no name":                {&zone{}, "", false},
		"silence":                {&zone{silent: true}, "", true},
		"the fifth is not tried": {&zone{ptr: map[string][]string{"127.0.0.1": {"a", "b", "c", "d", "good.test"}}, a: map[string]string{"good.test": "127.0.0.1"}}, "", false},
		"the fourth still is":    {&zone{ptr: map[string][]string{"127.0.0.1": {"a", "b", "c", "good.test"}}, a: map[string]string{"good.test": "127.0.0.1"}}, "good.test", false},
	} {
		h := &host{ctx: t.Context(), dns: c.zone, ip: netip.MustParseAddr("127.0.0.1")}
		got, err := h.name()
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		n := c.zone.questions()
		if again, _ := h.name(); again != got || c.zone.questions() != n {
			t.Errorf("%s: asked twice", name)
		}
	}
}

func TestBlockListQuestions(t *testing.T) {
	l := blockList{zone: "bl.test"}
	for ip, want := range map[string]string{
		"192.0.2.99":                "99.2.0.192.bl.test", // RFC 5782 section 2.1
		"::ffff:192.0.2.99":         "99.2.0.192.bl.test",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.test", // section 2.4
	} {
		if got := l.question(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
	narrow := blockList{codes: parseNetworks([]string{"127.0.0.2", "127.0.1.0/24"})}
	for code, want := range map[string][2]bool{ // any, narrow
		"127.0.0.2": {true, true}, "127.0.0.3": {true, false}, "127.0.1.9": {true, true},
		"127.255.255.254": {false, false}, "127.255.0.1": {true, false}, "192.0.2.1": {false, false},
	} {
		a := netip.MustParseAddr(code)
		if l.means(a) != want[0] || narrow.means(a) != want[1] {
			t.Errorf("%s: %v %v", code, l.means(a), narrow.means(a))
		}
	}
}

// A list that does not answer holds up nobody for longer than its timeout, and
// lists nobody.
func TestBlockListTimeout(t *testing.T) {
	b := blockLists{lists: []blockList{{zone: "slow.test"}}, timeout: 20 * time.Millisecond}
	if hit, dry := b.search(t.Context(), &zone{hang: true}, netip.MustParseAddr("192.0.2.1"), zap.NewNop()).first(); hit != nil || dry != nil {
		t.Errorf("%v %v", hit, dry)
	}
}
