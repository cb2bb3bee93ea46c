package route

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
)

// Only mail whose way can be another one for another message is told apart, and
// mail without a way where something spreads; the bucket is that of its origin.
func TestBucket(t *testing.T) {
	oslo := mail.Destination{Place: mail.PlaceServer, Server: guid("oslo-1")}
	origin := mail.ID{1, 2, 3}
	for _, c := range []struct {
		name   string
		spread bool
		down   bool
		dest   mail.Destination
		want   uint8
	}{
		{"nothing spreads", false, false, oslo, 0},
		{"handed over to one of two", true, false, oslo, routing.Bucket(origin[:])},
		{"no way now", true, true, oslo, routing.Bucket(origin[:])},
		{"another way, which does not spread", true, false, mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x.net"}, 0},
		{"here", true, false, mail.Destination{Place: mail.PlaceLocal}, 0},
	} {
		top := topology("paris-3")
		if c.down {
			top = topology("paris-3", "paris-oslo", "dns")
		}
		// A third server, no bridgehead: it hands over to one of the others.
		top.Servers = append(top.Servers, routing.Server{GUID: guid("paris-3"), Name: "paris-3", Group: guid("paris"), Up: true})
		if c.spread {
			top.Connectors[0].Spread = routing.PerMessage
		}
		r := New()
		r.Update(top, configuration(t))
		if got := r.Bucket(c.dest, mail.Class{}, nil, origin); got != c.want {
			t.Errorf("%s: bucket %d, want %d", c.name, got, c.want)
		}
	}
}

// A sender whom the only connector rejects is told so, by its own status.
func TestForbidden(t *testing.T) {
	top := topology("paris-1")
	top.Direct = false // connectorsOnly
	for i := range top.Connectors {
		if top.Connectors[i].GUID == guid("internet") {
			top.Connectors[i].Reject = []routing.SenderID{7}
		}
	}
	r := New()
	r.Update(top, configuration(t))
	dest := mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x.net"}
	for sender, want := range map[mail.Sender]mail.HopKind{"": mail.HopSmartHost, mail.NewSender([]uint64{7}): mail.HopFail, mail.NewSender([]uint64{8}): mail.HopSmartHost} {
		h := r.Hop(dest, mail.Class{Sender: sender}, nil)
		if h.Kind != want || want == mail.HopFail && h.Status.String() != "5.7.1" {
			t.Errorf("sender %x: hop %+v", string(sender), h)
		}
	}
}
