package gossip

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/linkstate"
)

// One change of one link on the wire of one adjacency, as gRPC frames it. Where both
// ends hear of it in the same moment it crosses twice, so a copy may have half of
// the 300 octets.
func TestChangeIsSmall(t *testing.T) {
	for _, connectors := range []int{1, 7, 50, 500} {
		before := &linkstate.Record{
			Server: linkstate.GUID{1}, Incarnation: 1_800_000_000, Sequence: 100_000, Status: linkstate.Alive,
			Version: "1.0.0", Since: 1_800_000_000_000, Drain: linkstate.DrainSoft,
		}
		for i := range connectors {
			before.Connectors = append(before.Connectors, linkstate.ConnectorState{Connector: linkstate.GUID{byte(i >> 8), byte(i)}, Since: 1_800_000_000_000})
		}
		after := *before
		after.Connectors = append([]linkstate.ConnectorState(nil), before.Connectors...)
		after.Sequence++
		c := &after.Connectors[connectors-1]
		c.Down, c.Reason, c.SuppressedUntil = true, strings.Repeat("x", linkstate.MaxReason), 1_800_000_000_000
		p, ok := linkstate.Diff(before, &after)
		if !ok {
			t.Fatal("no patch")
		}
		n := frameSize(&linkstate.Records{Patches: []*linkstate.Patch{p}})
		t.Logf("%d connectors: %d octets, the whole record %d", connectors, n, frameSize(&linkstate.Records{Records: []*linkstate.Record{&after}}))
		if n > 150 {
			t.Errorf("a change of one of %d connectors costs %d octets, want at most 150", connectors, n)
		}
		accused := *before
		accused.Status, accused.Accuser = linkstate.Down, linkstate.GUID{9}
		if p, ok = linkstate.Diff(before, &accused); !ok {
			t.Fatal("no patch")
		}
		if n := frameSize(&linkstate.Records{Patches: []*linkstate.Patch{p}}); n > 150 {
			t.Errorf("an accusation costs %d octets, want at most 150", n)
		}
	}
}
