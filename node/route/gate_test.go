package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

const gated = organization + `
---
{kind: Schedule, name: night, spec: {timeZone: America/New_York, open: ["22:00-06:00"]}}
`

func gatedRoute(t *testing.T, change func(*directoryv1.SMTPConnector, *directoryv1.VirtualServer)) *Route {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader(gated), "test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c *directoryv1.SMTPConnector
	var v *directoryv1.VirtualServer
	for _, o := range objs {
		o.Metadata.Guid = directory.GUID(guid(o.Metadata.Name)).String()
		if o.Metadata.Name == "internet" {
			c = o.GetSmtpConnector()
		}
		if o.Metadata.Name == "v1" {
			v = o.GetVirtualServer()
		}
	}
	change(c, v)
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	r := New()
	r.Update(topology("paris-1"), conf)
	return r
}

var outside = mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x.net"}

// A schedule comes with the hop; what is oversize has its own, and its own link.
func TestGated(t *testing.T) {
	r := gatedRoute(t, func(c *directoryv1.SMTPConnector, _ *directoryv1.VirtualServer) {
		c.Schedule, c.OversizeSchedule, c.OversizeThreshold, c.RemoteTriggered = "night", "never", 1000, true
	})
	if limits := r.SizeLimits(); !slices.Equal(limits, []int64{100, 1000}) {
		t.Fatalf("sizes %v", limits)
	}
	class := func(size int64) mail.Class { return mail.Class{Size: mail.SizeBound(size, r.SizeLimits())} }
	small, large := r.Gated(outside, class(1000), nil), r.Gated(outside, class(1001), nil)
	if small.ConnectorName != "internet" || small.Options.Timetable.Name != "night" || !small.Options.Remote {
		t.Errorf("small: %+v", small)
	}
	if large.Options.Timetable.Name != "never" || small.Key() == large.Key() {
		t.Errorf("large: %+v", large)
	}
	// 22:00 in New York is 03:00 in UTC, in winter.
	winter := time.Date(2001, 1, 15, 2, 59, 0, 0, time.UTC)
	if tt := small.Options.Timetable; tt.IsOpen(winter) || !tt.IsOpen(winter.Add(time.Minute)) {
		t.Error("the time zone is not that of the schedule")
	}
	if list := r.Waiting(func(*mail.Timetable) bool { return true }); !slices.Equal(list, []mail.GUID{guid("internet")}) {
		t.Errorf("waiting %v", list)
	}
	secret := r.Gated(outside, mail.Class{RequireTLS: true}, nil)
	if !secret.Options.RequireTLS || secret.Key() == small.Key() {
		t.Errorf("REQUIRETLS: %+v", secret)
	}
}

// Without a connector the virtual server sends: to its smart host, with its
// account, or to the hosts of the domain before that.
func TestVirtualServerSends(t *testing.T) {
	elsewhere := mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x.example"}
	r := gatedRoute(t, func(_ *directoryv1.SMTPConnector, v *directoryv1.VirtualServer) {
		v.Outbound.Credentials = &directoryv1.OutboundCredentials{User: "out", PasswordFile: "/pw"}
	})
	if h := r.Gated(elsewhere, mail.Class{}, nil); h.Kind != mail.HopSmartHost || h.Options.Account != "out" || h.Options.PasswordFile != "/pw" {
		t.Errorf("%+v", h)
	}
	if h := r.Gated(outside, mail.Class{}, nil); h.Options.Account != "u" {
		t.Errorf("the connector shows the account %q", h.Options.Account)
	}
	r = gatedRoute(t, func(_ *directoryv1.SMTPConnector, v *directoryv1.VirtualServer) { v.Outbound.DirectFirst = true })
	if h := r.Gated(elsewhere, mail.Class{}, nil); h.Kind != mail.HopMX || h.Domain != "x.example" || !slices.Equal(h.Options.Smart, []string{"relay.test:2525"}) {
		t.Errorf("%+v", h)
	}
}

// Connectors of all kinds have schedules: those between groups, and gateways too.
func TestGatedConnectorsOfAllKinds(t *testing.T) {
	objs, err := directory.DecodeYAML(strings.NewReader(gated), "test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objs {
		o.Metadata.Guid = directory.GUID(guid(o.Metadata.Name)).String()
		if c := o.GetRoutingGroupConnector(); c != nil {
			c.Schedule, c.OversizeSchedule = "night", "never"
		}
		if c := o.GetForeignConnector(); c != nil {
			c.Schedule = "night"
		}
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	r := New()
	r.Update(topology("paris-1"), conf)
	seen := map[string]bool{}
	for _, d := range []mail.Destination{server("oslo-1"), {Place: mail.PlaceForeign, Type: "FAX", Domain: "+47 1"}, {Place: mail.PlaceForeign, Type: "X400", Domain: "c=no;"}} {
		for size, want := range map[int64]string{1000: "night", 3_000_000: "never"} {
			h := r.Gated(d, mail.Class{Size: mail.SizeBound(size, r.SizeLimits())}, nil)
			if h.Connector.IsZero() {
				continue
			}
			if h.Kind != mail.HopNode {
				want = "night"
			}
			if h.Options.Timetable == nil || h.Options.Timetable.Name != want {
				t.Errorf("%s, %d octets: %+v, want the schedule %s", d, size, h, want)
			}
			seen[fmt.Sprint(h.Kind == mail.HopNode)] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("seen: %v", seen)
	}
}
