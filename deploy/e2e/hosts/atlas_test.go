package hosts

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/deploy/e2e/wan"
)

// atlas is a map. The group, and the site, of a server is its name up to the
// dash. Every server has a mailbox, NAME@example.test, and a virtual server.
type atlas struct {
	servers []string
	// links join groups, both ways, at a cost.
	links []link
}

type link struct {
	a, b string
	cost int
	// more is what the specs of both connectors have besides.
	more string
}

// fourSites: west and east reach each other over hub for 20; when hub does not
// answer, over north for 50.
//
//	        hub-1  hub-2
//	10    +---- hub ----+    10
//	     /       | 10    \
//	  west       |       east     west-1 west-2   east-1 east-2
//	     \       |       /
//	25    +--- north ---+    25
//	        north-1
var fourSites = atlas{
	servers: []string{"hub-1", "hub-2", "west-1", "west-2", "east-1", "east-2", "north-1"},
	links: []link{
		{a: "hub", b: "west", cost: 10}, {a: "hub", b: "east", cost: 10}, {a: "hub", b: "north", cost: 10},
		{a: "west", b: "north", cost: 25}, {a: "north", b: "east", cost: 25},
	},
}

// groups are those of the servers, in their order.
func (m atlas) groups() []string {
	var all []string
	for _, s := range m.servers {
		g, _, _ := strings.Cut(s, "-")
		if len(all) == 0 || all[len(all)-1] != g {
			all = append(all, g)
		}
	}
	return all
}

// yaml is the organisation with timers that fit a test: what takes a minute in
// life takes half a second here.
func (m atlas) yaml(hosts []*wan.Host) string {
	docs := []string{`kind: Organization
name: ` + organization + `
spec:
  postmaster: ` + m.servers[0] + `@example.test
  linkState: {keepalive: 300ms, suspectAfter: 1500ms, refuteWithin: 1s, antiEntropy: 5s}`,
		`kind: RecipientPolicy
name: default
spec: {domains: [{domain: example.test}]}`}
	for _, g := range m.groups() {
		docs = append(docs, "kind: RoutingGroup\nname: "+g+"\nspec: {}")
	}
	for _, h := range hosts {
		docs = append(docs, fmt.Sprintf(`kind: Server
name: %[1]s
spec:
  routingGroup: %[2]s
  fqdn: %[1]s.atlas.test
  smtpAddress: "%[3]s:25"
  gossipAddress: "%[3]s:691"
  adminAddress: "%[3]s:6910"`, h.Name, h.Site, h.Addr),
			fmt.Sprintf(`kind: VirtualServer
name: %[1]s-smtp
spec:
  server: %[1]s
  bindings: ["%[2]s:25"]
  retry: {first: 500ms, second: 1s, third: 1s, subsequent: 2s, delayNotice: 30m, expiration: 1h}`, h.Name, h.Addr),
			fmt.Sprintf("kind: Recipient\nname: %[1]s\nspec: {addresses: [%[1]s@example.test], mailbox: {homeServer: %[1]s}}", h.Name))
	}
	for _, l := range m.links {
		docs = append(docs, m.connector(l.a, l.b, l), m.connector(l.b, l.a, l))
	}
	return strings.Join(docs, "\n---\n") + "\n"
}

// connector is one direction of a link.
func (m atlas) connector(from, to string, l link) string {
	return fmt.Sprintf(`kind: RoutingGroupConnector
name: %s-%s
spec:
  sourceGroup: %[1]s
  targetGroup: %[2]s
  cost: %d
  detection: {glitchRetries: 1, glitchInterval: 200ms, probeInterval: 500ms, damping: {disabled: true}}
%s`, from, to, l.cost, l.more)
}
