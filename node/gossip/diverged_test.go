package gossip

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// A neighbour that keeps another table is told of in the log, in the list and by a
// number for the metrics, and so is its end.
func TestDivergedNeighbour(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	now := time.Unix(1_800_000_000, 0)
	c := testConfig()
	c.Logger, c.Now = zap.New(core), func() time.Time { return now }
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := members()
	m.Self = linkstate.GUID(c.Self)
	r.SetMembers(m, linkstate.Timings{DivergedAfter: time.Minute}, nil)
	peer := r.Neighbours()[0].Server
	r.step(func(m *linkstate.Machine, now time.Time) []linkstate.Effect {
		return m.PeerUp(linkstate.GUID(peer), linkstate.Protocol, now)
	})
	hear := func(h linkstate.Hash) {
		now = now.Add(5 * time.Second)
		r.step(func(m *linkstate.Machine, now time.Time) []linkstate.Effect {
			return m.Receive(linkstate.GUID(peer), &linkstate.Keepalive{Hash: h}, now)
		})
	}
	hear(linkstate.Hash{1})
	since := now
	for range 12 {
		if n := r.Diverged(); n != 0 {
			t.Fatalf("alarm after %v", now.Sub(since))
		}
		hear(linkstate.Hash{1})
	}
	if n, l := r.Diverged(), logged.FilterMessage("linkstate_diverged").Len(); n != 1 || l != 1 {
		t.Errorf("after %v: %d neighbours, %d lines in the log, want 1 and 1", now.Sub(since), n, l)
	}
	text := func(mail.GUID) string { return "x" }
	if got := r.List(Names{text, text, text}).GetNeighbours()[0].GetDivergedSinceUnixMs(); got != since.UnixMilli() {
		t.Errorf("listed since %d, want %d", got, since.UnixMilli())
	}
	hear(r.Table().Digest())
	if n, l := r.Diverged(), logged.FilterMessage("linkstate_converged").Len(); n != 0 || l != 1 {
		t.Errorf("when the tables are the same again: %d neighbours, %d lines, want 0 and 1", n, l)
	}
}
