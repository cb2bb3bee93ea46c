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

// What all nodes carry is added up; those that do not say are named.
func TestTrafficOfAllNodes(t *testing.T) {
	w, paris := trio(t)
	c := topologyv1.NewTopologyServiceClient(w.local(paris))
	m, err := c.Show(t.Context(), &topologyv1.ShowRequest{AllNodes: true})
	if err != nil {
		t.Fatal(err)
	}
	k, idle := m.GetConnectors()[0], m.GetConnectors()[1]
	if k.GetQueued() != 9 || k.GetMessages() != 6 || k.GetBytes() != 22 || idle.GetQueued()+idle.GetMessages() != 0 {
		t.Errorf("added up to %v and %v", k, idle)
	}
	if len(m.GetMissing()) != 2 || m.GetMissing()["mute"] == "" || m.GetMissing()["gone"] == "" {
		t.Errorf("missing %v", m.GetMissing())
	}
	if m, err = c.Show(t.Context(), &topologyv1.ShowRequest{}); err != nil || m.GetConnectors()[0].GetMessages() != 3 || len(m.GetMissing()) > 0 {
		t.Errorf("of its own: %v, %v", m, err)
	}
	e, err := c.WhatIf(t.Context(), &topologyv1.WhatIfRequest{})
	if err != nil || len(e.GetCutOff()) != 2 || len(e.GetMissing()) != 2 {
		t.Errorf("what-if was given the traffic of %v, without %v: %v", e.GetCutOff(), e.GetMissing(), err)
	}
}
