package queue

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
)

func TestKindOf(t *testing.T) {
	gateway := mail.GUID{1}
	for _, c := range []struct {
		hop  mail.Hop
		want string
	}{
		{mail.Hop{Kind: mail.HopLocal}, KindLocal},
		{mail.Hop{Kind: mail.HopLMTP}, KindLocal},
		{mail.Hop{Kind: mail.HopLMTP, Connector: gateway}, KindRemote},
		{mail.Hop{Kind: mail.HopUnreachable}, KindUnreachable},
		{mail.Hop{Kind: mail.HopNode}, KindRemote},
	} {
		if got := kindOf(c.hop); got != c.want {
			t.Errorf("%+v is %q, want %q", c.hop, got, c.want)
		}
	}
}
