package pipeline

import (
	"testing"

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
	r := &resolver{config: func() *directory.Configuration { return conf }, self: self}
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
}
