package pipeline

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
)

func TestWhatIsAskedFor(t *testing.T) {
	mine, other := mail.GUID{1}, mail.GUID{2}
	all := func(string) bool { return true }
	named := func(d string) bool { return d == "x.test" }
	remote := mail.HopOptions{Remote: true}
	outside := func(domain string) queue.Key {
		return queue.Key{Destination: mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: domain}}
	}
	mailbox := queue.Key{Destination: mail.Destination{Place: mail.PlaceServer, Server: mail.GUID{3}}}
	for name, c := range map[string]struct {
		key        queue.Key
		hop        mail.Hop
		all, named bool
	}{
		"the domain":               {outside("x.test"), mail.Hop{Connector: mine, Options: remote}, true, true},
		"another domain":           {outside("y.test"), mail.Hop{Connector: mine, Options: remote}, true, false},
		"another connector":        {outside("x.test"), mail.Hop{Connector: other, Options: remote}, false, false},
		"not remote-triggered now": {outside("x.test"), mail.Hop{Connector: mine}, false, false},
		"a mailbox behind it":      {mailbox, mail.Hop{Connector: mine, Options: remote}, true, false},
	} {
		if got := match([]mail.GUID{mine}, all)(c.key, c.hop); got != c.all {
			t.Errorf("%s: without a domain %v", name, got)
		}
		if got := match([]mail.GUID{mine}, named)(c.key, c.hop); got != c.named {
			t.Errorf("%s: by its domain %v", name, got)
		}
	}
}
