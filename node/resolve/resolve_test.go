package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMX(t *testing.T) {
	z := newZone(t,
		"two.example. 300 MX 20 b.example.", "two.example. 300 MX 10 a.example.",
		"a.example. 300 A 192.0.2.1", "a.example. 300 AAAA 2001:db8::1", "b.example. 300 A 192.0.2.2",
		"null.example. 300 MX 0 .",
		"nullandmore.example. 300 MX 0 .", "nullandmore.example. 300 MX 10 b.example.",
		"bare.example. 300 A 192.0.2.3",
		"text.example. 300 TXT \"no mail\"",
		"alias.example. 300 CNAME two.example.",
		"deadhost.example. 300 MX 10 gone.example.", "deadhost.example. 300 MX 20 b.example.",
		"alldead.example. 300 MX 10 gone.example.",
		"backup.example. 300 MX 10 a.example.", "backup.example. 300 MX 20 me.example.", "backup.example. 300 MX 20 b.example.", "backup.example. 300 MX 30 b.example.",
		"mine.example. 300 MX 10 ME.example.", "mine.example. 300 MX 10 a.example.",
		"sick.example. 300 MX 10 flaky.example.",
		"halfsick.example. 300 MX 10 flaky.example.", "halfsick.example. 300 MX 20 b.example.",
		"loop1.example. 300 CNAME loop2.example.", "loop2.example. 300 CNAME loop1.example.",
		"xn--bcher-kva.example. 300 MX 10 b.example.",
		"tohost.example. 300 CNAME b.example.", "tonothing.example. 300 CNAME gone.example.", "totext.example. 300 CNAME text.example.",
		"mxalias.example. 300 MX 10 c1.example.", "c1.example. 300 CNAME c2.example.", "c2.example. 300 CNAME b.example.",
		"mxloop.example. 300 MX 10 loop1.example.", "mxhalfloop.example. 300 MX 10 loop1.example.", "mxhalfloop.example. 300 MX 20 b.example.",
		"selfalias.example. 300 MX 10 c3.example.", "c3.example. 300 CNAME me.example.", "me.example. 300 A 192.0.2.99",
		"implicitself.example. 300 CNAME me.example.",
		"twonulls.example. 300 MX 0 .", "twonulls.example. 300 MX 5 .",
		"sickbetter.example. 300 MX 10 flaky.example.", "sickbetter.example. 300 MX 20 me.example.",
		"sickworse.example. 300 MX 10 me.example.", "sickworse.example. 300 MX 20 flaky.example.",
		"deadbetter.example. 300 MX 10 gone.example.", "deadbetter.example. 300 MX 20 me.example.",
	)
	z.change(func() {
		z.code["servfail.example."], z.code["refused.example."], z.code["flaky.example."] = dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeServerFailure
		z.mute["silent.example."] = true
	})
	for domain, want := range map[string]string{
		"two.example":          "a.example[192.0.2.1 2001:db8::1] b.example[192.0.2.2]",
		"TWO.example.":         "a.example[192.0.2.1 2001:db8::1] b.example[192.0.2.2]",
		"alias.example":        "a.example[192.0.2.1 2001:db8::1] b.example[192.0.2.2]",
		"bare.example":         "bare.example[192.0.2.3]",
		"bücher.example":       "b.example[192.0.2.2]",
		"nullandmore.example":  "b.example[192.0.2.2]",
		"deadhost.example":     "b.example[192.0.2.2]",
		"halfsick.example":     "b.example[192.0.2.2]",
		"backup.example":       "a.example[192.0.2.1 2001:db8::1]",
		"[192.0.2.9]":          "[192.0.2.9][192.0.2.9]",
		"tohost.example":       "tohost.example[192.0.2.2]",
		"tonothing.example":    "permanent 5.1.2",
		"totext.example":       "permanent 5.4.4",
		"mxalias.example":      "c1.example[192.0.2.2]",
		"mxloop.example":       "temporary 4.4.3",
		"mxhalfloop.example":   "b.example[192.0.2.2]",
		"selfalias.example":    "permanent 5.3.5",
		"implicitself.example": "permanent 5.3.5",
		"twonulls.example":     "permanent 5.1.10",
		"sickbetter.example":   "temporary 4.4.3",
		"sickworse.example":    "permanent 5.3.5",
		"deadbetter.example":   "permanent 5.3.5",
		"[IPv6:2001:db8::9]":   "[IPv6:2001:db8::9][2001:db8::9]",
		"null.example":         "permanent 5.1.10",
		"gone.example":         "permanent 5.1.2",
		"text.example":         "permanent 5.4.4",
		"alldead.example":      "permanent 5.4.4",
		"mine.example":         "permanent 5.3.5",
		"":                     "permanent 5.1.2",
		"sick.example":         "temporary 4.4.3",
		"servfail.example":     "temporary 4.4.3",
		"refused.example":      "temporary 4.4.3",
		"silent.example":       "temporary 4.4.3",
		"loop1.example":        "temporary 4.4.3",
	} {
		t.Run(domain, func(t *testing.T) {
			hosts, err := z.resolver(t, waits(domain == "silent.example")).MX(t.Context(), domain)
			got := names(hosts)
			if err != nil {
				got = class(t, err)
			}
			if got != want {
				t.Errorf("%s, want %s (%v)", got, want, err)
			}
		})
	}
}

