package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// A connector that rejects a group's members, nested ones, is no way for their
// mail and for nobody else's, on nodes that run; where none is left the sender is
// told so. Drained, it is no way for anybody.
func TestSenderListsAndDrain(t *testing.T) {
	const soon = 2 * time.Second * slowdown
	c := startCluster(t)
	members := func(name string, list ...string) *directoryv1.Object {
		return &directoryv1.Object{
			Metadata: &directoryv1.Metadata{Kind: "Recipient", Name: name},
			Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{
				Addresses: []string{name + "@example.test"},
				Type:      &directoryv1.Recipient_Group{Group: &directoryv1.DistributionGroup{Members: list}},
			}},
		}
	}
	onward, internet := c.object("RoutingGroupConnector", "berlin-oslo"), c.object("SMTPConnector", "internet")
	reject := &directoryv1.Restrictions{RejectFrom: []string{"interns"}}
	onward.GetRoutingGroupConnector().Restrictions, internet.GetSmtpConnector().Restrictions = reject, reject
	c.apply(members("juniors", "antoine"), members("interns", "juniors"), onward, internet)

	explain := func(address, sender string) *topologyv1.Route {
		t.Helper()
		resp, err := topologyv1.NewTopologyServiceClient(c.api("paris-2")).Explain(t.Context(), &topologyv1.ExplainRequest{Address: address, Sender: sender})
		if err != nil || len(resp.GetRoutes()) != 1 {
			t.Fatalf("explain %s from %s: %v, %v", address, sender, resp, err)
		}
		return resp.GetRoutes()[0]
	}
	eventually(t, soon, func() error {
		if r := explain("olav@example.test", "antoine@example.test"); !slices.Equal(r.GetPath(), []string{"paris", "oslo"}) {
			return fmt.Errorf("an intern's mail goes %v", r)
		}
		return nil
	})
	if r := explain("olav@example.test", "alice@example.test"); len(r.GetPath()) != 3 {
		t.Errorf("alice's mail goes %v", r)
	}
	if r := explain("x@elsewhere.test", "antoine@example.test"); r.GetResult() != "failed" || r.GetStatus() != "5.7.1" {
		t.Errorf("an intern's mail outside: %v", r)
	}

	intern, other := newLetter("antoine@example.test", "olav@example.test", "an-ol"), newLetter("alice@example.test", "olav@example.test", "al-ol")
	c.mustSend("paris-2", intern)
	c.mustSend("paris-2", other)
	for l, berlin := range map[letter]bool{intern: false, other: true} {
		c.awaitCopy("oslo-1", "olav@example.test", l)
		way := c.way("oslo-1", l.id)
		if got := slices.ContainsFunc(way, func(n string) bool { return strings.HasPrefix(n, "berlin-") }); got != berlin {
			t.Errorf("%s was on %v", l.id, way)
		}
	}

	onward.GetRoutingGroupConnector().Restrictions = nil
	onward.GetRoutingGroupConnector().Drain = directoryv1.DrainMode_DRAIN_MODE_HARD
	onward.Metadata.Revision = 0
	c.apply(onward)
	c.awaitRoute("paris-2", "olav@example.test", []string{"paris", "oslo"}, soon)
}
