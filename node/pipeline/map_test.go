package pipeline

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postroad/postroad/node/queue"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// configuration is the demo with one virtual server changed.
func configuration(t *testing.T, server string, change func(*directoryv1.VirtualServer)) *directory.Configuration {
	t.Helper()
	objs := threeSites(t)
	for _, o := range objs {
		if vs := o.GetVirtualServer(); vs.GetServer() == server {
			change(vs)
		}
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func TestClockOf(t *testing.T) {
	original := queue.DefaultClock()
	for name, tc := range map[string]struct {
		server string
		retry  *directoryv1.RetryClock
		want   queue.Clock
	}{
		"nothing said":      {"oslo-1", nil, original},
		"no virtual server": {"nowhere", nil, original},
		"all said": {"oslo-1", &directoryv1.RetryClock{
			First: durationpb.New(1 * time.Hour), Second: durationpb.New(2 * time.Hour), Third: durationpb.New(3 * time.Hour),
			Subsequent: durationpb.New(4 * time.Hour), DelayNotice: durationpb.New(5 * time.Hour), Expiration: durationpb.New(6 * time.Hour),
		}, queue.Clock{First: 1 * time.Hour, Second: 2 * time.Hour, Third: 3 * time.Hour, Subsequent: 4 * time.Hour,
			DelayNotice: 5 * time.Hour, Expiration: 6 * time.Hour, Glitch: original.Glitch, GlitchWait: original.GlitchWait}},
		"glitches no longer than the first retry": {"oslo-1", &directoryv1.RetryClock{First: durationpb.New(time.Second)},
			queue.Clock{First: time.Second, Second: original.Second, Third: original.Third, Subsequent: original.Subsequent,
				DelayNotice: original.DelayNotice, Expiration: original.Expiration, Glitch: original.Glitch, GlitchWait: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := configuration(t, tc.server, func(vs *directoryv1.VirtualServer) { vs.Retry = tc.retry })
			if got := clockOf(conf, tc.server); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestOutboundSettings(t *testing.T) {
	conf := configuration(t, "oslo-1", func(vs *directoryv1.VirtualServer) {
		vs.Outbound = &directoryv1.Outbound{MaxConnections: 50, MaxConnectionsPerLink: 5, DnsServers: []string{"192.0.2.53"}, IdleTimeout: durationpb.New(45 * time.Second)}
	})
	if got, want := limitsOf(conf, "oslo-1"), (queue.Limits{Connections: 50, PerLink: 5}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	if got := dnsServers(conf, "oslo-1"); !slices.Equal(got, []string{"192.0.2.53"}) {
		t.Errorf("name servers %v", got)
	}
	if got := idleOf(conf, "oslo-1"); got != 45*time.Second {
		t.Errorf("idle time %v", got)
	}
	for _, other := range []string{"paris-1", "nowhere"} {
		if got := idleOf(conf, other); got != 0 {
			t.Errorf("%s: idle time %v, want the default of delivery", other, got)
		}
		if got := limitsOf(conf, other); got != (queue.Limits{}) {
			t.Errorf("%s: limits %+v, want the queue's own", other, got)
		}
		if got := dnsServers(conf, other); got != nil {
			t.Errorf("%s: name servers %v, want the system's", other, got)
		}
	}
}
