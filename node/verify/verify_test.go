package verify

import (
	"crypto/md5"
	"slices"
	"strings"
	"testing"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	"github.com/postroad/postroad/routing"
)

func guid(name string) routing.GUID { return md5.Sum([]byte(name)) }

// triangle is a healthy map: paris, berlin and oslo, both ways between each two,
// and a connector for everything in paris.
func triangle() routing.Topology {
	top := routing.Topology{Self: guid("paris-1"), Direct: true}
	for _, g := range []string{"paris", "berlin", "oslo"} {
		top.Groups = append(top.Groups, routing.Group{GUID: guid(g), Name: g})
		top.Servers = append(top.Servers, routing.Server{GUID: guid(g + "-1"), Name: g + "-1", Group: guid(g), Up: true})
	}
	for _, e := range []struct {
		from, to string
		cost     int
	}{{"paris", "berlin", 10}, {"berlin", "paris", 10}, {"berlin", "oslo", 10}, {"oslo", "berlin", 10}, {"paris", "oslo", 30}, {"oslo", "paris", 20}} {
		top.Connectors = append(top.Connectors, routing.Connector{
			Name: e.from + "-" + e.to, Group: guid(e.from), Targets: []routing.Edge{{Group: guid(e.to), Cost: e.cost}},
			Bridgeheads: []routing.Bridgehead{{Server: guid(e.from + "-1"), Up: true}}, Remote: []routing.GUID{guid(e.to + "-1")},
		})
	}
	top.Connectors = append(top.Connectors, routing.Connector{
		Name: "internet", Kind: routing.SMTPConnector, Group: guid("paris"),
		AddressSpaces: []routing.AddressSpace{{Type: "SMTP", Pattern: "*"}},
		Bridgeheads:   []routing.Bridgehead{{Server: guid("paris-1"), Up: true}},
	})
	return top
}

func connector(top *routing.Topology, name string) *routing.Connector {
	return &top.Connectors[slices.IndexFunc(top.Connectors, func(c routing.Connector) bool { return c.Name == name })]
}

// failures are "check: detail" for every check that failed.
func failures(checks []*linkstatev1.Check) []string {
	var out []string
	for _, c := range checks {
		if c.GetResult() == linkstatev1.CheckResult_CHECK_RESULT_FAIL {
			out = append(out, c.GetName()+": "+strings.Join(c.GetDetails(), "; "))
		}
	}
	return out
}

const (
	lives  = "every server lives: "
	links  = "every link is up: "
	island = "no island: every group reaches every other: "
	wayOut = "every group has a way out for *: "
	back   = "every link between groups has one back: "
	used   = "every connector can be used: "
)

func TestMap(t *testing.T) {
	const spare = "; paris-oslo (30) is a spare: another way from paris to oslo costs 20"
	for name, c := range map[string]struct {
		change func(*routing.Topology)
		want   []string
	}{
		"healthy": {func(*routing.Topology) {}, nil},
		"one link down, a way around": {func(top *routing.Topology) {
			connector(top, "paris-berlin").Bridgeheads[0] = routing.Bridgehead{Server: guid("paris-1"), Reason: "refused"}
		}, []string{links + "paris-berlin from paris-1: refused"}},
		"server dead": {func(top *routing.Topology) {
			top.Servers[2].Up, top.Servers[2].Reason = false, "server is down"
		}, []string{lives + "oslo-1: server is down", island + "oslo does not reach paris, berlin", wayOut + "oslo reaches no connector for * that is up"}},
		"server never heard of": {func(top *routing.Topology) { top.Servers[2].Unheard = true },
			[]string{lives + "oslo-1: nothing is heard of it: it never ran, or no connector joins its group to this one"}},
		"one bridgehead of two": {func(top *routing.Topology) {
			top.Servers = append(top.Servers, routing.Server{GUID: guid("paris-2"), Name: "paris-2", Group: guid("paris"), Up: true})
			connector(top, "internet").Bridgeheads = []routing.Bridgehead{{Server: guid("paris-1"), Reason: "refused"}, {Server: guid("paris-2"), Up: true}}
		}, []string{links + "internet from paris-1: refused"}},
		"no way out": {func(top *routing.Topology) {
			connector(top, "internet").Bridgeheads[0].Up = false
		}, []string{links + "internet from paris-1: ", wayOut + "paris reaches no connector for * that is up; berlin reaches no connector for * that is up; oslo reaches no connector for * that is up"}},
		"way out for the own group only": {func(top *routing.Topology) {
			connector(top, "internet").Scope = routing.ScopeGroup
		}, []string{wayOut + "berlin reaches no connector for * that is up; oslo reaches no connector for * that is up"}},
		"way out disabled: servers send themselves": {func(top *routing.Topology) {
			connector(top, "internet").Disabled = true
		}, []string{used + "internet is disabled" + spare}},
		"neither connector nor right to send": {func(top *routing.Topology) {
			connector(top, "internet").AddressSpaces[0].Pattern, top.Direct = "*.net", false
		}, []string{wayOut + "paris reaches no connector for * that is up; berlin reaches no connector for * that is up; oslo reaches no connector for * that is up"}},
		"one way": {func(top *routing.Topology) {
			top.Connectors = slices.DeleteFunc(top.Connectors, func(c routing.Connector) bool { return c.Name == "oslo-berlin" })
		}, []string{back + "berlin-oslo leads from berlin to oslo and nothing leads back"}},
		"only connector drained": {func(top *routing.Topology) {
			connector(top, "internet").Drain = routing.DrainHard
		}, []string{wayOut + "paris reaches no connector for * that is up; berlin reaches no connector for * that is up; oslo reaches no connector for * that is up"}},
		"empty group is no island": {func(top *routing.Topology) {
			top.Groups = append(top.Groups, routing.Group{GUID: guid("rome"), Name: "rome"})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			top := triangle()
			c.change(&top)
			got := failures(Map(top))
			if !slices.Equal(got, c.want) {
				t.Errorf("failures\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
			}
		})
	}
}

func TestUselessConnectors(t *testing.T) {
	top := triangle()
	connector(&top, "paris-berlin").Remote = nil
	connector(&top, "internet").AddressSpaces = nil
	connector(&top, "berlin-oslo").Bridgeheads = nil
	const want = used + "paris-berlin has no remote bridgehead: none of those named exists, or the target group has no servers; " +
		"berlin-oslo has no bridgehead: none of those named exists, or its group has no servers; " +
		"internet has no address space and leads to no group"
	got := failures(Map(top))
	if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
		t.Errorf("failures\n\t%s\nwant among them\n\t%s", strings.Join(got, "\n\t"), want)
	}
}

