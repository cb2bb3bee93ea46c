package node

import (
	"fmt"
	"slices"
	"testing"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// TestWhatIfComesTrue asks what a cheaper link would change, makes it cheaper,
// and finds the answer in the routing table and in its history.
func TestWhatIfComesTrue(t *testing.T) {
	c := startCluster(t)
	c.awaitRoute("paris-1", "olav@example.test", []string{"paris", "berlin", "oslo"}, patience)
	client := topologyv1.NewTopologyServiceClient(c.api("paris-1"))

	link := c.object("RoutingGroupConnector", "paris-oslo")
	link.GetRoutingGroupConnector().Cost = 15
	asked, err := client.WhatIf(t.Context(), &topologyv1.WhatIfRequest{Costs: []*topologyv1.NewCost{{Connector: "paris-oslo", Cost: 15}}})
	if err != nil {
		t.Fatal(err)
	}
	link.GetMetadata().Revision = 0
	req := &topologyv1.WhatIfRequest{}
	req.Objects = append(req.Objects, link)
	applied, err := client.WhatIf(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for by, m := range map[string]*topologyv1.WhatIfResponse{"cost": asked, "file": applied} {
		if m.GetMovedWays() != 1 || m.GetMovedSpaces() != 0 || len(m.GetCutOff()) != 0 {
			t.Fatalf("by %s: %v, want one way to change", by, m)
		}
		w := m.GetWays()[0]
		if w.GetBefore().GetCost() != 20 || w.GetAfter().GetCost() != 15 || !slices.Equal(w.GetAfter().GetPath(), []string{"paris", "oslo"}) {
			t.Errorf("by %s: %v", by, w)
		}
	}

	c.apply(link)
	c.awaitRoute("paris-1", "olav@example.test", []string{"paris", "oslo"}, patience)
	eventually(t, patience, func() error {
		// Asked elsewhere: the question travels to the node whose table is meant.
		m, err := topologyv1.NewTopologyServiceClient(c.api("oslo-1")).History(t.Context(), &topologyv1.HistoryRequest{From: "paris-1"})
		if err != nil {
			return err
		}
		for _, k := range m.GetChanges() {
			if slices.Contains(k.GetTriggers(), "connector paris-oslo: cost 15, was 30") {
				if k.GetMoved() != 1 || k.GetDestinations() != 6 || len(k.GetExamples()) != 1 {
					t.Errorf("%v, want that only oslo-1 moved, of five servers and one address space", k)
				}
				return nil
			}
		}
		return fmt.Errorf("%s's history does not have it: %v", m.GetNode(), m.GetChanges())
	})

	// What is wrong is refused with a reason, and by now nothing would change.
	link.GetRoutingGroupConnector().TargetGroup = "atlantis"
	if _, err := client.WhatIf(t.Context(), req); err == nil {
		t.Error("a connector to a group that does not exist is supposed")
	}
	again, err := client.WhatIf(t.Context(), &topologyv1.WhatIfRequest{Costs: []*topologyv1.NewCost{{Connector: "paris-oslo", Cost: 15}}})
	if err != nil || again.GetMovedWays()+again.GetMovedSpaces() != 0 {
		t.Errorf("what is so already would change %v, %v", again, err)
	}
}