func TestNullMX(t *testing.T) {
	z := newZone(t, "null.example. 300 MX 0 .", "two.example. 300 MX 0 .", "two.example. 300 MX 10 b.example.", "bare.example. 300 A 192.0.2.3", "alias.example. 300 CNAME null.example.")
	z.change(func() { z.code["sick.example."] = dns.RcodeServerFailure })
	r := z.resolver(t)
	for domain, want := range map[string]bool{"null.example": true, "NULL.example.": true, "alias.example": true, "two.example": false, "bare.example": false,
		"gone.example": false, "[192.0.2.1]": false, "localhost": false} {
		if got, err := r.NullMX(t.Context(), domain); err != nil || got != want {
			t.Errorf("%s: %v %v", domain, got, err)
		}
	}
	if _, err := r.NullMX(t.Context(), "sick.example"); err == nil || class(t, err) != "temporary 4.4.3" {
		t.Errorf("sick.example: %v", err)
	}
}

func class(t *testing.T, err error) string {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	if e.Error() == "" {
		t.Error("an error without words")
	}
	if e.Temporary() {
		return "temporary " + e.Status().String()
	}
	return "permanent " + e.Status().String()
}

func TestEqualPreferencesAreShuffled(t *testing.T) {
	z := newZone(t, "x.example. 300 MX 10 a.example.", "x.example. 300 MX 10 b.example.", "x.example. 300 MX 10 c.example.", "x.example. 300 MX 5 z.example.",
		"a.example. 300 A 192.0.2.1", "b.example. 300 A 192.0.2.2", "c.example. 300 A 192.0.2.3", "z.example. 300 A 192.0.2.4")
	r := z.resolver(t, func(o *Options) {
		o.Shuffle = func(n int, swap func(i, j int)) {
			for i := range n / 2 {
				swap(i, n-1-i)
			}
		}
	})
	hosts, err := r.MX(t.Context(), "x.example")
	var order []string
	for _, h := range hosts {
		order = append(order, h.Name)
	}
	if want := []string{"z.example", "c.example", "b.example", "a.example"}; err != nil || !slices.Equal(order, want) {
		t.Errorf("%v %v, want %v", order, err, want)
	}
}

func TestSelfByAddress(t *testing.T) {
	z := newZone(t, "x.example. 300 MX 10 other-name.example.", "other-name.example. 300 A 192.0.2.7", "y.example. 300 A 192.0.2.7")
	r := z.resolver(t, func(o *Options) {
		o.IsSelf = func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.7") }
	})
	for _, domain := range []string{"x.example", "y.example", "[192.0.2.7]", "[IPv6:::ffff:192.0.2.7]", "192.0.2.7"} {
		if _, err := r.MX(t.Context(), domain); err == nil || class(t, err) != "permanent 5.3.5" {
			t.Errorf("%s: %v", domain, err)
		}
	}
}

