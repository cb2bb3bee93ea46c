package route

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Unknown recipients of our domains go to the host that the virtual server names,
// whatever the connectors say, and fail if it names none any more.
func TestUnresolvedRecipients(t *testing.T) {
	dest := foreign(mail.TypeUnresolved, "example.net") // a connector matches *.net
	r := New()
	conf := configuration(t)
	r.Update(topology("paris-1"), conf)
	h := r.Hop(dest, mail.Class{}, nil)
	if h.Kind != mail.HopFail || h.Status != mail.StatusUnknownUser {
		t.Errorf("without a host: %+v", h)
	}
	conf, err := directory.NewConfiguration(2, []*directoryv1.Object{
		{Metadata: &directoryv1.Metadata{Name: "paris-1", Guid: directory.GUID(guid("paris-1")).String()}, Spec: &directoryv1.Object_Server{Server: &directoryv1.Server{Fqdn: "p1.test"}}},
		{Metadata: &directoryv1.Metadata{Name: "a", Guid: directory.GUID(guid("a")).String()}, Spec: &directoryv1.Object_VirtualServer{VirtualServer: &directoryv1.VirtualServer{Server: "paris-1"}}},
		{Metadata: &directoryv1.Metadata{Name: "b", Guid: directory.GUID(guid("b")).String()}, Spec: &directoryv1.Object_VirtualServer{VirtualServer: &directoryv1.VirtualServer{Server: "paris-1", UnresolvedHost: "unix.test:26"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Update(topology("paris-1"), conf)
	h = r.Hop(dest, mail.Class{}, nil)
	if h.Kind != mail.HopSmartHost || len(h.Hosts) != 1 || h.Hosts[0] != "unix.test:26" || !h.Connector.IsZero() {
		t.Errorf("%+v", h)
	}
	// The virtual server that took the message decides.
	for taker, kind := range map[string]mail.HopKind{"a": mail.HopFail, "b": mail.HopSmartHost, "gone": mail.HopSmartHost} {
		of := dest
		of.Connector = mail.GUID(guid(taker))
		if h := r.Hop(of, mail.Class{}, nil); h.Kind != kind {
			t.Errorf("taken by %s: %+v", taker, h)
		}
	}
	x := r.Explain(dest, mail.Class{}, nil)
	if x.NextHop != h.Name || x.Result != "smart host" || !strings.Contains(x.Reasons[0], "unresolvedHost") {
		t.Errorf("%+v", x)
	}
}
