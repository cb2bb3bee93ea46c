package pipeline

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// remapMap has two ways out of one server, of which the second is dearer.
func remapMap(version uint64, up bool) routing.Topology {
	id := func(name string) routing.GUID { return md5.Sum([]byte(name)) }
	out := func(name string, cost int, up bool) routing.Connector {
		return routing.Connector{
			GUID: id(name), Name: name, Kind: routing.SMTPConnector, Group: id("group"),
			AddressSpaces: []routing.AddressSpace{{Type: "SMTP", Pattern: "*", Cost: cost}},
			Bridgeheads:   []routing.Bridgehead{{Server: id("server"), Up: up}},
		}
	}
	return routing.Topology{
		Version: version, Self: id("server"),
		Groups:     []routing.Group{{GUID: id("group"), Name: "group"}},
		Servers:    []routing.Server{{GUID: id("server"), Name: "server", Group: id("group"), Up: true}},
		Connectors: []routing.Connector{out("near", 1, up), out("far", 2, true)},
	}
}

func remapConfiguration(b *testing.B) *directory.Configuration {
	objs, err := directory.DecodeYAML(strings.NewReader(`
{kind: RoutingGroup, name: group, spec: {}}
---
{kind: Server, name: server, spec: {routingGroup: group, fqdn: s.test}}
---
{kind: SMTPConnector, name: near, spec: {routingGroup: group, addressSpaces: ["*"]}}
---
{kind: SMTPConnector, name: far, spec: {routingGroup: group, addressSpaces: ["*;2"]}}
`), "remap.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for _, o := range objs {
		o.Metadata.Guid = directory.GUID(md5.Sum([]byte(o.Metadata.Name))).String()
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		b.Fatal(err)
	}
	return conf
}

// BenchmarkRemap is what a change of the map costs with 100,000 queued messages
// to 1,000 destinations, all of which go another way: the new table, the question
// for each queue, and the move. Wanted: 50 ms.
func BenchmarkRemap(b *testing.B) {
	const destinations, each = 1000, 100
	routes, conf := route.New(), remapConfiguration(b)
	routes.Update(remapMap(0, true), conf)
	s := queue.NewScheduler(queue.Senders{})
	hop := func(k queue.Key) mail.Hop { return routes.Hop(k.Destination, k.Class, k.Visited) }
	for d := range destinations {
		k := queue.KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: fmt.Sprintf("d%d.test", d)}, mail.Class{}, nil)
		s.AddQueue(k, hop(k), false, 1)
		for n := range each {
			ref := queue.Ref{ID: mail.ID{byte(d >> 8), byte(d), byte(n), 1}, Due: 1, Created: 1}
			s.Reserve(k.Name(), ref.ID)
			s.Commit(k.Name(), ref, 1)
		}
	}
	s.Effects()
	version := uint64(0)
	for b.Loop() {
		version++
		routes.Update(remapMap(version, version%2 == 0), conf)
		if moved := s.Reroute(hop, 2); moved != destinations {
			b.Fatalf("%d queues moved, want %d", moved, destinations)
		}
		s.Effects()
	}
}
