package pipeline

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/route"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// A recipient was taken because of a configuration that the table does not know yet:
// the message waits for the next table, and is returned only by one that knows it.
func TestNothingIsReturnedByAnOldTable(t *testing.T) {
	before := configuration(t, "oslo-1", func(*directoryv1.VirtualServer) {})
	after := configuration(t, "oslo-1", func(v *directoryv1.VirtualServer) { v.UnresolvedHost = "[127.0.0.1]:26" })
	server, _ := after.Server("oslo-1")
	top := routing.Topology{Self: routing.GUID(server.GUID)}
	now := before
	r := router{route.New(), func() *directory.Configuration { return now }}
	dest := mail.Destination{Place: mail.PlaceForeign, Type: mail.TypeUnresolved, Domain: "example.test"}
	hop := func(what string, want mail.HopKind) mail.Hop {
		t.Helper()
		h := r.Hop(dest, mail.Class{}, nil)
		if h.Kind != want {
			t.Errorf("%s: %+v", what, h)
		}
		return h
	}

	hop("no table yet", mail.HopUnreachable)
	r.Update(top, before)
	hop("no host", mail.HopFail)
	now = after
	if h := hop("a host that the table does not know", mail.HopUnreachable); !strings.Contains(h.Reason, "is being built") {
		t.Errorf("%+v", h)
	}
	r.Update(top, after)
	hop("the host", mail.HopSmartHost)
	now = before
	hop("a host that the table knows yet", mail.HopSmartHost)
	r.Update(top, before)
	hop("no host any more", mail.HopFail)
}
