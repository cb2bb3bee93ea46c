package queue

import (
	"testing"

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
