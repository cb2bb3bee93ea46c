package pipeline

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/mail"
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
			Subsequent: durationpb.New(4 * time.Hour), DelayNotice: durationpb.New(5 * time.Hour), Expiration: durationpb.New(6 * time.Hour), StalledAfter: durationpb.New(7 * time.Minute),
		}, queue.Clock{First: 1 * time.Hour, Second: 2 * time.Hour, Third: 3 * time.Hour, Subsequent: 4 * time.Hour,
			DelayNotice: 5 * time.Hour, Expiration: 6 * time.Hour, Glitch: original.Glitch, GlitchWait: original.GlitchWait,
			Stalled: 7 * time.Minute, Stuck: original.Stuck}},
		"by priority": {"oslo-1", &directoryv1.RetryClock{
			HighPriority: &directoryv1.PriorityTimes{DelayNotice: durationpb.New(time.Hour)},
			LowPriority:  &directoryv1.PriorityTimes{Expiration: durationpb.New(96 * time.Hour)},
		}, func() queue.Clock {
			c := original
			c.High.DelayNotice, c.Low.Expiration = time.Hour, 96*time.Hour
			return c
		}()},
		"glitches no longer than the first retry": {"oslo-1", &directoryv1.RetryClock{First: durationpb.New(time.Second)},
			queue.Clock{First: time.Second, Second: original.Second, Third: original.Third, Subsequent: original.Subsequent,
				DelayNotice: original.DelayNotice, Expiration: original.Expiration, Glitch: original.Glitch, GlitchWait: time.Second,
				Stalled: original.Stalled, Stuck: original.Stuck}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := configuration(t, tc.server, func(vs *directoryv1.VirtualServer) { vs.Retry = tc.retry })
			if got := clockOf(conf, sendsBy(conf, tc.server, mail.Hop{})); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
	patient := configuration(t, "oslo-1", func(vs *directoryv1.VirtualServer) {
		vs.Outbound = &directoryv1.Outbound{Timeouts: &directoryv1.OutboundTimeouts{End: durationpb.New(2 * time.Hour)}}
	})
	if got := clockOf(patient, sendsBy(patient, "oslo-1", mail.Hop{})).Stuck; got != 4*time.Hour {
		t.Errorf("with a timeout of two hours a delivery is stuck after %s", got)
	}
}

func TestOutboundSettings(t *testing.T) {
	conf := configuration(t, "oslo-1", func(vs *directoryv1.VirtualServer) {
		vs.Outbound = &directoryv1.Outbound{MaxConnections: 50, MaxConnectionsPerLink: 5, MaxConnectionsPerDomain: 7, MasqueradeDomain: "example.org", HeloName: "out.example.org",
			SourceAddresses: []string{"192.0.2.1", "2001:db8::1"}, Timeouts: &directoryv1.OutboundTimeouts{Greeting: durationpb.New(9 * time.Second)}, DnsServers: []string{"192.0.2.53"}, IdleTimeout: durationpb.New(45 * time.Second)}
	})
	by := sendsBy(conf, "oslo-1", mail.Hop{})
	if got, want := limitsOf(by), (queue.Limits{Connections: 50, PerLink: 5, PerDomain: 7}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	named := func(server string) directory.Server {
		return directory.Server{Name: server, Spec: &directoryv1.Server{}}
	}
	if got := dnsSettingsOf(conf, named("oslo-1"), by).servers; !slices.Equal(got, []string{"192.0.2.53"}) {
		t.Errorf("name servers %v", got)
	}
	set := settingsOf(conf, by)
	if set.Timeouts != (deliver.Timeouts{Idle: 45 * time.Second, Greeting: 9 * time.Second}) || set.Hostname != "out.example.org" || len(set.Sources) != 2 {
		t.Errorf("settings %+v", set)
	}
	if m := set.Masquerade; m.Domain != "example.org" || !m.Ours("Example.test") || m.Ours("example.net") {
		t.Errorf("masquerade %+v", m)
	}
	for _, other := range []string{"paris-1", "nowhere"} {
		by := sendsBy(conf, other, mail.Hop{})
		if got := settingsOf(conf, by); got.Timeouts != (deliver.Timeouts{}) || got.Hostname != "" || got.Sources != nil || got.Masquerade.Domain != "" {
			t.Errorf("%s: settings %+v, want the defaults of delivery", other, got)
		}
		if got := limitsOf(by); got != (queue.Limits{}) {
			t.Errorf("%s: limits %+v, want the queue's own", other, got)
		}
		if got := dnsSettingsOf(conf, named(other), by).servers; got != nil {
			t.Errorf("%s: name servers %v, want the system's", other, got)
		}
	}
}
