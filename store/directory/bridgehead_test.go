package directory

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const wan = "{kind: VirtualServer, name: wan, spec: {server: oslo-1, bindings: ['127.0.0.1:2555'], connectorsOnly: true}}\n---\n"

// The written form names the virtual server with its server; the schema keeps the server
// by itself, for nodes that know nothing else.
func TestBridgeheadsWritten(t *testing.T) {
	for name, kind := range map[string]string{
		"smtp":    "kind: SMTPConnector\nname: x\nspec:\n  routingGroup: oslo\n  localBridgeheads:\n",
		"group":   "kind: RoutingGroupConnector\nname: x\nspec:\n  sourceGroup: oslo\n  localBridgeheads:\n",
		"foreign": "kind: ForeignConnector\nname: x\nspec:\n  routingGroup: oslo\n  localBridgeheads:\n",
	} {
		text := kind + "  - oslo-1/wan\n  - oslo-2\n  - oslo-3/out\n"
		objs, err := DecodeYAML(strings.NewReader(text), "t")
		if err != nil {
			t.Fatal(err)
		}
		local, by := headsOf(objs[0])
		if strings.Join(*local, " ") != "oslo-1 oslo-2 oslo-3" || len(*by) != 2 {
			t.Fatalf("%s: %v, %v", name, *local, *by)
		}
		if b := (*by)[1]; b.GetServer() != "oslo-3" || b.GetVirtualServer() != "out" {
			t.Errorf("%s: the second is %v", name, b)
		}
		var back bytes.Buffer
		if err := EncodeYAML(&back, objs); err != nil || back.String() != text {
			t.Errorf("%s: %v\n%s", name, err, back.String())
		}
	}
}

// What the written form cannot say with a slash it says in full.
func TestBridgeheadsWrittenInFull(t *testing.T) {
	for name, spec := range map[string]*directoryv1.SMTPConnector{
		"no bridgehead": {BridgeheadVirtualServers: []*directoryv1.BridgeheadVirtualServer{{Server: "a", VirtualServer: "b"}}},
		"two of one": {LocalBridgeheads: []string{"a"}, BridgeheadVirtualServers: []*directoryv1.BridgeheadVirtualServer{
			{Server: "a", VirtualServer: "b"}, {Server: "a", VirtualServer: "c"}}},
		"another order": {LocalBridgeheads: []string{"a", "b"}, BridgeheadVirtualServers: []*directoryv1.BridgeheadVirtualServer{
			{Server: "b", VirtualServer: "c"}, {Server: "a", VirtualServer: "c"}}},
	} {
		o := &directoryv1.Object{Metadata: &directoryv1.Metadata{Kind: KindSMTPConnector, Name: "x"}, Spec: &directoryv1.Object_SmtpConnector{SmtpConnector: spec}}
		var text bytes.Buffer
		if err := EncodeYAML(&text, []*directoryv1.Object{o}); err != nil {
			t.Fatal(err)
		}
		back, err := DecodeYAML(&text, "t")
		if err != nil || !proto.Equal(back[0], o) {
			t.Errorf("%s: %v, %v", name, back, err)
		}
	}
}

func TestBridgeheadVirtualServers(t *testing.T) {
	const (
		smtp    = "{kind: SMTPConnector, name: x, spec: {routingGroup: oslo, addressSpaces: ['*'], "
		rgc     = "{kind: RoutingGroupConnector, name: oslo-paris, spec: {sourceGroup: oslo, targetGroup: paris, "
		foreign = "{kind: ForeignConnector, name: x, spec: {routingGroup: oslo, addressSpaces: ['X400:*'], dropDirectory: /drop, "
	)
	for name, c := range map[string]struct{ add, want string }{
		"smtp":              {wan + smtp + "localBridgeheads: [oslo-1/wan]}}", ""},
		"group":             {wan + rgc + "localBridgeheads: [oslo-1/wan]}}", ""},
		"foreign":           {wan + foreign + "localBridgeheads: [oslo-1/wan]}}", ""},
		"does not exist":    {smtp + "localBridgeheads: [oslo-1/wan]}}", "SMTPConnector/x: localBridgeheads[0]: VirtualServer/wan does not exist; create it or correct the name"},
		"of a group's":      {rgc + "localBridgeheads: [oslo-1/wan]}}", "RoutingGroupConnector/oslo-paris: localBridgeheads[0]: VirtualServer/wan does not exist"},
		"of a foreign":      {foreign + "localBridgeheads: [oslo-1/wan]}}", "ForeignConnector/x: localBridgeheads[0]: VirtualServer/wan does not exist"},
		"of another server": {smtp + "localBridgeheads: [oslo-1/paris-1-smtp]}}", "localBridgeheads[0]: VirtualServer/paris-1-smtp is one of Server/paris-1, must be one of Server/oslo-1; name a virtual server of that server"},
		"no such server":    {wan + smtp + "localBridgeheads: [nowhere/wan]}}", "localBridgeheads[0]: Server/nowhere does not exist"},
		"no bridgehead":     {wan + smtp + "bridgeheadVirtualServers: [{server: oslo-1, virtualServer: wan}]}}", "bridgeheadVirtualServers[0]: Server/oslo-1 is no local bridgehead of the connector; write oslo-1/wan into localBridgeheads"},
		"two of one":        {wan + smtp + "localBridgeheads: [oslo-1/wan], bridgeheadVirtualServers: [{server: oslo-1, virtualServer: oslo-1-smtp}]}}", "must send over a connector as one; remove one of them"},
		"no name":           {smtp + "localBridgeheads: [oslo-1], bridgeheadVirtualServers: [{server: oslo-1}]}}", "localBridgeheads[0]: is missing; write the name of a VirtualServer"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range Validate(withDocuments(t, c.add)) {
				got = append(got, p.Error())
			}
			switch {
			case c.want == "" && got != nil:
				t.Errorf("got %q, want nothing against it", got)
			case c.want != "" && !strings.Contains(strings.Join(got, "\n"), c.want):
				t.Errorf("got %q\nwant one with %q", got, c.want)
			}
		})
	}
}

