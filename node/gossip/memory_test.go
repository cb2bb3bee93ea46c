package gossip

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// What link state costs a node of an organisation of 1,000 groups and 3,000 servers,
// each a bridgehead of seven connectors: table, members, and 50 neighbours that
// have been sent everything. Records come from the wire, so nothing is shared with
// anyone.
func TestMemoryOfThreeThousandServers(t *testing.T) {
	const servers, connectors = 3000, 7
	guid := func(kind byte, n int) linkstate.GUID {
		return linkstate.GUID{kind, byte(n >> 8), byte(n), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	}
	before := heap()
	var m linkstate.Members
	m.Self = guid('s', 0)
	wire := &linkstatev1.Records{}
	for i := range servers {
		m.Servers = append(m.Servers, linkstate.Member{Server: guid('s', i), Group: guid('g', i/3)})
		r := &linkstate.Record{Server: guid('s', i), Incarnation: 1_800_000_000, Sequence: 7, Status: linkstate.Alive, Version: "1.0.0", Since: 1}
		for c := range connectors {
			r.Connectors = append(r.Connectors, linkstate.ConnectorState{Connector: guid('c', i/3*connectors+c), Since: 1_800_000_000_000, Down: c == 0, Reason: "connection refused"})
		}
		wire.Records = append(wire.Records, EncodeRecord(r))
	}
	for c := range 50 {
		m.Connectors = append(m.Connectors, linkstate.ConnectorInfo{
			GUID: guid('c', c), Group: guid('g', 0), Local: []linkstate.GUID{m.Self}, Remote: []linkstate.GUID{guid('s', 3*c+3)},
		})
	}
	for g := 50; g+1 < servers/3; g++ { // the others are heard of over one another
		m.Connectors = append(m.Connectors, linkstate.ConnectorInfo{
			GUID: guid('d', g), Group: guid('g', g), Local: []linkstate.GUID{guid('s', 3*g)}, Remote: []linkstate.GUID{guid('s', 3*g+3)},
		})
	}
	b, err := proto.Marshal(wire)
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig()
	c.Self = [16]byte(m.Self)
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.SetMembers(m, linkstate.Timings{}, nil)
	for _, n := range r.Neighbours() {
		var p linkstatev1.Records
		if err := proto.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		records, err := decodeRecords(&p)
		if err != nil {
			t.Fatal(err)
		}
		r.step(func(m *linkstate.Machine, now time.Time) []linkstate.Effect {
			m.PeerUp(linkstate.GUID(n.Server), linkstate.Protocol, now)
			return m.Receive(linkstate.GUID(n.Server), &linkstate.Records{Records: records}, now)
		})
	}
	wire, b = nil, nil
	used := float64(heap()-before) / (1 << 20)
	t.Logf("%d records, %d neighbours: %.1f MiB", r.Table().Len(), len(r.Neighbours()), used)
	if used > 50 || r.Table().Len() < servers-1 {
		t.Errorf("%d records take %.1f MiB, want at most 50", r.Table().Len(), used)
	}
	r.Diverged() // the runner lives until here
}
