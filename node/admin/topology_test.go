package admin

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

func (f *fakeNode) History(limit int) *topologyv1.HistoryResponse {
	f.limit = limit
	return &topologyv1.HistoryResponse{Node: f.name}
}

func (f *fakeNode) WhatIf(r *topologyv1.WhatIfRequest) (*topologyv1.WhatIfResponse, error) {
	return &topologyv1.WhatIfResponse{Node: f.name, MovedWays: int32(len(r.GetDown()))}, f.failure
}

// TestHistoryOfAnotherNode: tables are a node's own, so the question goes there.
func TestHistoryOfAnotherNode(t *testing.T) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo"})
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}}})
	c := topologyv1.NewTopologyServiceClient(w.local(paris))
	for from, want := range map[string]string{"": "paris", "paris": "paris", "oslo": "oslo"} {
		m, err := c.History(t.Context(), &topologyv1.HistoryRequest{From: from, Limit: 7})
		if err != nil || m.GetNode() != want {
			t.Errorf("from %q: answered by %q, %v; want %s", from, m.GetNode(), err, want)
		}
	}
	if oslo.node.limit != 7 || paris.node.limit != 7 {
		t.Errorf("limits %d and %d, want 7", oslo.node.limit, paris.node.limit)
	}
	_, err := c.History(t.Context(), &topologyv1.HistoryRequest{From: "rome"})
	requireCode(t, err, codes.NotFound)
}

func TestWhatIf(t *testing.T) {
	w := newWorld(t)
	paris := w.start(&fakeNode{name: "paris"})
	c := topologyv1.NewTopologyServiceClient(w.local(paris))
	m, err := c.WhatIf(t.Context(), &topologyv1.WhatIfRequest{Down: []string{"a", "b"}})
	if err != nil || m.GetNode() != "paris" || m.GetMovedWays() != 2 {
		t.Errorf("%v, %v", m, err)
	}
	paris.node.failure = errors.New("no connector is called a")
	_, err = c.WhatIf(t.Context(), &topologyv1.WhatIfRequest{})
	requireCode(t, err, codes.InvalidArgument)
}
