package route

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// A host is met as such, a server of the organisation by its certificate and with
// what travels between servers; and this server is known to itself.
func TestVia(t *testing.T) {
	r := gatedRoute(t, func(*directoryv1.SMTPConnector, *directoryv1.VirtualServer) {})
	h := r.Via("mx.example:2525", mail.Class{RequireTLS: true})
	if h.Kind != mail.HopSmartHost || len(h.Hosts) != 1 || h.Hosts[0] != "mx.example:2525" || !h.Connector.IsZero() || !h.Options.RequireTLS {
		t.Errorf("a host: %+v", h)
	}
	conf := r.now.Load().conf
	for _, s := range conf.Servers() {
		at := directory.SMTPAddress(s.Spec)
		if h := r.Via(at, mail.Class{}); h.Kind != mail.HopNode || h.Server != mail.GUID(s.GUID) || h.Hosts[0] != at {
			t.Errorf("server %s: %+v", s.Name, h)
		}
		if self := s.Name == "paris-1"; r.Self(at) != self {
			t.Errorf("server %s is this one: %v", s.Name, !self)
		}
	}
	if r.Self("mx.example:25") || r.Self("nonsense") {
		t.Error("a stranger is taken for this server")
	}
}