func TestTCPFallbackAndOldServers(t *testing.T) {
	z := newZone(t, "x.example. 300 A 192.0.2.1")
	z.change(func() { z.cut = true })
	if a, err := z.resolver(t).Addrs(t.Context(), "x.example"); err != nil || len(a) != 1 || z.asked("tcp x.example. A") != 1 {
		t.Errorf("%v %v, %d over TCP", a, err, z.asked("tcp x.example. A"))
	}
	z.change(func() { z.cut, z.old = false, true })
	if a, err := z.resolver(t).Addrs(t.Context(), "x.example"); err != nil || len(a) != 1 {
		t.Errorf("without EDNS: %v %v", a, err)
	}
}

func TestSecondServer(t *testing.T) {
	sick, well := newZone(t), newZone(t, "x.example. 300 A 192.0.2.1")
	sick.mu.Lock()
	sick.code["x.example."] = dns.RcodeServerFailure
	sick.mu.Unlock()
	r := well.resolver(t, func(o *Options) { o.Servers = []string{sick.addr, well.addr} })
	if a, err := r.Addrs(t.Context(), "x.example"); err != nil || len(a) != 1 {
		t.Errorf("%v %v", a, err)
	}
}

func TestCache(t *testing.T) {
	z := newZone(t, "x.example. 300 A 192.0.2.1", "x.example. 300 TXT x", "short.example. 1 A 192.0.2.2", "short.example. 1 AAAA 2001:db8::2")
	now := time.Unix(1000, 0)
	r := z.resolver(t, func(o *Options) { o.Clock = func() time.Time { return now } })
	ask := func(name string) { _, _ = r.Addrs(context.Background(), name) }
	for _, step := range []struct {
		after time.Duration
		name  string
		asks  string
		want  int
	}{
		{0, "x.example", "udp x.example. A", 1},
		{299 * time.Second, "x.example", "udp x.example. A", 1},
		{2 * time.Second, "x.example", "udp x.example. A", 2},
		{0, "short.example", "udp short.example. A", 1},
		{4 * time.Second, "short.example", "udp short.example. A", 1}, // never asked more often than every 5 s
		{2 * time.Second, "short.example", "udp short.example. A", 2},
		{0, "gone.example", "udp gone.example. A", 1},
		{29 * time.Second, "gone.example", "udp gone.example. A", 1}, // negative answers by the SOA
		{2 * time.Second, "gone.example", "udp gone.example. A", 2},
	} {
		now = now.Add(step.after)
		ask(step.name)
		if got := z.asked(step.asks); got != step.want {
			t.Errorf("%s: asked %d times, want %d", step.name, got, step.want)
		}
	}
	z.change(func() { z.code["sick.example."] = dns.RcodeServerFailure })
	ask("sick.example")
	ask("sick.example")
	if got := z.asked("udp sick.example. A"); got != 2 {
		t.Errorf("a failure was kept: asked %d times", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(100)
	now := time.Unix(0, 0)
	for i := range 1000 {
		c.put(question{fmt.Sprint(i), 1}, answer{until: now.Add(time.Duration(i) * time.Second)}, now)
		if len(c.kept) > 100 {
			t.Fatalf("%d answers kept", len(c.kept))
		}
	}
	if _, ok := c.get(question{"999", 1}, now); !ok {
		t.Error("the newest answer is gone")
	}
}

func TestAddrs(t *testing.T) {
	z := newZone(t, "x.example. 300 A 192.0.2.1", "x.example. 300 AAAA 2001:db8::1")
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	got, err := z.resolver(t, func(o *Options) { o.PreferIPv4 = false }).Addrs(t.Context(), "x.example")
	if err != nil || !slices.Equal(got, []netip.Addr{six, four}) {
		t.Errorf("%v %v", got, err)
	}
	got, err = z.resolver(t).Addrs(t.Context(), "localhost")
	if err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}) {
		t.Errorf("localhost: %v %v", got, err)
	}
}

