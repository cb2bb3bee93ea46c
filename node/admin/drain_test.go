package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"

	"github.com/postroad/postroad/node/trust"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/store/directory"
)

func smtpConnector(name string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "SMTPConnector", Name: name, Revision: 6},
		Spec:     &directoryv1.Object_SmtpConnector{SmtpConnector: &directoryv1.SMTPConnector{RoutingGroup: "paris"}},
	}
}

// A drain writes mode, author and reason by compare and swap, and tells the log.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	core, logs := observer.New(zap.InfoLevel)
	r := w.start(&fakeNode{name: "paris"}, func(c *Config) { c.Logger = zap.New(core) })
	r.directory.objs = []*directoryv1.Object{server("oslo-1"), smtpConnector("k"), server("twin"), smtpConnector("twin")}
	r.directory.conflicts = drainTries - 1 // somebody else changes it meanwhile
	local, remote := topologyv1.NewTopologyServiceClient(w.local(r)), topologyv1.NewTopologyServiceClient(w.remote(r, trust.RoleAdmin, "alice"))

	m, err := local.Drain(t.Context(), &topologyv1.DrainRequest{Name: "oslo-1", Mode: "hard", Reason: "new disks", By: "olav@desk"})
	if err != nil {
		t.Fatal(err)
	}
	if m.GetKind() != "Server" || m.GetBefore() != "none" || m.GetAfter() != "hard" || m.GetRevision() != 7 || !slices.Equal(m.GetNodes(), []string{"oslo-1"}) || m.GetEffects() == nil {
		t.Errorf("%v", m)
	}
	if len(r.directory.applied) != 1 {
		t.Fatalf("applied %v", r.directory.applied)
	}
	o := r.directory.applied[0]
	n := o.GetServer().GetDrainNote()
	if o.GetMetadata().GetRevision() != 5 || o.GetServer().GetDrain() != directoryv1.DrainMode_DRAIN_MODE_HARD || n.GetBy() != "olav@desk" || n.GetReason() != "new disks" || n.GetAt() == "" {
		t.Errorf("applied %v", o)
	}
	if line := logs.FilterMessage("admin_change").All(); len(line) != 1 || line[0].ContextMap()["reason"] != "new disks" || line[0].ContextMap()["by"] != "olav@desk" {
		t.Errorf("logged %v", line)
	}

	// Over TCP the certificate says who it is, whatever the request says.
	m, err = remote.Drain(t.Context(), &topologyv1.DrainRequest{Name: "k", Mode: "soft", By: "somebody else"})
	if err != nil || m.GetBy() == "somebody else" || !strings.Contains(m.GetBy(), "alice") || !slices.Equal(m.GetNodes(), []string{"paris"}) {
		t.Errorf("%v, %v", m, err)
	}
	// A dry run writes nothing; an end of the drain takes the note away.
	if m, err = local.Drain(t.Context(), &topologyv1.DrainRequest{Name: "k", Mode: "hard", DryRun: true}); err != nil || m.GetRevision() != 6 || len(r.directory.applied) != 2 {
		t.Errorf("%v, %v; applied %v", m, err, r.directory.applied)
	}
	r.directory.objs = r.directory.applied
	if _, err = local.Drain(t.Context(), &topologyv1.DrainRequest{Name: "k", Mode: "none", Reason: "done"}); err != nil {
		t.Fatal(err)
	}
	if s := r.directory.applied[2].GetSmtpConnector(); s.GetDrain() != 0 || s.DrainNote != nil {
		t.Errorf("after the drain: %v", s)
	}
}

func TestDrainRefusals(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	r.directory.objs = []*directoryv1.Object{server("oslo-1"), server("twin"), smtpConnector("twin")}
	c := topologyv1.NewTopologyServiceClient(w.local(r))
	for _, k := range []struct {
		req  *topologyv1.DrainRequest
		code codes.Code
		says string
	}{
		{&topologyv1.DrainRequest{Name: "nowhere", Mode: "hard"}, codes.NotFound, "nowhere"},
		{&topologyv1.DrainRequest{Name: "oslo-1", Kind: "Connector", Mode: "hard"}, codes.NotFound, "no Connector"},
		{&topologyv1.DrainRequest{Name: "twin", Mode: "hard"}, codes.InvalidArgument, "SMTPConnector"},
		{&topologyv1.DrainRequest{Name: "oslo-1", Mode: "gently"}, codes.InvalidArgument, "soft, hard or none"},
		{&topologyv1.DrainRequest{Mode: "hard"}, codes.InvalidArgument, "name"},
		{&topologyv1.DrainRequest{Name: "oslo-1", Kind: "Recipient", Mode: "hard"}, codes.InvalidArgument, "cannot be drained"},
		{&topologyv1.DrainRequest{Name: "oslo-1", Mode: "hard", Reason: strings.Repeat("x", 201)}, codes.InvalidArgument, "200"},
	} {
		_, err := c.Drain(t.Context(), k.req)
		requireCode(t, err, k.code)
		if !strings.Contains(err.Error(), k.says) {
			t.Errorf("%v: %v, want %q in it", k.req, err, k.says)
		}
	}
	if m, err := c.Drain(t.Context(), &topologyv1.DrainRequest{Name: "twin", Kind: "SMTPConnector", Mode: "soft"}); err != nil || m.GetKind() != "SMTPConnector" {
		t.Errorf("%v, %v", m, err)
	}
	// Somebody who never stops changing the object wins.
	r.directory.conflicts = 100
	_, err := c.Drain(t.Context(), &topologyv1.DrainRequest{Name: "oslo-1", Mode: "hard"})
	requireCode(t, err, codes.Aborted)
	r.directory.conflicts, r.directory.err = 0, directory.ErrUnavailable
	_, err = c.Drain(t.Context(), &topologyv1.DrainRequest{Name: "oslo-1", Mode: "hard"})
	requireCode(t, err, codes.Unavailable)
	// Without a forecast the drain is done all the same.
	r.directory.err, r.node.failure = nil, errors.New("no map yet")
	m, err := c.Drain(t.Context(), &topologyv1.DrainRequest{Name: "oslo-1", Mode: "hard"})
	if err != nil || len(m.GetWarnings()) != 1 || !strings.Contains(m.GetWarnings()[0], "no map yet") {
		t.Errorf("%v, %v", m, err)
	}
}
