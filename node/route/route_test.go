package route

import (
	"crypto/md5"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

func guid(name string) [16]byte { return md5.Sum([]byte(name)) }

// paris-1 and paris-2, a connector to oslo-1, three ways out of paris-1.
const organization = `
{kind: RoutingGroup, name: paris, spec: {}}
---
{kind: RoutingGroup, name: oslo, spec: {}}
---
{kind: Server, name: paris-1, spec: {routingGroup: paris, fqdn: p1.test, smtpAddress: "127.0.0.1:2501"}}
---
{kind: Server, name: paris-2, spec: {routingGroup: paris, fqdn: p2.test, localDelivery: {lmtp: {address: "unix:/run/lmtp"}}}}
---
{kind: Server, name: oslo-1, spec: {routingGroup: oslo, fqdn: O1.test}}
---
kind: VirtualServer
name: v1
spec:
  server: paris-1
  smartHost: "relay.test:2525"
  outbound: {maxConnectionsPerLink: 9, port: 2526, tls: required}
---
kind: RoutingGroupConnector
name: paris-oslo
spec: {sourceGroup: paris, targetGroup: oslo, cost: 10, detection: {glitchRetries: 0, glitchInterval: 5s}}
---
kind: SMTPConnector
name: internet
spec:
  routingGroup: paris
  localBridgeheads: [paris-1]
  smartHosts: ["[192.0.2.1]", "mx.test:26"]
  addressSpaces: ["*.net;10"]
  tls: none
  useHelo: true
  credentials: {user: u, passwordFile: /p}
---
kind: SMTPConnector
name: dns
spec: {routingGroup: paris, localBridgeheads: [paris-1], addressSpaces: ["*.org", "X400:*"], connectedGroups: [{group: oslo, cost: 20}]}
---
{kind: ForeignConnector, name: fax, spec: {routingGroup: paris, addressSpaces: ["FAX:*"], dropDirectory: /fax}}
---
{kind: ForeignConnector, name: list, spec: {routingGroup: paris, addressSpaces: ["LIST:*"], lmtp: {address: "127.0.0.1:24"}, restrictions: {maxMessageSize: 100}}}
`

func configuration(t *testing.T) *directory.Configuration {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader(organization), "test.yaml")
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

// topology is the map of the organisation as self sees it; down names connectors.
func topology(self string, down ...string) routing.Topology {
	heads := func(connector string, names ...string) []routing.Bridgehead {
		var list []routing.Bridgehead
		for _, n := range names {
			list = append(list, routing.Bridgehead{Server: guid(n), Up: !slices.Contains(down, connector), Reason: "refused"})
		}
		return list
	}
	smtp := func(name string, patterns ...string) routing.Connector {
		c := routing.Connector{GUID: guid(name), Name: name, Kind: routing.SMTPConnector, Group: guid("paris"), Bridgeheads: heads(name, "paris-1")}
		for _, p := range patterns {
			typ, pattern, _ := strings.Cut(p, ":")
			c.AddressSpaces = append(c.AddressSpaces, routing.AddressSpace{Type: typ, Pattern: pattern, Cost: 10})
		}
		return c
	}
	fax, list := smtp("fax", "FAX:*"), smtp("list", "LIST:*")
	fax.Kind, list.Kind, list.MaxSize = routing.ForeignConnector, routing.ForeignConnector, 100
	dns := smtp("dns", "SMTP:*.org", "X400:*")
	dns.Targets = []routing.Edge{{Group: guid("oslo"), Cost: 20}}
	return routing.Topology{
		Version: 4, Self: guid(self), Direct: true,
		Groups: []routing.Group{{GUID: guid("paris"), Name: "paris"}, {GUID: guid("oslo"), Name: "oslo"}},
		Servers: []routing.Server{
			{GUID: guid("paris-1"), Name: "paris-1", Group: guid("paris"), Up: true},
			{GUID: guid("paris-2"), Name: "paris-2", Group: guid("paris"), Up: true},
			{GUID: guid("oslo-1"), Name: "oslo-1", Group: guid("oslo"), Up: true},
		},
		Connectors: []routing.Connector{
			{
				GUID: guid("paris-oslo"), Name: "paris-oslo", Group: guid("paris"), Bridgeheads: heads("paris-oslo", "paris-1", "paris-2"),
				Targets: []routing.Edge{{Group: guid("oslo"), Cost: 10}}, Remote: []routing.GUID{guid("oslo-1")},
			},
			smtp("internet", "SMTP:*.net"), dns, fax, list,
		},
	}
}

func foreign(typ, domain string) mail.Destination {
	return mail.Destination{Place: mail.PlaceForeign, Type: typ, Domain: domain}
}

func server(name string) mail.Destination {
	return mail.Destination{Place: mail.PlaceServer, Server: guid(name)}
}

func TestHop(t *testing.T) {
	conf := configuration(t)
	own := mail.HopOptions{TLS: mail.TLSRequired, Port: 2526, MaxConnections: 9}
	glitch := func(o mail.HopOptions) mail.HopOptions {
		o.Glitch, o.GlitchWait = 3, time.Minute
		return o
	}
	for _, c := range []struct {
		name    string
		self    string
		down    []string
		dest    mail.Destination
		class   mail.Class
		visited []string
		want    mail.Hop
		reason  string // part of it
	}{
		{name: "own mailbox", dest: mail.Destination{}, want: mail.Hop{Kind: mail.HopLocal, Name: "local delivery"}},
		{name: "own mailbox by server", dest: server("paris-1"), want: mail.Hop{Kind: mail.HopLocal, Name: "local delivery"}},
		{name: "own mailbox by LMTP", self: "paris-2", dest: mail.Destination{}, want: mail.Hop{
			Kind: mail.HopLMTP, Name: "local delivery (LMTP unix:/run/lmtp)", Hosts: []string{"unix:/run/lmtp"}}},
		{name: "own group", dest: server("paris-2"), reason: "same routing group", want: mail.Hop{
			Kind: mail.HopNode, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "paris-2", Server: guid("paris-2"), Hosts: []string{"p2.test:25"}, Options: mail.HopOptions{MaxConnections: 9}}},
		{name: "over a connector", dest: server("oslo-1"), reason: "least-cost path", want: mail.Hop{
			Kind: mail.HopNode, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "oslo-1", Server: guid("oslo-1"), Hosts: []string{"O1.test:25"},
			Connector: guid("paris-oslo"), ConnectorName: "paris-oslo",
			Options: mail.HopOptions{MaxConnections: 9, Glitch: -1, GlitchWait: 5 * time.Second}}},
		{name: "group behind DNS", down: []string{"paris-oslo"}, dest: server("oslo-1"), reason: "least-cost path", want: mail.Hop{
			Kind: mail.HopMX, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "o1.test (MX)", Domain: "o1.test", Connector: guid("dns"), ConnectorName: "dns", Options: glitch(own)}},
		{name: "smart hosts", dest: foreign("SMTP", "x.net"), reason: "bridgehead of the chosen connector", want: mail.Hop{
			Kind: mail.HopSmartHost, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "smart host [192.0.2.1], mx.test:26", Hosts: []string{"[192.0.2.1]", "mx.test:26"},
			Connector: guid("internet"), ConnectorName: "internet", Travel: guid("internet"),
			Options: glitch(mail.HopOptions{TLS: mail.TLSNone, UseHELO: true, Account: "u", PasswordFile: "/p", Port: 2526, MaxConnections: 9})}},
		{name: "handed to the bridgehead", self: "paris-2", dest: foreign("SMTP", "x.net"), reason: "bridgeheads in this group", want: mail.Hop{
			Kind: mail.HopNode, Name: "paris-1", Server: guid("paris-1"), Hosts: []string{"127.0.0.1:2501"}, Travel: guid("internet")}},
		{name: "DNS connector", dest: foreign("SMTP", "x.org"), reason: "bridgehead of the chosen connector", want: mail.Hop{
			Kind: mail.HopMX, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "x.org (MX)", Domain: "x.org", Connector: guid("dns"), ConnectorName: "dns", Travel: guid("dns"), Options: glitch(own)}},
		{name: "not in DNS", dest: foreign("X400", "c=us"), reason: "connector dns has no smart host", want: waiting},
		{name: "direct by smart host", dest: foreign("SMTP", "x.com"), reason: "no connector matches", want: mail.Hop{
			Kind: mail.HopSmartHost, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "smart host relay.test:2525", Hosts: []string{"relay.test:2525"}, Options: own}},
		{name: "direct by DNS", self: "paris-2", dest: foreign("SMTP", "x.com"), reason: "no connector matches", want: mail.Hop{
			Kind: mail.HopMX, Name: "x.com (MX)", Domain: "x.com"}},
		{name: "drop directory", dest: foreign("FAX", "+49"), reason: "chosen connector", want: mail.Hop{
			Kind: mail.HopDrop, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "drop directory /fax", Connector: guid("fax"), ConnectorName: "fax", Travel: guid("fax"),
			Options: glitch(mail.HopOptions{Directory: "/fax", MaxConnections: 9})}},
		{name: "gateway", dest: foreign("LIST", "a"), reason: "chosen connector", want: mail.Hop{
			Kind: mail.HopLMTP, VirtualServer: guid("v1"), VirtualServerName: "v1", Name: "gateway 127.0.0.1:24", Hosts: []string{"127.0.0.1:24"}, Connector: guid("list"), ConnectorName: "list", Travel: guid("list"),
			Options: glitch(mail.HopOptions{MaxConnections: 9})}},
		{name: "too large", dest: foreign("LIST", "a"), class: mail.Class{Size: 200}, reason: "larger than every connector", want: mail.Hop{
			Kind: mail.HopFail, Name: "no route", Status: mail.StatusTooLarge}},
		{name: "no route", dest: foreign("NOTES", "a"), reason: "no connector serves the address", want: mail.Hop{
			Kind: mail.HopFail, Name: "no route", Status: mail.StatusNoRoute}},
		{name: "unreachable", down: []string{"paris-oslo", "dns"}, dest: server("oslo-1"), reason: "refused", want: waitingFor("paris-oslo")},
		{name: "loop", dest: server("oslo-1"), visited: []string{"paris", "oslo"}, reason: "has been in group oslo before", want: mail.Hop{
			Kind: mail.HopUnreachable, Name: "currently unreachable", Status: mail.StatusHopCount}},
	} {
		t.Run(c.name, func(t *testing.T) {
			self := c.self
			if self == "" {
				self = "paris-1"
			}
			r := New()
			r.Update(topology(self, c.down...), conf)
			var visited []mail.GUID
			for _, v := range c.visited {
				visited = append(visited, guid(v))
			}
			got := r.Hop(c.dest, c.class, visited)
			x := r.Explain(c.dest, c.class, visited)
			if !reflect.DeepEqual(got, x.Hop) {
				t.Errorf("explained as another hop: %+v", x.Hop)
			}
			if len(x.Reasons) == 0 || x.Result == "" || x.NextHop != got.Name {
				t.Errorf("explanation says too little: %+v", x)
			}
			if !strings.Contains(got.Reason, c.reason) {
				t.Errorf("reason %q, want %q in it", got.Reason, c.reason)
			}
			got.Reason = ""
			c.want.TableVersion = 4
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("\ngot  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func waitingFor(connector string) mail.Hop {
	h := waiting
	h.ConnectorName = connector
	return h
}

var waiting = mail.Hop{Kind: mail.HopUnreachable, Name: "currently unreachable", Status: mail.Status{Class: 4, Subject: 4, Detail: 4}}

func TestBeforeTheFirstTable(t *testing.T) {
	r := New()
	if h := r.Hop(server("oslo-1"), mail.Class{}, nil); h.Kind != mail.HopUnreachable {
		t.Errorf("server: %+v", h)
	}
	if h := r.Hop(foreign("SMTP", "x.com"), mail.Class{}, nil); h.Kind != mail.HopUnreachable {
		t.Errorf("address: %+v", h)
	}
	if len(r.Map().Groups) > 0 || r.Version() != 0 || len(r.Limits()) > 0 {
		t.Error("a map of nothing")
	}
}

func TestSubscribe(t *testing.T) {
	r := New()
	var seen []uint64
	r.Subscribe(func() { seen = append(seen, r.Version()) })
	r.Subscribe(func() { seen = append(seen, uint64(r.Limits()[0])) })
	r.Update(topology("paris-1"), configuration(t))
	if !slices.Equal(seen, []uint64{4, 100}) {
		t.Errorf("subscribers saw %v", seen)
	}
}

func TestExplainNames(t *testing.T) {
	r := New()
	r.Update(topology("paris-2"), configuration(t))
	x := r.Explain(foreign("SMTP", "x.net"), mail.Class{}, nil)
	if x.Result != "node" || x.NextHop != "paris-1" || x.Connector != "internet" || x.Cost != 10 || !slices.Equal(x.Path, []string{"paris"}) {
		t.Errorf("explanation %+v", x)
	}
	if len(x.Candidates) != 1 || !x.Candidates[0].Chosen || x.Candidates[0].Connector != "internet" || x.Candidates[0].AddressSpace != "SMTP:*.net;10" {
		t.Errorf("candidates %+v", x.Candidates)
	}
	if len(x.Bridgeheads) != 1 || x.Bridgeheads[0].Server != "paris-1" || !x.Bridgeheads[0].Chosen {
		t.Errorf("bridgeheads %+v", x.Bridgeheads)
	}
	x = r.Explain(server("oslo-1"), mail.Class{}, nil)
	if x.Destination != "server oslo-1" || x.Connector != "paris-oslo" || !slices.Equal(x.Path, []string{"paris", "oslo"}) {
		t.Errorf("explanation %+v", x)
	}
}

func TestProbes(t *testing.T) {
	r := New()
	r.Update(topology("paris-1"), configuration(t))
	for _, c := range []struct {
		connector string
		server    mail.GUID
		kind      mail.HopKind
		host      string
	}{
		{"paris-oslo", guid("oslo-1"), mail.HopNode, "O1.test:25"},
		{"paris-oslo", mail.GUID{}, mail.HopNode, "O1.test:25"},
		{"internet", mail.GUID{}, mail.HopSmartHost, "[192.0.2.1]"},
		{"list", mail.GUID{}, mail.HopLMTP, "127.0.0.1:24"},
		{"dns", mail.GUID{}, 0, ""},
		{"fax", mail.GUID{}, 0, ""},
		{"nobody", mail.GUID{}, 0, ""},
	} {
		hops := r.Probes(guid(c.connector), c.server)
		if c.host == "" {
			if len(hops) != 0 {
				t.Errorf("%s: %+v, want nothing to probe", c.connector, hops)
			}
			continue
		}
		if len(hops) != 1 || hops[0].Kind != c.kind || hops[0].Hosts[0] != c.host || hops[0].Connector != guid(c.connector) {
			t.Errorf("%s: %+v", c.connector, hops)
		}
	}
}

// The server that is asked about comes first, those known to be down last.
func TestRemotesInOrder(t *testing.T) {
	a, b, c := routing.GUID{1}, routing.GUID{2}, routing.GUID{3}
	v := newView(routing.Topology{
		Servers:    []routing.Server{{GUID: a}, {GUID: b, Up: true}, {GUID: c, Up: true}},
		Connectors: []routing.Connector{{GUID: routing.GUID{9}, Remote: []routing.GUID{a, b, c}}},
	}, new(directory.Configuration))
	for _, x := range []struct {
		first routing.GUID
		want  []routing.GUID
	}{
		{routing.GUID{}, []routing.GUID{b, c, a}},
		{c, []routing.GUID{c, b, a}},
		{a, []routing.GUID{a, b, c}},
	} {
		if got := v.remotes(routing.GUID{9}, x.first); !slices.Equal(got, x.want) {
			t.Errorf("first %v: %v, want %v", x.first, got, x.want)
		}
	}
	if got := v.remotes(routing.GUID{8}, a); got != nil {
		t.Errorf("unknown connector: %v", got)
	}
}

func TestMap(t *testing.T) {
	r := New()
	r.Update(topology("paris-1", "internet"), configuration(t))
	m := r.Map()
	if len(m.Groups) != 2 || len(m.Groups[0].Servers) != 2 || m.Groups[0].Servers[0].SMTPAddress != "127.0.0.1:2501" || len(m.Connectors) != 5 {
		t.Fatalf("map %+v", m)
	}
	byName := make(map[string]Connector)
	for _, c := range m.Connectors {
		byName[c.Name] = c
	}
	if c := byName["paris-oslo"]; !c.Up || c.Source != "paris" || c.Target != "oslo" || c.Cost != 10 || !slices.Equal(c.RemoteBridgeheads, []string{"oslo-1"}) {
		t.Errorf("paris-oslo %+v", c)
	}
	if c := byName["internet"]; c.Up || !strings.Contains(c.Reason, "refused") || len(c.SmartHosts) != 2 || !slices.Equal(c.AddressSpaces, []string{"SMTP:*.net;10"}) {
		t.Errorf("internet %+v", c)
	}
}

// A bridgehead that is dead is none that works, whatever it said of the link last.
func TestMapOfTheDead(t *testing.T) {
	top := topology("paris-1")
	top.Servers[1].Up, top.Servers[1].Reason = false, "server is down, says paris-1"
	r := New()
	r.Update(top, configuration(t))
	for _, c := range r.Map().Connectors {
		if c.Name != "paris-oslo" {
			continue
		}
		want := []LocalBridgehead{{Server: "paris-1", Up: true, Reason: "refused"}, {Server: "paris-2", Reason: "server is down, says paris-1"}}
		if !slices.Equal(c.Bridgeheads, want) || !c.Up {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
}

func BenchmarkHop(b *testing.B) {
	r := New()
	r.Update(topology("paris-1"), new(directory.Configuration))
	dest := foreign("SMTP", "x.net")
	visited := []mail.GUID{guid("paris")}
	b.ReportAllocs()
	for b.Loop() {
		r.Hop(dest, mail.Class{}, visited)
	}
}

// What link state says of a node is said of the hop to it, and of no other hop.
func TestGone(t *testing.T) {
	r := New()
	r.Update(routing.Topology{Servers: []routing.Server{{GUID: routing.GUID{1}, Up: true}, {GUID: routing.GUID{2}, Reason: "silent"}, {GUID: routing.GUID{3}}}},
		new(directory.Configuration))
	for _, c := range []struct {
		hop  mail.Hop
		want string
	}{
		{mail.Hop{Kind: mail.HopNode, Server: mail.GUID{1}}, ""},
		{mail.Hop{Kind: mail.HopNode, Server: mail.GUID{2}}, "silent"},
		{mail.Hop{Kind: mail.HopNode, Name: "oslo-1", Server: mail.GUID{3}}, "server oslo-1 is down"},
		{mail.Hop{Kind: mail.HopNode, Server: mail.GUID{4}}, ""},
		{mail.Hop{Kind: mail.HopSmartHost, Server: mail.GUID{2}}, ""},
	} {
		if got := r.Gone(c.hop); got != c.want {
			t.Errorf("%+v: %q, want %q", c.hop, got, c.want)
		}
	}
}

// All bridgeheads that know the same agree on who does what only one shall do.
func TestTurn(t *testing.T) {
	conf := configuration(t)
	for name, c := range map[string]struct {
		change func(*routing.Topology)
		want   string
	}{
		"the first":            {func(*routing.Topology) {}, "paris-1"},
		"the first that lives": {func(p *routing.Topology) { p.Servers[0].Up = false }, "paris-2"},
		"the first that can":   {func(p *routing.Topology) { p.Connectors[0].Bridgeheads[0].Up = false }, "paris-2"},
		"none can, the first": {func(p *routing.Topology) {
			p.Connectors[0].Bridgeheads[0].Up, p.Connectors[0].Bridgeheads[1].Up = false, false
		}, "paris-1"},
		"not one that is drained":  {func(p *routing.Topology) { p.Servers[0].Drain = routing.DrainHard }, "paris-2"},
		"none lives":               {func(p *routing.Topology) { p.Servers[0].Up, p.Servers[1].Up = false, false }, ""},
		"the connector is drained": {func(p *routing.Topology) { p.Connectors[0].Drain = routing.DrainHard }, ""},
		"disabled":                 {func(p *routing.Topology) { p.Connectors[0].Disabled = true }, ""},
	} {
		for _, self := range []string{"paris-1", "paris-2"} {
			top := topology(self)
			c.change(&top)
			r := New()
			r.Update(top, conf)
			got, ok := r.Turn(guid("paris-oslo"))
			if ok != (c.want != "") || ok && got != guid(c.want) {
				t.Errorf("%s, seen by %s: %v %v, want %s", name, self, got, ok, c.want)
			}
		}
	}
	if _, ok := New().Turn(guid("paris-oslo")); ok {
		t.Error("a turn without a map")
	}
}

// Smart hosts in order and in shares, as hops have them and people read them.
func TestSmartHostShares(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"written": {"smartHosts: [a.test, b.test]", "smart host a.test, b.test []"},
		"even":    {"smartHosts: [a.test, b.test], smartHostOrder: even", "smart host a.test (50%), b.test (50%) [1 1]"},
		"weights": {"smartHosts: [a.test, '[192.0.2.1]:2525', b.test], smartHostOrder: even, smartHostWeights: [{host: '[192.0.2.1]:2525', weight: 4}]", "smart host a.test (17%), [192.0.2.1]:2525 (67%), b.test (17%) [1 4 1]"},
		"one":     {"smartHosts: [a.test], smartHostOrder: even", "smart host a.test [1]"},
	} {
		objs, err := directory.DecodeYAML(strings.NewReader(strings.Replace(organization, `smartHosts: ["[192.0.2.1]", "mx.test:26"]`, strings.ReplaceAll(c.spec, ", smartHost", "\n  smartHost"), 1)), "t")
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
		r := New()
		r.Update(topology("paris-1"), conf)
		h := r.Hop(foreign("SMTP", "x.net"), mail.Class{}, nil)
		if got := fmt.Sprint(h.Name, " ", h.Options.Shares); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Mail without a way counts among what waits for the connector that would give it
// one: on the way to a mailbox, to an address, and at a connector that holds it.
func TestUnreachableNamesItsConnector(t *testing.T) {
	held := topology("paris-1", "internet")
	held.Connectors[1].OnLinkDown = routing.Hold
	cut := topology("paris-2", "paris-oslo")
	cut.Connectors = slices.Delete(cut.Connectors, 2, 3) // the one by DNS leads to oslo as well
	for name, k := range map[string]struct {
		top  routing.Topology
		dest mail.Destination
		want string
	}{
		"mailbox":        {cut, server("oslo-1"), "paris-oslo"},
		"address":        {topology("paris-1", "internet"), foreign("SMTP", "x.net"), "internet"},
		"held":           {held, foreign("SMTP", "x.net"), "internet"},
		"unknown server": {topology("paris-1"), server("rome-1"), ""},
	} {
		r := New()
		r.Update(k.top, configuration(t))
		if h := r.Hop(k.dest, mail.Class{}, nil); h.Kind != mail.HopUnreachable || h.ConnectorName != k.want || h.Key() != "unreachable" {
			t.Errorf("%s: %v %q over %q (%s), want %q", name, h.Kind, h.Name, h.ConnectorName, h.Reason, k.want)
		}
	}
}
