package resolve

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postroad/postroad/node/mail"
)

// zone is a DNS server on loopback, over UDP and TCP.
type zone struct {
	addr string
	mu   sync.Mutex
	rr   map[string][]dns.RR // "name. TYPE"
	code map[string]int      // by name, or name and type: answer with this RCODE
	mute map[string]bool     // by name: no answer
	cut  bool                // UDP answers are truncated
	old  bool                // knows no EDNS
	lame string              // an answer that is none: "no recursion", "referral", "other type", "other class", "cut over TCP"
	hold chan struct{}       // by whom UDP answers wait; nil: nobody
	asks map[string]int      // "udp name. TYPE"
}

func newZone(t *testing.T, records ...string) *zone {
	t.Helper()
	z := &zone{rr: map[string][]dns.RR{}, code: map[string]int{}, mute: map[string]bool{}, asks: map[string]int{}}
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		k := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		z.rr[k] = append(z.rr[k], rr)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.addr = l.Addr().String()
	p, err := net.ListenPacket("udp", z.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: l, Handler: z}, {PacketConn: p, Handler: z}} {
		up, down := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() { defer close(down); _ = s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = s.Shutdown(); <-down })
	}
	return z
}

// change lets a test change how the zone answers while it is being asked.
func (z *zone) change(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name, kind := dns.CanonicalName(q.Question[0].Name), dns.TypeToString[q.Question[0].Qtype]
	network := w.RemoteAddr().Network()
	z.mu.Lock()
	z.asks[network+" "+name+" "+kind]++
	hold := z.hold
	z.mu.Unlock()
	if hold != nil {
		<-hold
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	switch {
	case z.mute[name]:
		return
	case z.lame != "":
		z.lie(m, name, network)
	case z.old && q.IsEdns0() != nil:
		m.Rcode = dns.RcodeFormatError
	case z.code[name]+z.code[name+" "+kind] != 0:
		m.Rcode = z.code[name] + z.code[name+" "+kind]
	case z.cut && network == "udp":
		m.Truncated = true
	default:
		z.fill(m, name, kind)
	}
	_ = w.WriteMsg(m)
}

func (z *zone) fill(m *dns.Msg, name, kind string) {
	for range 20 { // aliases, as a recursive server follows them
		c := z.rr[name+" CNAME"]
		if len(c) == 0 {
			break
		}
		m.Answer = append(m.Answer, c...)
		name = c[0].(*dns.CNAME).Target
	}
	m.Answer = append(m.Answer, z.rr[name+" "+kind]...)
	if len(z.rr[name+" "+kind]) > 0 {
		return
	}
	soa, _ := dns.NewRR("example. 100 SOA ns.example. root.example. 1 2 3 4 30")
	m.Ns = append(m.Ns, soa)
	for k := range z.rr {
		if strings.HasPrefix(k, name+" ") {
			return
		}
	}
	m.Rcode = dns.RcodeNameError
}

// lie gives an answer that says nothing of the question.
func (z *zone) lie(m *dns.Msg, name, network string) {
	record := func(s string) dns.RR { rr, _ := dns.NewRR(s); return rr }
	switch z.lame {
	case "no recursion":
		m.RecursionAvailable = false
	case "no recursion, NXDOMAIN":
		m.RecursionAvailable, m.Rcode = false, dns.RcodeNameError
	case "referral":
		m.Ns = append(m.Ns, record("example. 60 NS ns.example."))
	case "other type":
		m.Question[0].Qtype = dns.TypeTXT
	case "other name":
		m.Question[0].Name = "other.example."
	case "other class":
		m.Question[0].Qclass = dns.ClassCHAOS
	case "cut over TCP":
		m.Truncated = true
	case "silent over TCP":
		m.Truncated = network == "udp"
		if !m.Truncated {
			m.Question[0].Name = "other.example."
		}
	}
}

func (z *zone) asked(what string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asks[what]
}

func (z *zone) resolver(t *testing.T, change ...func(*Options)) *Resolver {
	t.Helper()
	o := Options{Servers: []string{z.addr}, Timeout: 20 * time.Second, Attempts: 1, PreferIPv4: true, Names: []string{"me.example"}}
	for _, c := range change {
		c(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// waits is a short patience where silence is expected, and a long one elsewhere: a
// loaded machine must not look like silence.
func waits(silence bool) func(*Options) {
	return func(o *Options) {
		if silence {
			o.Timeout = 50 * time.Millisecond
		}
	}
}

func names(hosts []mail.Host) string {
	var b []string
	for _, h := range hosts {
		b = append(b, fmt.Sprint(h.Name, h.Addrs))
	}
	return strings.Join(b, " ")
}
