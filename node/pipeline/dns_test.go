package pipeline

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/resolve"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Other name servers take effect with the next lookup; the same ones keep what
// has been learned.
func TestResolverFollowsTheConfiguration(t *testing.T) {
	with := func(servers ...string) *directory.Configuration {
		return configuration(t, "oslo-1", func(vs *directoryv1.VirtualServer) {
			vs.Outbound = &directoryv1.Outbound{DnsServers: servers}
		})
	}
	conf := with("192.0.2.53")
	self, _ := conf.Server("oslo-1")
	r := (&resolvers{config: func() *directory.Configuration { return conf }, self: self}).of(mail.Hop{})
	first, err := r.now()
	if err != nil {
		t.Fatal(err)
	}
	conf = with("192.0.2.53")
	if again, err := r.now(); err != nil || again != first {
		t.Errorf("an equal configuration gave another resolver, %v", err)
	}
	conf = with("192.0.2.54")
	if other, err := r.now(); err != nil || other == first {
		t.Errorf("another name server gave the same resolver, %v", err)
	}
	if n := len(r.all.current); n != 1 {
		t.Errorf("%d resolvers are kept, want the one in use", n)
	}
}

// Each virtual server asks its own name servers; those with the same ones share what
// was learned.
func TestResolversOfVirtualServers(t *testing.T) {
	conf := senders(t, "")
	self, _ := conf.Server("oslo-1")
	r := &resolvers{config: func() *directory.Configuration { return conf }, self: self}
	at := func(name string) *resolve.Resolver {
		t.Helper()
		v, ok := conf.VirtualServer(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		now, err := r.now(mail.Hop{VirtualServer: mail.GUID(v.GUID)})
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	if at("fast") == at("slow") {
		t.Error("two lists of name servers have one resolver")
	}
	if at("fast") != at("twin") {
		t.Error("one list of name servers has two resolvers")
	}
	before := at("slow")
	conf = senders(t, "192.0.2.99:53") // of fast and twin alone
	if at("slow") != before {
		t.Error("a resolver lost its cache by the change of another")
	}
	if at("fast"); len(r.current) != 2 {
		t.Errorf("%d resolvers are kept, want 2", len(r.current))
	}
}

// A host that DNS names is this node where a virtual server listens on its address, on
// the port that mail goes out to; or by the name of any virtual server.
func TestDNSSettings(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	for name, c := range map[string]struct {
		bindings []string
		port     int32
		self     []string
		other    []string
	}{
		"one address":   {[]string{"192.0.2.1:25"}, 0, []string{"192.0.2.1", "::ffff:192.0.2.1"}, []string{"127.0.0.1", "192.0.2.2"}},
		"all addresses": {[]string{":25"}, 0, []string{"192.0.2.1", "127.0.0.1", "2001:db8::1"}, []string{"192.0.2.2"}},
		"another port":  {[]string{"192.0.2.1:2525"}, 0, nil, []string{"192.0.2.1"}},
		"that port":     {[]string{"192.0.2.1:587", "192.0.2.1:2525"}, 2525, []string{"192.0.2.1"}, nil},
	} {
		conf := configuration(t, "oslo-1", func(vs *directoryv1.VirtualServer) {
			vs.Bindings, vs.Fqdn, vs.Outbound = c.bindings, "mail.example.test", &directoryv1.Outbound{Port: c.port, PreferIpv4: true}
		})
		self, _ := conf.Server("oslo-1")
		s := dnsSettingsOf(conf, self, sendsBy(conf, "oslo-1", mail.Hop{}))
		if !s.preferIPv4 || !slices.Contains(s.names, "mail.example.test") || !slices.Contains(s.names, self.Spec.GetFqdn()) {
			t.Errorf("%s: %+v", name, s)
		}
		now := own
		is := s.isSelf(func() []netip.Addr { return now })
		for _, a := range c.self {
			if !is(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s is not this node", name, a)
			}
		}
		for _, a := range c.other {
			if is(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s is this node", name, a)
			}
		}
		// An address that comes to this host while the node runs is its own from then on.
		moved := netip.MustParseAddr("192.0.2.77")
		now = append(slices.Clone(own), moved)
		if is(moved) != (name == "all addresses") {
			t.Errorf("%s: %s, which has come to this host: %v", name, moved, is(moved))
		}
	}
}
