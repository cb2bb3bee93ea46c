package topo

import (
	"crypto/md5"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// guid makes the GUID of a name; no two objects of the test share one.
func guid(name string) [16]byte { return md5.Sum([]byte(name)) }

func configuration(t *testing.T, yaml string) *directory.Configuration {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader(yaml), "test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objs {
		o.Metadata.Guid = directory.GUID(guid(o.Metadata.Name)).String()
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

const organization = `
kind: Organization
name: org
spec: {linkState: {keepalive: 1s}}
---
{kind: RoutingGroup, name: paris, spec: {}}
---
{kind: RoutingGroup, name: oslo, spec: {}}
---
{kind: Server, name: paris-1, spec: {routingGroup: paris, fqdn: p1.test}}
---
{kind: Server, name: paris-2, spec: {routingGroup: paris, fqdn: p2.test, drain: soft, gossipAddress: "127.0.0.1:7"}}
---
{kind: Server, name: oslo-1, spec: {routingGroup: oslo, fqdn: o1.test}}
---
{kind: VirtualServer, name: v, spec: {server: paris-1, connectorsOnly: true}}
---
kind: RoutingGroupConnector
name: paris-oslo
spec:
  sourceGroup: paris
  targetGroup: oslo
  cost: 7
  restrictions: {maxMessageSize: 1KiB, priorities: [low, high], noSystemMessages: true}
  detection: {glitchRetries: 0, idleProbeInterval: 5m, suppressStateChanges: true, damping: {penalty: 7}}
  onLinkDown: hold
---
kind: RoutingGroupConnector
name: oslo-paris
spec: {sourceGroup: oslo, targetGroup: paris, remoteBridgeheads: [paris-2], disabled: true}
---
kind: SMTPConnector
name: internet
spec:
  routingGroup: paris
  localBridgeheads: [paris-1, gone]
  addressSpaces: ["SMTP:*", "*.bücher.example;5", "X400:C=US;A=x"]
  scope: routing-group
  fallback: less-specific
  connectedGroups: [{group: oslo, cost: 9}]
---
kind: ForeignConnector
name: fax
spec: {routingGroup: oslo, addressSpaces: ["FAX:*"], dropDirectory: /fax}
`

func connector(t *testing.T, top routing.Topology, name string) routing.Connector {
	t.Helper()
	i := slices.IndexFunc(top.Connectors, func(c routing.Connector) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no connector %s", name)
	}
	return top.Connectors[i]
}

func server(t *testing.T, top routing.Topology, name string) routing.Server {
	t.Helper()
	i := slices.IndexFunc(top.Servers, func(s routing.Server) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no server %s", name)
	}
	return top.Servers[i]
}

func TestConfigurationAlone(t *testing.T) {
	conf := configuration(t, organization)
	top := Build(conf, nil, guid("paris-1"), 9)
	if top.Version != 9 || top.Self != guid("paris-1") || len(top.Groups) != 2 || len(top.Servers) != 3 || len(top.Connectors) != 4 {
		t.Fatalf("topology %+v", top)
	}
	if top.Direct {
		t.Error("paris-1 may send without a connector, against connectorsOnly")
	}
	if !Build(conf, nil, guid("oslo-1"), 9).Direct {
		t.Error("oslo-1 has no virtual server and so its defaults: it may send without a connector")
	}
	want := routing.Connector{
		GUID: guid("paris-oslo"), Name: "paris-oslo", Group: guid("paris"),
		Targets: []routing.Edge{{Group: guid("oslo"), Cost: 7}},
		MaxSize: 1024, Priorities: routing.AllowLow | routing.AllowHigh, NoSystem: true, OnLinkDown: routing.Hold, Weight: 1,
		Bridgeheads: []routing.Bridgehead{{Server: guid("paris-1"), Up: true}, {Server: guid("paris-2"), Up: true}},
		Remote:      []routing.GUID{guid("oslo-1")},
	}
	if got := connector(t, top, "paris-oslo"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	back := connector(t, top, "oslo-paris")
	if !back.Disabled || !slices.Equal(back.Remote, []routing.GUID{guid("paris-2")}) || back.Targets[0].Cost != 1 {
		t.Errorf("oslo-paris: %+v", back)
	}
	out := connector(t, top, "internet")
	want = routing.Connector{
		GUID: guid("internet"), Name: "internet", Kind: routing.SMTPConnector, Group: guid("paris"),
		Targets: []routing.Edge{{Group: guid("oslo"), Cost: 9}},
		AddressSpaces: []routing.AddressSpace{
			{Type: "SMTP", Pattern: "*", Cost: 1}, {Type: "SMTP", Pattern: "*.xn--bcher-kva.example", Cost: 5}, {Type: "X400", Pattern: "C=US;A=x", Cost: 1},
		},
		Scope: routing.ScopeGroup, Fallback: true, Weight: 1,
		Bridgeheads: []routing.Bridgehead{{Server: guid("paris-1"), Up: true}},
	}
	if !reflect.DeepEqual(out, want) {
		t.Errorf("got  %+v\nwant %+v", out, want)
	}
	if s := server(t, top, "paris-2"); s.Drain != routing.DrainSoft || !s.Up || s.Group != guid("paris") {
		t.Errorf("paris-2: %+v", s)
	}
}

// table makes a table of these records with a real machine: topo reads what
// gossip hands it.
func table(t *testing.T, conf *directory.Configuration, self string, records ...*linkstate.Record) *linkstate.Table {
	t.Helper()
	m := linkstate.New(linkstate.Config{
		Self: guid(self), Incarnation: 1, Version: "test",
		Random: func(int) int { return 0 },
	})
	now := time.Unix(1000, 0)
	members, timings, _ := Members(conf, guid(self))
	m.Restore(records, 0, now)
	m.Configure(members, timings, now)
	return m.Table()
}

func TestStateOverlaid(t *testing.T) {
	conf := configuration(t, organization)
	tab := table(t, conf, "paris-1",
		&linkstate.Record{
			Server: guid("paris-2"), Incarnation: 5, Status: linkstate.Alive, Drain: linkstate.DrainHard,
			Connectors: []linkstate.ConnectorState{{Connector: guid("paris-oslo"), Down: true, Since: 77, Reason: "refused", SuppressedUntil: 60_000}},
		},
		&linkstate.Record{Server: guid("oslo-1"), Incarnation: 5, Status: linkstate.Down, Accuser: guid("paris-2"), Since: 2000},
	)
	top := Build(conf, tab, guid("paris-1"), 1)
	heads := connector(t, top, "paris-oslo").Bridgeheads
	want := []routing.Bridgehead{
		{Server: guid("paris-1"), Up: true}, {Server: guid("paris-2"), Reason: "refused; flapping, so not before 1970-01-01T00:01:00Z", SinceMS: 77, Damped: true},
	}
	heads[0].SinceMS = 0 // paris-1 says since when it is up
	if !reflect.DeepEqual(heads, want) {
		t.Errorf("got %+v, want %+v", heads, want)
	}
	if s := server(t, top, "paris-2"); s.Drain != routing.DrainHard {
		t.Errorf("paris-2 drains itself harder than the directory says: %+v", s)
	}
	s := server(t, top, "oslo-1")
	if s.Up || s.Reason != "server is down since 1970-01-01T00:00:02Z, says paris-2" {
		t.Errorf("oslo-1: %+v", s)
	}
	for name, want := range map[string]string{"paris-1": "up", "oslo-1": "down", "nobody": "unknown"} {
		if got := ServerState(tab, guid(name)); got != want {
			t.Errorf("state of %s: %s, want %s", name, got, want)
		}
	}
}

// A server that never ran is tried, behind those that are known to live; where nobody
// is known all are alike.
func TestServerNeverHeard(t *testing.T) {
	conf := configuration(t, organization)
	alone := Build(conf, table(t, conf, "paris-1"), guid("paris-1"), 1)
	if s := server(t, alone, "paris-2"); !s.Up || s.Unheard {
		t.Errorf("to a node that knows nobody: %+v", s)
	}
	tab := table(t, conf, "paris-1", &linkstate.Record{Server: guid("oslo-1"), Incarnation: 5, Status: linkstate.Alive})
	top := Build(conf, tab, guid("paris-1"), 1)
	for name, unheard := range map[string]bool{"paris-1": false, "paris-2": true, "oslo-1": false} {
		if s := server(t, top, name); !s.Up || s.Unheard != unheard {
			t.Errorf("%s: %+v, want unheard %v", name, s, unheard)
		}
	}
}

func TestMembers(t *testing.T) {
	m, timings, addresses := Members(configuration(t, organization), guid("paris-1"))
	if m.Self != guid("paris-1") || len(m.Servers) != 3 || len(m.Connectors) != 4 {
		t.Fatalf("members %+v", m)
	}
	want := linkstate.ConnectorInfo{
		GUID: guid("paris-oslo"), Group: guid("paris"),
		Local:  []linkstate.GUID{guid("paris-1"), guid("paris-2")},
		Remote: []linkstate.GUID{guid("oslo-1")},
		Detection: linkstate.Detection{
			GlitchRetries: 0, GlitchInterval: linkstate.DefaultGlitchInterval, ProbeInterval: linkstate.DefaultProbeInterval,
			IdleProbe:            5 * time.Minute,
			SuppressStateChanges: true,
			Damping: linkstate.Damping{
				Penalty: 7, Suppress: linkstate.DefaultSuppress, Reuse: linkstate.DefaultReuse,
				HalfLife: linkstate.DefaultHalfLife * linkstate.DefaultProbeInterval,
				Maximum:  linkstate.DefaultMaximum * linkstate.DefaultHalfLife * linkstate.DefaultProbeInterval,
			},
		},
	}
	if got := m.Connectors[slices.IndexFunc(m.Connectors, func(c linkstate.ConnectorInfo) bool { return c.GUID == guid("paris-oslo") })]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if timings.Keepalive != time.Second || timings.SuspectAfter != linkstate.DefaultSuspectAfter {
		t.Errorf("timings %+v", timings)
	}
	if a := addresses[mail.GUID(guid("paris-2"))]; a != "127.0.0.1:7" {
		t.Errorf("gossip address of paris-2: %s", a)
	}
	if a := addresses[mail.GUID(guid("oslo-1"))]; a != "o1.test:691" {
		t.Errorf("gossip address of oslo-1: %s", a)
	}
}

// TestNothing: a node that has not seen the directory yet.
func TestNothing(t *testing.T) {
	conf := new(directory.Configuration)
	if top := Build(conf, nil, guid("me"), 0); len(top.Servers)+len(top.Connectors) > 0 {
		t.Errorf("topology of nothing: %+v", top)
	}
	if m, _, _ := Members(conf, guid("me")); len(m.Servers) > 0 {
		t.Errorf("members of nothing: %+v", m)
	}
}

// Every kind of connector has its drain mode, and a server starts with that of
// its object, before anything is known of its state.
func TestDrain(t *testing.T) {
	conf := configuration(t, organization+`
---
{kind: Server, name: oslo-2, spec: {routingGroup: oslo, fqdn: o2.test, drain: hard}}
---
{kind: RoutingGroupConnector, name: r, spec: {sourceGroup: paris, targetGroup: oslo, drain: soft}}
---
{kind: SMTPConnector, name: s, spec: {routingGroup: paris, addressSpaces: ["*"], drain: hard}}
---
{kind: ForeignConnector, name: f, spec: {routingGroup: oslo, addressSpaces: ["FAX:*"], dropDirectory: /fax, drain: soft, onLinkDown: hold, fallback: less-specific}}
`)
	top := Build(conf, nil, guid("paris-1"), 1)
	for name, want := range map[string]routing.Drain{"r": routing.DrainSoft, "s": routing.DrainHard, "f": routing.DrainSoft, "paris-oslo": routing.DrainNone} {
		if got := connector(t, top, name).Drain; got != want {
			t.Errorf("%s: drain %d, want %d", name, got, want)
		}
	}
	if f := connector(t, top, "f"); f.OnLinkDown != routing.Hold || !f.Fallback {
		t.Errorf("foreign connector %+v", f)
	}
	if got := server(t, top, "oslo-2").Drain; got != routing.DrainHard {
		t.Errorf("oslo-2: drain %d", got)
	}
}

// What a connector asks of messages is no business of link state: it is in the
// directory, and with a thousand names in it nothing more travels.
func TestRestrictionsAreNoLinkState(t *testing.T) {
	plain, _, _ := Members(configuration(t, organization), guid("paris-1"))
	restricted, _, _ := Members(configuration(t, strings.ReplaceAll(organization, "restrictions: {",
		"restrictions: {acceptFrom: [a@x.test, '@y.test'], rejectFrom: ['@z.test'], ")), guid("paris-1"))
	if !reflect.DeepEqual(plain, restricted) {
		t.Errorf("link state with restrictions\n%+v\nand without\n%+v", restricted, plain)
	}
}

// Sender lists, spreading and weights are on the map in the form that routing
// compares.
func TestSendersAndShares(t *testing.T) {
	conf := configuration(t, organization+`
---
kind: RoutingGroupConnector
name: r
spec:
  sourceGroup: paris
  targetGroup: oslo
  spread: per-message
  weight: 3
  bridgeheadWeights: [{server: paris-2, weight: 5}, {server: gone, weight: 2}]
  restrictions: {acceptFrom: [trainees, "<>", "@x.test"], rejectFrom: ["not readable"]}
`)
	r := connector(t, Build(conf, nil, guid("paris-1"), 1), "r")
	if r.Spread != routing.PerMessage || r.Weight != 3 || !reflect.DeepEqual(r.Weights, map[routing.GUID]int{guid("paris-2"): 5}) {
		t.Errorf("spread %d, weight %d, weights %v", r.Spread, r.Weight, r.Weights)
	}
	if len(r.Accept) != 3 || r.Accept[0] != routing.NullSender || !slices.IsSorted(r.Accept) {
		t.Errorf("accepts %v", r.Accept)
	}
	// A list that was meant to narrow narrows, even if nobody can read it.
	if len(r.Reject) != 1 || slices.Contains(r.Accept, r.Reject[0]) {
		t.Errorf("rejects %v", r.Reject)
	}
	if got := r.Accept; !slices.Contains(got, routing.SenderID(directory.SenderIDs([]string{"trainees"})[0])) {
		t.Errorf("accepts %v, trainees not among them", got)
	}
}
