package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/route"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// A question about a table that is gone is answered by what it was made of, also
// by the next process; the numbers of tables go on.
func TestExplainThen(t *testing.T) {
	p := newPipeline(t)
	conf := p.cfg.Catalog.Config()
	paris, _ := conf.Server("paris-1")
	second, _ := conf.Server("paris-2")
	link, _ := conf.RoutingGroupConnector("paris-berlin")
	down := []linkstate.ConnectorState{{Connector: linkstate.GUID(link.GUID), Down: true, Reason: "refused"}}
	start := time.Now()
	note := func(version uint64, records ...*linkstate.Record) {
		p.version.Store(version)
		p.keep(route.Change{Version: version, Time: start.Add(time.Duration(version) * time.Second), Triggers: []string{"x"}, Revision: 9}, conf, linkstate.TableOf(records))
	}
	record := func(s [16]byte, states []linkstate.ConnectorState) *linkstate.Record {
		return &linkstate.Record{Server: s, Status: linkstate.Alive, Incarnation: 1, Connectors: states}
	}
	note(2, record(paris.GUID, down), record(second.GUID, down))
	note(5, record(paris.GUID, nil), record(second.GUID, nil))
	note(6)

	path := func(req *topologyv1.ExplainRequest) []string {
		t.Helper()
		req.Address = "olav@example.test"
		m, err := p.Explain(req)
		if err != nil {
			t.Fatal(err)
		}
		if m.GetFromUnixMs() == 0 != (req.GetAt() == nil) {
			t.Errorf("%v: from %d until %d", req, m.GetFromUnixMs(), m.GetUntilUnixMs())
		}
		return m.GetRoutes()[0].GetPath()
	}
	version := func(v uint64) *topologyv1.ExplainRequest {
		return &topologyv1.ExplainRequest{At: &topologyv1.ExplainRequest_AtVersion{AtVersion: v}}
	}
	around, direct := []string{"paris", "oslo"}, []string{"paris", "berlin", "oslo"}
	check := func() {
		t.Helper()
		for v, want := range map[uint64][]string{1: direct, 2: around, 3: around, 4: around, 5: direct, 6: direct} {
			if got := path(version(v)); !slices.Equal(got, want) {
				t.Errorf("version %d: %v, want %v", v, got, want)
			}
		}
	}
	check()
	if got := path(&topologyv1.ExplainRequest{}); !slices.Equal(got, direct) {
		t.Errorf("now: %v", got)
	}
	if _, err := p.Explain(&topologyv1.ExplainRequest{Address: "olav@example.test", At: &topologyv1.ExplainRequest_AtVersion{AtVersion: 99}}); err == nil || !strings.Contains(err.Error(), "the newest is 6") {
		t.Errorf("a version to come: %v", err)
	}
	if _, err := p.Explain(&topologyv1.ExplainRequest{Address: "olav@example.test", At: &topologyv1.ExplainRequest_AtUnixMs{AtUnixMs: 1}}); err == nil || !strings.Contains(err.Error(), "the oldest table that is kept is version 1") {
		t.Errorf("long ago: %v", err)
	}

	closed(t, p.Close())
	var err error
	if p.past, err = newPast(p.cfg.Data+"/history", p.cfg.Logger); err != nil {
		t.Fatal(err)
	}
	p.version.Store(p.past.Last())
	p.changes = route.History{}
	p.Rebuild()
	check()
	h := p.History(0).GetChanges()
	if len(h) != 5 || h[0].GetTableVersion() != 7 || h[4].GetTableVersion() != 1 {
		t.Errorf("history after a restart: %v", h)
	}
}
