package queue

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/postroad/postroad/node/mail"
)

func TestKindOf(t *testing.T) {
	gateway := mail.GUID{1}
	smtp := mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: "x.test"}
	fax := mail.Destination{Place: mail.PlaceForeign, Type: "FAX", Domain: "123"}
	unresolved := mail.Destination{Place: mail.PlaceForeign, Type: mail.TypeUnresolved, Domain: "x.test"}
	server := mail.Destination{Place: mail.PlaceServer, Server: mail.GUID{2}}
	for _, c := range []struct {
		dest mail.Destination
		hop  mail.Hop
		want string
	}{
		{mail.Destination{}, mail.Hop{Kind: mail.HopLocal}, KindLocal},
		{mail.Destination{}, mail.Hop{Kind: mail.HopLMTP}, KindLocal},
		{smtp, mail.Hop{Kind: mail.HopLMTP, Connector: gateway}, KindRemote},
		{smtp, mail.Hop{Kind: mail.HopUnreachable}, KindUnreachable},
		{smtp, mail.Hop{Kind: mail.HopMX}, KindRemote},
		{unresolved, mail.Hop{Kind: mail.HopSmartHost}, KindRemote},
		{unresolved, mail.Hop{Kind: mail.HopUnreachable}, KindUnreachable},
		{server, mail.Hop{Kind: mail.HopNode}, KindRemote},
		{server, mail.Hop{Kind: mail.HopUnreachable}, KindUnreachable},
		// The book, table 4.
		{fax, mail.Hop{Kind: mail.HopDrop, Connector: gateway}, KindNextHop},
		{fax, mail.Hop{Kind: mail.HopLMTP, Connector: gateway}, KindNextHop},
		{fax, mail.Hop{Kind: mail.HopNode}, KindNextHop},
		{fax, mail.Hop{Kind: mail.HopUnreachable}, KindReroute},
		{fax, mail.Hop{Kind: mail.HopHeld}, KindDeferred},
	} {
		if got := kindOf(c.dest, c.hop); got != c.want {
			t.Errorf("%s over %+v is %q, want %q", c.dest, c.hop, got, c.want)
		}
	}
}

// The queues of the book, under its names, are there with and without mail (the book,
// tables 3 and 4), in this order; the last are those of a million like them.
func TestAlwaysListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig().start()
		synctest.Wait()
		names := func() (list []string) {
			for _, q := range g.List() {
				list = append(list, q.Kind)
				if q.ID == "" || q.State == 0 {
					t.Errorf("%+v", q)
				}
			}
			return list
		}
		always := []string{
			"Pre-submission", "DSN pending submission", "Messages awaiting directory lookup", "Messages waiting to be routed",
			"Failed message retry", "Unreadable messages", "Final destination currently unreachable", "Pending reroute",
			"Local delivery", "Deferred delivery",
		}
		equal(t, "without mail", names(), always)
		g.router.set("SMTP:x", mail.Hop{Kind: mail.HopUnreachable})
		g.router.set("SMTP:y", mail.Hop{Kind: mail.HopNode, Name: "y", Options: mail.HopOptions{Remote: true}})
		g.send(1, "b@x", "c@y")
		synctest.Wait()
		list := names()
		slices.Sort(list)
		want := append(always, "Remote delivery")
		slices.Sort(want)
		equal(t, "with mail", list, want)
		g.stop()
	})
}
