package routing

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestMailArrives follows decisions from server to server, each with its own
// table of the same map: every message that may move gets where it is going, in
// at most two hops for each group and without entering a group twice.
func TestMailArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := drawTopology(t)
		tables := make(map[GUID]*Table)
		for _, s := range top.Servers {
			own := top
			own.Self = s.GUID
			tables[s.GUID] = Build(own)
		}
		drawn := drawMessage(t, &top)
		m := &Message{SizeBound: 500, Sender: drawn.Sender, Bucket: drawn.Bucket}
		from, _ := newOracle(&top, m).server(top.Self)
		dest := rapid.SampledFrom(top.Servers).Draw(t, "destination")
		address := rapid.Bool().Draw(t, "outside")
		m.Visited = []GUID{from.Group}
		at := from.GUID
		for hop := 0; ; hop++ {
			if hop > 2*len(top.Groups) {
				t.Fatalf("still on its way after %d hops, visited %x", hop, m.Visited)
			}
			d := tables[at].ToServer(dest.GUID, m)
			if address {
				d = tables[at].ToAddress("SMTP", "c.b.a", m)
			}
			if d.Kind != ToNode {
				if hop > 0 && (d.Kind == NoRoute || d.Kind == Direct || d.Kind == Loop) {
					t.Fatalf("%s after %d hops: %s", d.Kind, hop, d.Reason)
				}
				return
			}
			m.Connector = d.Connector
			if !d.NextGroup.IsZero() {
				if slices.Contains(m.Visited, d.NextGroup) {
					t.Fatalf("sent back into a visited group")
				}
				m.Visited = append(m.Visited, d.NextGroup)
			}
			at = d.Next
		}
	})
}