// Settings are used where a connector names their virtual server.
func TestWarningsOfSenders(t *testing.T) {
	const own = "{kind: VirtualServer, name: wan, spec: {server: oslo-1, bindings: ['127.0.0.1:2555'], outbound: {port: 26}, retry: {first: 2m}SMART}}\n---\n"
	const connector = "{kind: SMTPConnector, name: x, spec: {routingGroup: oslo, addressSpaces: ['*.example'], localBridgeheads: [HEAD]HOSTS}}"
	for name, c := range map[string]struct {
		head, smart, hosts string
		want               []string // the beginnings
	}{
		"nobody names it":      {"oslo-1", "", "", []string{"outbound: is not used", "retry: is not used"}},
		"a connector names it": {"oslo-1/wan", "", "", nil},
		"for its smart host":   {"oslo-1/wan", ", smartHost: relay.example", "", nil},
		"with smart hosts":     {"oslo-1/wan", ", smartHost: relay.example", ", smartHosts: [mx.example]", []string{"smartHost: is not used: the connectors that name this virtual server have smart hosts"}},
	} {
		text := strings.NewReplacer("SMART", c.smart, "HEAD", c.head, "HOSTS", c.hosts).Replace(own + connector)
		got := Warnings(withDocuments(t, text))
		for i, w := range got {
			if i >= len(c.want) || !strings.HasPrefix(w.Error(), "VirtualServer/wan: "+c.want[i]) {
				t.Errorf("%s: warning %q", name, w)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d warnings, want %d", name, len(got), len(c.want))
		}
	}
}

func TestSendsOver(t *testing.T) {
	text := wan + `{kind: SMTPConnector, name: a, spec: {routingGroup: oslo, addressSpaces: ['*'], localBridgeheads: [oslo-1/wan]}}
---
{kind: SMTPConnector, name: b, spec: {routingGroup: oslo, addressSpaces: ['*'], localBridgeheads: [oslo-1]}}
---
{kind: ForeignConnector, name: c, spec: {routingGroup: oslo, addressSpaces: ['X400:*'], dropDirectory: /drop, localBridgeheads: [oslo-1/wan]}}
---
{kind: SMTPConnector, name: gone, spec: {routingGroup: oslo, addressSpaces: ['*'], localBridgeheads: [oslo-1/nowhere]}}
---
{kind: SMTPConnector, name: theirs, spec: {routingGroup: oslo, addressSpaces: ['*'], localBridgeheads: [oslo-1/paris-1-smtp]}}
`
	conf, err := NewConfiguration(1, withGUIDs(withDocuments(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	guid := func(name string) GUID {
		if e, ok := conf.SMTPConnector(name); ok {
			return e.GUID
		}
		e, _ := conf.ForeignConnector(name)
		return e.GUID
	}
	for _, c := range []struct {
		connector, server, want string
		named                   bool
	}{
		{"a", "oslo-1", "wan", true},
		{"b", "oslo-1", "oslo-1-smtp", false},
		{"c", "oslo-1", "wan", true},
		{"a", "paris-1", "paris-1-smtp", false},
		{"", "oslo-1", "oslo-1-smtp", false},
		{"a", "nowhere", "", false},
		// What should not be there, as it does not validate, changes nothing.
		{"gone", "oslo-1", "oslo-1-smtp", false},
		{"theirs", "oslo-1", "oslo-1-smtp", false},
	} {
		if v, named := conf.SendsOver(guid(c.connector), c.server); v.Name != c.want || named != c.named {
			t.Errorf("%s over %q: %q, %v; want %q, %v", c.server, c.connector, v.Name, named, c.want, c.named)
		}
	}
}
