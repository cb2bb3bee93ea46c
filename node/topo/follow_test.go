package topo

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/store/directory"
)

// Whatever changes, in whatever order, the map that follows is the one that would be
// built of nothing; and maps that were given away stay as they were.
func TestFollowedMapIsTheBuiltOne(t *testing.T) {
	confs := []*directory.Configuration{configuration(t, organization), configuration(t, organization)}
	servers := []string{"paris-1", "paris-2", "oslo-1"}
	connectors := []string{"fax", "internet", "oslo-paris", "paris-oslo"}
	rapid.Check(t, func(t *rapid.T) {
		var f Follower
		known := make(map[string]*linkstate.Record)
		conf := confs[0]
		for i := range rapid.IntRange(1, 20).Draw(t, "changes") {
			switch rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0:
				conf = rapid.SampledFrom(confs).Draw(t, "revision")
			case 1:
				delete(known, rapid.SampledFrom(servers).Draw(t, "lost"))
			default:
				name := rapid.SampledFrom(servers).Draw(t, "server")
				r := &linkstate.Record{
					Server: guid(name), Incarnation: 1, Sequence: uint64(i), Since: int64(i),
					Status: rapid.SampledFrom([]linkstate.Status{linkstate.Alive, linkstate.Suspect, linkstate.Down}).Draw(t, "status"),
					Drain:  linkstate.Drain(rapid.IntRange(0, 2).Draw(t, "drain")),
				}
				for _, c := range connectors {
					if rapid.Bool().Draw(t, c) {
						r.Connectors = append(r.Connectors, linkstate.ConnectorState{
							Connector: guid(c), Down: rapid.Bool().Draw(t, "down"), SuppressedUntil: rapid.Int64Range(0, 1).Draw(t, "until") * 1000,
						})
					}
				}
				known[name] = r
			}
			var records []*linkstate.Record
			for _, r := range known {
				records = append(records, r)
			}
			table := linkstate.TableOf(records)
			before := f.top
			kept := Build(f.confOr(conf), f.table, guid("paris-1"), before.Version)
			got := f.Next(conf, table, guid("paris-1"), uint64(i+1))
			if want := Build(conf, table, guid("paris-1"), uint64(i+1)); !reflect.DeepEqual(got, want) {
				t.Fatalf("change %d: got  %+v\nwant %+v", i, got, want)
			}
			if i > 0 && !reflect.DeepEqual(before, kept) {
				t.Fatalf("change %d changed the map before", i)
			}
		}
	})
}

// confOr is the configuration of the last map, or another one if there is none.
func (f *Follower) confOr(other *directory.Configuration) *directory.Configuration {
	if f.conf == nil {
		return other
	}
	return f.conf
}
