package admin

import (
	"crypto/tls"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/postroad/postroad/node/trust"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// pair is two nodes that may pass on to each other, and one that is gone.
func pair(t *testing.T) (w *world, paris, oslo *running) {
	t.Helper()
	w = newWorld(t)
	nodes := func(c *Config) {
		c.FromNode = func(s tls.ConnectionState) bool {
			return len(s.PeerCertificates) > 0 && slices.Contains([]string{"paris", "oslo"}, s.PeerCertificates[0].Subject.CommonName)
		}
	}
	oslo = w.start(&fakeNode{name: "oslo"}, nodes)
	gone := listen(t)
	gone.Close()
	paris = w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}, {"gone", gone.Addr().String()}}}, nodes)
	return w, paris, oslo
}

// Who acts is named on every node by what was proved: the certificate, or the user
// of the socket; never by what a client says of itself over TCP.
func TestActIsPassedOn(t *testing.T) {
	w, paris, _ := pair(t)
	req := &queuev1.ActRequest{Reason: "why", By: "somebody", AllNodes: true}
	for name, tc := range map[string]struct {
		role trust.Role
		want string
	}{"alice": {trust.RoleAdmin, "alice: why"}, "socket": {"", "somebody (uid "}} {
		conn := w.local(paris)
		if tc.role == trust.RoleAdmin {
			conn = w.remote(paris, tc.role, name)
		}
		m, err := queuev1.NewQueueServiceClient(conn).Act(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var nodes []string
		for _, r := range m.GetResults() {
			nodes = append(nodes, r.GetNode())
			if !strings.HasPrefix(r.GetSample()[0], tc.want) {
				t.Errorf("%s: %s says %q, want %q", name, r.GetNode(), r.GetSample()[0], tc.want)
			}
		}
		if missing := slices.Collect(maps.Keys(m.GetMissing())); !slices.Equal(nodes, []string{"oslo", "paris"}) || !slices.Equal(missing, []string{"gone"}) {
			t.Errorf("%s: done on %v, missing %v", name, nodes, missing)
		}
	}
}

func TestActOnNamedNode(t *testing.T) {
	w, paris, oslo := pair(t)
	c := queuev1.NewQueueServiceClient(w.local(paris))
	m, err := c.Act(t.Context(), &queuev1.ActRequest{Node: "oslo"})
	if err != nil || len(m.GetResults()) != 1 || m.GetResults()[0].GetNode() != "oslo" {
		t.Errorf("%v, %v", m, err)
	}
	o, err := c.Outbound(t.Context(), &queuev1.OutboundRequest{Node: "oslo", Disable: true})
	if err != nil || len(o.GetResults()) != 1 || o.GetResults()[0].GetNode() != "oslo" {
		t.Errorf("%v, %v", o, err)
	}
	_, err = c.Act(t.Context(), &queuev1.ActRequest{Node: "nowhere"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Act(t.Context(), &queuev1.ActRequest{Node: "gone"})
	requireCode(t, err, codes.Unavailable)
	_, err = c.Act(t.Context(), &queuev1.ActRequest{Reason: strings.Repeat("x", 201)})
	requireCode(t, err, codes.InvalidArgument)
	paris.node.failure = errors.New("wrong")
	_, err = c.Act(t.Context(), &queuev1.ActRequest{AllNodes: true})
	requireCode(t, err, codes.InvalidArgument)
	// A node may act for its caller; it may not change the directory.
	_, err = queuev1.NewQueueServiceClient(w.remote(oslo, trust.RoleServer, "paris")).Retry(t.Context(), &queuev1.RetryRequest{})
	requireCode(t, err, codes.PermissionDenied)
}
