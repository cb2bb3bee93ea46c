package deliver

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// Two hops of one node, by two virtual servers: each looks its hosts up in its own DNS,
// and one that names none in that of the agent.
func TestResolverOfTheVirtualServer(t *testing.T) {
	knows := func(address string) *phoneBook {
		return &phoneBook{mx: map[string][]mail.Host{"x.example": {{Name: "mx.x.example", Addrs: ips(address)}}}}
	}
	inside, outside := mail.GUID{1}, mail.GUID{2}
	a := New(Options{Hostname: "me.example", Resolver: knows("192.0.2.9"), Settings: func(h mail.Hop) Settings {
		switch h.VirtualServer {
		case inside:
			return Settings{Resolver: knows("192.0.2.1")}
		case outside:
			return Settings{Resolver: knows("192.0.2.2")}
		}
		return Settings{}
	}})
	for by, want := range map[mail.GUID]string{
		inside: "mx.x.example [192.0.2.1]:25", outside: "mx.x.example [192.0.2.2]:25", {}: "mx.x.example [192.0.2.9]:25",
	} {
		for _, h := range []mail.Hop{
			{Kind: mail.HopMX, Name: "x", Domain: "x.example", VirtualServer: by},
			{Kind: mail.HopSmartHost, Name: "x", Hosts: []string{"x.example"}, VirtualServer: by},
			{Kind: mail.HopMX, Name: "x", Domain: "x.example", VirtualServer: by, Options: mail.HopOptions{Smart: []string{"x.example"}}},
		} {
			list, err := a.endpoints(t.Context(), h)
			if err != nil || len(list) == 0 || list[len(list)-1].remote() != want {
				t.Errorf("%+v: %v, %v; want %s", h, list, err, want)
			}
		}
	}
}