func TestSpareIsNoFailure(t *testing.T) {
	checks := Map(triangle())
	c := checks[len(checks)-1]
	if c.GetResult() != linkstatev1.CheckResult_CHECK_RESULT_PASS || len(c.GetDetails()) != 1 || !strings.Contains(c.GetDetails()[0], "paris-oslo (30) is a spare") {
		t.Errorf("check %v; oslo-paris ties with the way around and is no spare", c)
	}
}

func TestNodes(t *testing.T) {
	node := func(name, digest string, revision int64) *linkstatev1.NodeDigest {
		return &linkstatev1.NodeDigest{Node: name, Digest: digest, DirectoryRevision: revision}
	}
	for name, c := range map[string]struct {
		nodes []*linkstatev1.NodeDigest
		want  []string
	}{
		"agree":    {[]*linkstatev1.NodeDigest{node("a", "1", 7), node("b", "1", 7)}, nil},
		"tables":   {[]*linkstatev1.NodeDigest{node("a", "2", 7), node("b", "1", 7), node("c", "1", 7)}, []string{"all link state tables are the same: table 1: b, c; table 2: a"}},
		"catalogs": {[]*linkstatev1.NodeDigest{node("a", "1", 6), node("b", "1", 7)}, []string{"all catalogs have the same directory revision: revision 6: a; revision 7: b"}},
		"ledger":   {[]*linkstatev1.NodeDigest{{Node: "a", LedgerImbalance: "one is missing"}, {Node: "b"}}, []string{"every node's ledger balances: a: one is missing"}},
		"silent":   {[]*linkstatev1.NodeDigest{node("a", "1", 6), {Node: "b", Error: "refused"}}, []string{"every node answers: b: refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "silent" && name != "ledger" && Agree(c.nodes) != (len(c.want) == 0) {
				t.Errorf("they agree: %v", Agree(c.nodes))
			}
			if got := failures(Nodes(c.nodes)); !slices.Equal(got, c.want) {
				t.Errorf("failures %q, want %q", got, c.want)
			}
		})
	}
}

func TestNeighbours(t *testing.T) {
	list := []*linkstatev1.Neighbour{{Server: "oslo-1"}, {Server: "rome-1", DivergedSinceUnixMs: 60_000}}
	c := Neighbours("paris-1", list)
	if want := []string{"rome-1 has had another table than paris-1 since 1970-01-01T00:01:00Z"}; c.GetResult() != linkstatev1.CheckResult_CHECK_RESULT_FAIL || !slices.Equal(c.GetDetails(), want) {
		t.Errorf("check %v, want it to fail for %v", c, want)
	}
	if c := Neighbours("paris-1", list[:1]); c.GetResult() != linkstatev1.CheckResult_CHECK_RESULT_PASS {
		t.Errorf("check %v, want it to pass", c)
	}
}

func TestDiff(t *testing.T) {
	entry := func(name string, status linkstatev1.Status, accuser string, up bool) *linkstatev1.TableEntry {
		return &linkstatev1.TableEntry{
			Server: name, AgeMs: int64(len(accuser)),
			Record:     &linkstatev1.Record{Server: []byte(name), Incarnation: 5, Sequence: 2, Status: status, Accuser: []byte(accuser)},
			Connectors: []*linkstatev1.ConnectorEntry{{Connector: "x", Up: up, SinceUnixMs: 1000}},
		}
	}
	const alive, down = linkstatev1.Status_STATUS_ALIVE, linkstatev1.Status_STATUS_DOWN
	a := &linkstatev1.ListResponse{Entries: []*linkstatev1.TableEntry{entry("p", alive, "", true), entry("q", alive, "", true)}}
	b := &linkstatev1.ListResponse{Entries: []*linkstatev1.TableEntry{entry("p", down, "q", true), entry("q", alive, "", false), entry("r", alive, "", true)}}
	b.Entries[2].Connectors = nil
	if d := Diff(a, a); len(d) != 0 {
		t.Errorf("a table differs from itself: %v", d)
	}
	var got []string
	for _, d := range Diff(a, b) {
		got = append(got, strings.Join([]string{d.Server, d.Connector, d.Field, d.ValueA, d.ValueB}, "|"))
	}
	want := []string{
		"p||status|alive|down", "p||accuser||q", "q|x|state|up|down",
		"r||status||alive", "r||incarnation||5", "r||sequence||2", "r||drain||none",
	}
	if !slices.Equal(got, want) {
		t.Errorf("differences\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
