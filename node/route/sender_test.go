package route

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// Another virtual server of paris-1 sends where a connector names it.
const secondSender = `---
kind: VirtualServer
name: v2
spec:
  server: paris-1
  connectorsOnly: true
  smartHost: "partner.test:27"
  outbound: {maxConnectionsPerLink: 3, tls: none, credentials: {user: v2, passwordFile: /v2}}
`

// senders gives the map of paris-1 where connectors name virtual servers; each edit is a
// text of the organisation and what stands in its place.
func withSenders(t *testing.T, edits ...string) *Route {
	t.Helper()
	text := strings.NewReplacer(edits...).Replace(organization + secondSender)
	objs, err := directory.DecodeYAML(strings.NewReader(text), "test.yaml")
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
	return r
}

func TestVirtualServerOfTheConnectorSends(t *testing.T) {
	const (
		internet = "localBridgeheads: [paris-1]\n  smartHosts"
		dns      = `localBridgeheads: [paris-1], addressSpaces: ["*.org"`
		oslo     = "targetGroup: oslo,"
		list     = `addressSpaces: ["LIST:*"]`
	)
	r := withSenders(t,
		internet, strings.Replace(internet, "paris-1", "paris-1/v2", 1),
		dns, strings.Replace(dns, "paris-1", "paris-1/v2", 1),
		oslo, oslo+" localBridgeheads: [paris-1/v2, paris-2],",
		list, list+", localBridgeheads: [paris-1/v2]",
	)
	for _, c := range []struct {
		name   string
		dest   mail.Destination
		by     string
		hop    string
		perHop int
		user   string
		tls    mail.TLSPolicy
	}{
		// What the connector says comes before its virtual server.
		{"connector with smart hosts", foreign("SMTP", "x.net"), "v2", "smart host [192.0.2.1], mx.test:26", 3, "u", mail.TLSNone},
		{"connector without", foreign("SMTP", "x.org"), "v2", "smart host partner.test:27", 3, "v2", mail.TLSNone},
		{"foreign connector", foreign("LIST", "a"), "v2", "gateway 127.0.0.1:24", 3, "", mail.TLSOpportunistic},
		{"connector that names none", foreign("FAX", "+49"), "v1", "drop directory /fax", 9, "", mail.TLSOpportunistic},
		{"routing group connector", server("oslo-1"), "v2", "oslo-1", 3, "", mail.TLSOpportunistic},
		{"own group", server("paris-2"), "v1", "paris-2", 9, "", mail.TLSOpportunistic},
		{"no connector", foreign("SMTP", "x.com"), "v1", "smart host relay.test:2525", 9, "", mail.TLSRequired},
		{"own mailbox", mail.Destination{}, "", "local delivery", 0, "", mail.TLSOpportunistic},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := r.Hop(c.dest, mail.Class{}, nil)
			if h.VirtualServerName != c.by || h.Name != c.hop || h.Options.MaxConnections != c.perHop || h.Options.Account != c.user || h.Options.TLS != c.tls {
				t.Errorf("%+v", h)
			}
			if (c.by != "") != (h.VirtualServer == mail.GUID(guid(c.by))) {
				t.Errorf("virtual server %s", h.VirtualServer)
			}
			if x := r.Explain(c.dest, mail.Class{}, nil); x.VirtualServer != c.by {
				t.Errorf("explained with %q", x.VirtualServer)
			}
		})
	}
	t.Run("group behind DNS", func(t *testing.T) {
		// The smart host of a virtual server is for mail that leaves the organisation.
		down := topology("paris-1", "paris-oslo")
		r.Update(down, r.Configuration())
		if h := r.Hop(server("oslo-1"), mail.Class{}, nil); h.Kind != mail.HopMX || h.Domain != "o1.test" || h.VirtualServerName != "v2" {
			t.Errorf("%+v", h)
		}
	})
}

// A connector that names no virtual server goes by DNS, whatever smart host its
// bridgehead has: so it has always been.
func TestDefaultSmartHostIsNotTheConnectors(t *testing.T) {
	r := withSenders(t)
	if h := r.Hop(foreign("SMTP", "x.org"), mail.Class{}, nil); h.Kind != mail.HopMX || h.VirtualServerName != "v1" {
		t.Errorf("%+v", h)
	}
}

// A change of who sends over a connector makes another link of it.
func TestSenderTellsLinksApart(t *testing.T) {
	key := func(edits ...string) string {
		return withSenders(t, edits...).Hop(foreign("SMTP", "x.net"), mail.Class{}, nil).Key()
	}
	const before = "localBridgeheads: [paris-1]\n  smartHosts"
	one, other := key(), key(before, strings.Replace(before, "paris-1", "paris-1/v2", 1))
	if one == other {
		t.Errorf("both are %s", one)
	}
}

func TestMapShowsSenders(t *testing.T) {
	const before = "localBridgeheads: [paris-1]\n  smartHosts"
	got := map[string]string{}
	for _, c := range withSenders(t, before, strings.Replace(before, "paris-1", "paris-1/v2", 1)).Map().Connectors {
		got[c.Name] = c.Bridgeheads[0].VirtualServer
	}
	if got["internet"] != "v2" || got["dns"] != "" {
		t.Errorf("%v", got)
	}
}
