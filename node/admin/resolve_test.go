package admin

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func (f *fakeNode) Resolve(_ context.Context, domain, virtualServer string) (*topologyv1.ResolveResponse, error) {
	return &topologyv1.ResolveResponse{Node: f.name, Domain: domain, VirtualServer: virtualServer}, f.failure
}

// The DNS of the node that is meant is asked, not that of the one that was reached.
func TestResolveFrom(t *testing.T) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo"})
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}}})
	c := topologyv1.NewTopologyServiceClient(w.local(paris))
	for from, want := range map[string]string{"": "paris", "paris": "paris", "oslo": "oslo"} {
		m, err := c.Resolve(t.Context(), &topologyv1.ResolveRequest{Domain: "x.example", From: from, VirtualServer: "v"})
		if err != nil || m.GetNode() != want || m.GetVirtualServer() != "v" || m.GetDomain() != "x.example" {
			t.Errorf("from %q: %v, %v", from, m, err)
		}
	}
	_, err := c.Resolve(t.Context(), &topologyv1.ResolveRequest{From: "oslo"})
	requireCode(t, err, codes.InvalidArgument)
	_, err = c.Resolve(t.Context(), &topologyv1.ResolveRequest{Domain: "x.example", From: "rome"})
	requireCode(t, err, codes.NotFound)
}
