package node

import (
	"fmt"
	"strings"
	"testing"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// A node that is drained takes no clients, mail goes round it, its own mailboxes
// still get theirs; that holds over a restart and ends with the drain.
func TestDrain(t *testing.T) {
	c := startCluster(t)
	const asked = "oslo-1"
	drain := func(mode string) *topologyv1.DrainResponse {
		t.Helper()
		m, err := topologyv1.NewTopologyServiceClient(c.api(asked)).Drain(t.Context(), &topologyv1.DrainRequest{Name: "paris-1", Mode: mode, Reason: "new disks"})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	refuses := func(want bool) {
		t.Helper()
		n := 0
		eventually(t, patience, func() error {
			n++
			err := c.send("paris-1", newLetter("antoine@example.test", "olav@example.test", fmt.Sprintf("knock-%v-%d", want, n)))
			if refused := err != nil && strings.Contains(err.Error(), "421"); refused != want {
				return fmt.Errorf("refused %v (%v), want %v", refused, err, want)
			}
			return nil
		})
	}
	if m := drain("hard"); m.GetBefore() != "none" || m.GetAfter() != "hard" || m.GetKind() != "Server" {
		t.Errorf("%v", m)
	}
	refuses(true)
	// alice's mailbox is on paris-1.
	own := newLetter("olav@example.test", "alice@example.test", "for-its-own")
	c.mustSend("oslo-1", own)
	c.awaitCopy("paris-1", "alice@example.test", own)
	eventually(t, patience, func() error {
		for _, name := range c.names() {
			m, err := topologyv1.NewTopologyServiceClient(c.api(name)).Show(t.Context(), &topologyv1.ShowRequest{})
			if err != nil {
				return err
			}
			for _, g := range m.GetGroups() {
				for _, s := range g.GetServers() {
					if (s.GetDrain() == "hard") != (s.GetName() == "paris-1") {
						return fmt.Errorf("%s sees %v", name, s)
					}
				}
			}
		}
		return nil
	})

	c.halt("paris-1")
	c.launch("paris-1")
	c.awaitReady("paris-1")
	refuses(true)
	if m := drain("none"); m.GetBefore() != "hard" {
		t.Errorf("%v", m)
	}
	refuses(false)
}
