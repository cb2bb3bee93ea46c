package gossip

import (
	"errors"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// Real nodes, of which one is a bridgehead of 50 connectors: a change of one of them
// costs each adjacency at most 300 octets on the wire, and nothing but the change is
// sent for it.
func TestChangeIsSmallOnRealStreams(t *testing.T) {
	const connectors = 50
	organisation := members()
	for i := range byte(connectors) {
		c := organisation.Connectors[0]
		c.GUID = linkstate.GUID{100, i}
		c.Remote = nil // leads outside: no stream more
		c.Local = []linkstate.GUID{linkstate.GUID(serverD)}
		c.Group = linkstate.GUID{2}
		organisation.Connectors = append(organisation.Connectors, c)
	}
	c := newCluster(t, nil)
	c.start(everyone...)
	for s, n := range c.nodes {
		m := organisation
		m.Self = linkstate.GUID(s)
		// A keep-alive often, so that each knows soon what the others have.
		n.SetMembers(m, linkstate.Timings{Keepalive: 100 * time.Millisecond, SuspectAfter: time.Minute}, c.addresses)
	}
	c.eventually(patience, c.agree(allAlive))
	c.eventually(patience, c.linkIs(serverD, mail.GUID(organisation.Connectors[len(organisation.Connectors)-1].GUID), false))
	adjacencies := 0
	c.eventually(patience, func() error {
		adjacencies = 0
		for _, n := range c.nodes {
			for _, p := range n.Neighbours() {
				if !p.Connected {
					return errors.New("not all streams are open")
				}
				adjacencies++
			}
		}
		adjacencies /= 2
		return nil
	})
	keepalives := func() (n int64) {
		for _, node := range c.nodes {
			n += node.Sent()["keepalives"]
		}
		return n
	}
	// Some rounds of keep-alives with the same table on both sides.
	rest := keepalives() + int64(adjacencies)*2*5*70
	c.eventually(patience, func() error {
		if keepalives() < rest {
			return errors.New("keep-alives go on")
		}
		return nil
	})
	before := make(map[mail.GUID]int64)
	for s, n := range c.nodes {
		before[s] = n.Sent()["records"] + n.Sent()["wants"]
	}
	failing := mail.GUID{100, 7}
	c.mu.Lock()
	c.unreach[failing] = true
	c.mu.Unlock()
	c.nodes[serverD].ReportLink(failing, false, "dial tcp 192.0.2.1:25: connect: connection refused")
	c.eventually(patience, c.linkIs(serverD, failing, true))
	c.eventually(patience, c.agree(allAlive))
	total := int64(0)
	for s, n := range c.nodes {
		total += n.Sent()["records"] + n.Sent()["wants"] - before[s]
	}
	t.Logf("%d octets on %d adjacencies, %d each", total, adjacencies, total/int64(adjacencies))
	if total == 0 || total > 300*int64(adjacencies) {
		t.Errorf("a change of one of %d connectors costs %d octets on %d adjacencies, want 300 each at most", connectors, total, adjacencies)
	}
}