func TestCancelled(t *testing.T) {
	z := newZone(t)
	z.change(func() { z.mute["x.example."] = true })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := z.resolver(t, func(o *Options) { o.Timeout = time.Hour }).MX(ctx, "x.example"); err == nil || class(t, err) != "temporary 4.4.3" {
		t.Errorf("%v", err)
	}
}

func TestServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 192.0.2.53\nnameserver 2001:db8::53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{File: file})
	if err != nil || !slices.Equal(r.servers, []string{"192.0.2.53:53", "[2001:db8::53]:53"}) {
		t.Errorf("%v %v", r, err)
	}
	if _, err := New(Options{File: file + ".missing"}); err == nil {
		t.Error("no server, and no error")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{File: file}); err == nil {
		t.Error("an empty file, and no error")
	}
}

// Whatever a server sends, it is taken or refused, and never loops.
func FuzzAnswer(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("x.example.", dns.TypeMX)
	for _, s := range []string{"x.example. 1 CNAME y.example.", "y.example. 1 CNAME x.example.", "y.example. 1 MX 1 .", "x.example. 4294967295 MX 1 z."} {
		rr, _ := dns.NewRR(s)
		m.Answer = append(m.Answer, rr)
	}
	packed, _ := m.Pack()
	f.Add(packed)
	f.Fuzz(func(t *testing.T, in []byte) {
		m := new(dns.Msg)
		if m.Unpack(in) != nil {
			return
		}
		now := time.Unix(0, 0)
		a := answer{found: true, until: now.Add(maxTTL)}
		a.add(m, question{"x.example.", dns.TypeMX}, now)
		if a.until.Before(now.Add(minTTL)) || a.until.After(now.Add(maxTTL)) {
			t.Fatalf("kept until %v", a.until)
		}
	})
}

