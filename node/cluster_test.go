package node

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// homes are one mailbox for each site, and the server it is on.
var homes = map[string]string{"alice@example.test": "paris-1", "bruno@example.test": "berlin-1", "olav@example.test": "oslo-1"}

// everyone are the members of the distribution group, nested ones included.
var everyone = map[string]string{
	"alice@example.test": "paris-1", "antoine@example.test": "paris-2", "bruno@example.test": "berlin-1",
	"britta@example.test": "berlin-2", "olav@example.test": "oslo-1", "oda@example.test": "oslo-1",
}

func TestMailBetweenGroups(t *testing.T) {
	c := startCluster(t)
	var sent []letter
	for from, at := range homes {
		for to := range homes {
			if from != to {
				l := newLetter(from, to, fmt.Sprintf("%.2s-%.2s", from, to))
				c.mustSend(at, l)
				sent = append(sent, l)
			}
		}
	}
	list := newLetter("oda@example.test", "everyone@example.test", "to-everyone")
	c.mustSend("oslo-1", list)
	for _, l := range sent {
		c.awaitCopy(homes[l.to], l.to, l)
	}
	for address, at := range everyone {
		c.awaitCopy(at, address, list)
	}
	c.awaitIdle("paris-2")
	for address, at := range everyone {
		if n := c.copies(at, address, list); n != 1 {
			t.Errorf("%s has %d copies of the letter to the group", address, n)
		}
	}
	// Two hops of 10 are cheaper than one of 30.
	if way := c.way("oslo-1", "al-ol@example.test"); len(way) != 3 || !strings.HasPrefix(way[1], "berlin-") {
		t.Errorf("alice's letter to olav was on %v", way)
	}
}

// way lists the nodes that took a message, in the order in which they did.
func (c *cluster) way(asked, id string) []string {
	c.t.Helper()
	resp, err := trackingv1.NewTrackingServiceClient(c.api(asked)).Follow(c.t.Context(), &trackingv1.FollowRequest{Message: id})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, e := range resp.GetEvents() {
		if e.GetKind() == trackingv1.EventKind_EVENT_KIND_RECEIVE && !slices.Contains(all, e.GetNode()) {
			all = append(all, e.GetNode())
		}
	}
	return all
}

func TestStoppedSite(t *testing.T) {
	c := startCluster(t)
	c.halt("berlin-1", "berlin-2")
	transit := newLetter("alice@example.test", "olav@example.test", "around-berlin")
	c.mustSend("paris-1", transit)
	held := newLetter("alice@example.test", "bruno@example.test", "held-for-berlin")
	c.mustSend("paris-1", held)

	c.awaitCopy("oslo-1", "olav@example.test", transit)
	if way := c.way("oslo-1", transit.id); slices.ContainsFunc(way, func(n string) bool { return strings.HasPrefix(n, "berlin-") }) {
		t.Errorf("the letter was on %v", way)
	}
	c.awaitWaiting(held)

	// The same folders: what berlin knew and what paris holds is all there.
	c.launch("berlin-1")
	c.launch("berlin-2")
	c.awaitReady("berlin-1")
	c.awaitCopy("berlin-1", "bruno@example.test", held)
	c.awaitIdle("oslo-1")
	if n := c.copies("berlin-1", "bruno@example.test", held); n != 1 {
		t.Errorf("%d copies of the held letter", n)
	}
	c.awaitRoute("paris-1", "olav@example.test", []string{"paris", "berlin", "oslo"}, patience)
}