func TestNames(t *testing.T) {
	z := newZone(t, "1.2.0.192.in-addr.arpa. 60 PTR Mail.example.", "1.2.0.192.in-addr.arpa. 60 PTR mx.example.",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 PTR six.example.")
	z.change(func() { z.mute["9.2.0.192.in-addr.arpa."] = true })
	for ip, want := range map[string]string{
		"192.0.2.1": "Mail.example mx.example", "::ffff:192.0.2.1": "Mail.example mx.example", "2001:db8::1": "six.example",
		"192.0.2.2": "permanent", "192.0.2.9": "temporary",
	} {
		names, err := z.resolver(t, waits(ip == "192.0.2.9")).Names(t.Context(), netip.MustParseAddr(ip))
		got := strings.Join(names, " ")
		var e *Error
		if errors.As(err, &e) {
			got = "permanent"
			if e.Temporary() {
				got = "temporary"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestListed(t *testing.T) {
	z := newZone(t, "2.0.0.127.bl.example. 60 A 127.0.0.2", "2.0.0.127.bl.example. 60 A 127.0.0.4", "txt.bl.example. 60 TXT x")
	z.change(func() { z.mute["mute.bl.example."] = true })
	r := z.resolver(t)
	for range 2 {
		if list, err := r.Listed(t.Context(), "2.0.0.127.bl.example"); err != nil || len(list) != 2 {
			t.Errorf("%v %v", list, err)
		}
		for _, name := range []string{"1.0.0.127.bl.example", "txt.bl.example"} {
			if list, err := r.Listed(t.Context(), name); err != nil || len(list) != 0 {
				t.Errorf("%s: %v %v", name, list, err)
			}
		}
	}
	if n := z.asked("udp 2.0.0.127.bl.example. A"); n != 1 {
		t.Errorf("asked %d times for one answer", n)
	}
	if _, err := z.resolver(t, waits(true)).Listed(t.Context(), "mute.bl.example"); err == nil {
		t.Error("silence is no error")
	}
}

// The account of a lookup says of each host and question what became of it.
func TestTrace(t *testing.T) {
	z := newZone(t,
		"x.example. 300 MX 5 gone.example.", "x.example. 300 MX 10 a.example.", "x.example. 300 MX 20 me.example.", "x.example. 300 MX 20 b.example.",
		"x.example. 300 MX 30 c.example.", "a.example. 60 A 192.0.2.1", "b.example. 60 A 192.0.2.2", "c.example. 60 A 192.0.2.3",
		"bare.example. 60 A 192.0.2.4", "mine.example. 60 MX 10 me.example.")
	z.change(func() { z.code["sick.example."] = dns.RcodeServerFailure })
	now := time.Unix(1000, 0)
	r := z.resolver(t, func(o *Options) { o.Clock = func() time.Time { return now } })
	tell := func(domain string) string {
		trace, hosts, err := r.Trace(t.Context(), domain)
		var b strings.Builder
		for _, h := range trace.Hosts {
			fmt.Fprintf(&b, "%d %s %v %s; ", h.Preference, h.Name, h.Addrs, h.LeftOut)
		}
		fmt.Fprintf(&b, "= %s", names(hosts))
		if err != nil {
			fmt.Fprintf(&b, "%s", class(t, err))
		}
		return b.String()
	}
	const cut = "is not better than this server, which is one of the hosts; "
	for domain, want := range map[string]string{
		"x.example": "5 gone.example [] the name does not exist; 10 a.example [192.0.2.1] ; 20 me.example [] is this server; 20 b.example [192.0.2.2] " + cut +
			"30 c.example [192.0.2.3] " + cut + "= a.example[192.0.2.1]",
		"bare.example": "-1 bare.example [192.0.2.4] ; = bare.example[192.0.2.4]",
		"mine.example": "10 me.example [] is this server; = permanent 5.3.5",
		"sick.example": "= temporary 4.4.3",
	} {
		if got := tell(domain); got != want {
			t.Errorf("%s: %s\nwant %s", domain, got, want)
		}
	}
	now = now.Add(20 * time.Second)
	trace, _, _ := r.Trace(t.Context(), "bare.example")
	for _, q := range trace.Questions {
		want := TracedQuestion{Name: "bare.example", Kind: q.Kind, Exists: true, Cached: true, Server: z.addr, Age: 20 * time.Second, Left: 10 * time.Second}
		if q.Kind == "A" {
			want.Records, want.Left = 1, 40*time.Second
		}
		if q != want {
			t.Errorf("%+v, want %+v", q, want)
		}
	}
	if len(trace.Questions) != 3 {
		t.Errorf("%d questions", len(trace.Questions))
	}
	trace, _, _ = r.Trace(t.Context(), "sick.example")
	if len(trace.Questions) != 1 || !strings.Contains(trace.Questions[0].Err, "SERVFAIL") {
		t.Errorf("%+v", trace.Questions)
	}
	if s := r.Stats(); s.Failed != 2 || s.Hits != 3 || s.Answered == 0 || s.Kept != int(s.Answered) {
		t.Errorf("%+v", s)
	}
}

// A silent server is asked last for a minute, so that it costs one wait and not each.
func TestSilentServerComesLast(t *testing.T) {
	dead, well := newZone(t), newZone(t, "x.example. 300 A 192.0.2.1", "y.example. 300 A 192.0.2.1", "z.example. 300 A 192.0.2.1")
	dead.change(func() {
		for _, n := range []string{"x", "y", "z"} {
			dead.mute[n+".example."] = true
		}
	})
	now := time.Unix(1000, 0)
	var mu sync.Mutex
	r := well.resolver(t, func(o *Options) {
		o.Servers, o.Timeout = []string{dead.addr, well.addr}, 500*time.Millisecond
		o.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	for _, c := range []struct {
		name string
		want int // questions to the dead one
	}{{"x.example", 1}, {"y.example", 0}, {"z.example", 1}} {
		if _, err := r.Listed(t.Context(), c.name); err != nil {
			t.Fatal(err)
		}
		if got := dead.asked("udp " + c.name + ". A"); got != c.want {
			t.Errorf("%s: the dead server was asked %d times, want %d", c.name, got, c.want)
		}
		if c.name == "y.example" {
			mu.Lock()
			now = now.Add(silentFor)
			mu.Unlock()
		}
	}
}