// awaitWaiting waits until a queue of some node says that it holds the letter
// and for what.
func (c *cluster) awaitWaiting(l letter) {
	c.t.Helper()
	eventually(c.t, patience, func() error {
		var busy []*queuev1.Queue
		for _, at := range []string{"paris-1", "paris-2", "oslo-1"} {
			client := queuev1.NewQueueServiceClient(c.api(at))
			list, err := client.List(c.t.Context(), &queuev1.ListRequest{})
			if err != nil {
				return err
			}
			for _, q := range list.GetQueues() {
				if q.GetMessages() == 0 || q.GetWaitingFor() == "" {
					continue
				}
				busy = append(busy, q)
				m, err := client.Messages(c.t.Context(), &queuev1.MessagesRequest{Queue: q.GetId()})
				if err != nil {
					return err
				}
				if slices.ContainsFunc(m.GetMessages(), func(m *queuev1.Message) bool { return m.GetMessageId() == l.id }) {
					return nil
				}
			}
		}
		return fmt.Errorf("no queue says what %s waits for: %v", l.id, busy)
	})
}

// awaitRoute waits until a node would send mail for an address along path.
func (c *cluster) awaitRoute(from, address string, path []string, within time.Duration) {
	c.t.Helper()
	client := topologyv1.NewTopologyServiceClient(c.api(from))
	eventually(c.t, within, func() error {
		resp, err := client.Explain(c.t.Context(), &topologyv1.ExplainRequest{Address: address})
		if err != nil {
			return err
		}
		if r := resp.GetRoutes(); len(r) != 1 || !slices.Equal(r[0].GetPath(), path) {
			return fmt.Errorf("the route from %s to %s is %v, want %v", from, address, r, path)
		}
		return nil
	})
}

// A change in the directory works on every node at once, without a restart.
func TestConfigurationChange(t *testing.T) {
	const soon = time.Second * slowdown
	c := startCluster(t)

	l := newLetter("alice@example.test", "nora@example.test", "to-nora")
	if err := c.send("paris-1", l); err == nil {
		t.Fatal("a letter to nobody was taken")
	}
	c.apply(&directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "Recipient", Name: "nora"},
		Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{
			Addresses: []string{"nora@example.test"},
			Type:      &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "oslo-1"}},
		}},
	})
	eventually(t, soon, func() error { return c.send("paris-1", l) })
	c.awaitCopy("oslo-1", "nora@example.test", l)

	c.awaitRoute("paris-2", "olav@example.test", []string{"paris", "berlin", "oslo"}, patience)
	k := c.object("RoutingGroupConnector", "paris-oslo")
	k.GetRoutingGroupConnector().Cost = 15
	c.apply(k)
	c.awaitRoute("paris-2", "olav@example.test", []string{"paris", "oslo"}, soon)

	old := c.members["oslo-1"].smtp
	kept, err := smtp.Dial(old)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	host, _, _ := net.SplitHostPort(old)
	second := freeAddresses(t, net.ParseIP(host), 1)[0]
	v := c.object("VirtualServer", "oslo-1-smtp")
	v.GetVirtualServer().Bindings = []string{old, second}
	c.apply(v)
	c.members["oslo-1"].smtp = second
	again := newLetter("oda@example.test", "alice@example.test", "new-binding")
	eventually(t, soon, func() error { return c.send("oslo-1", again) })
	c.awaitCopy("paris-1", "alice@example.test", again)
	if err := kept.Noop(); err != nil {
		t.Errorf("the connection to the old binding broke: %v", err)
	}
}

// While etcd is away mail flows, and a node boots from the catalog on its disk.
func TestWithoutEtcd(t *testing.T) {
	c := startCluster(t)
	c.etcd.Stop()
	c.etcd = nil
	c.halt("oslo-1")
	held := newLetter("alice@example.test", "olav@example.test", "while-oslo-is-down")
	c.mustSend("paris-1", held)

	c.launch("oslo-1")
	c.awaitReady("oslo-1")
	c.awaitCopy("oslo-1", "olav@example.test", held)
	back := newLetter("oda@example.test", "leads@example.test", "from-the-catalog")
	c.mustSend("oslo-1", back)
	for address, at := range homes {
		c.awaitCopy(at, address, back)
	}
	s, err := nodev1.NewNodeServiceClient(c.api("oslo-1")).Status(t.Context(), &nodev1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s.GetCatalogAgeMs() <= 0 || s.GetDirectoryRevision() == 0 {
		t.Errorf("status %v: want the age and the revision of the catalog", s)
	}
}
