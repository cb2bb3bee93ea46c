package pipeline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/topo"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// senders is the demo where oslo-1 has two virtual servers that only connectors use,
// and a twin of one of them; dns is the name server of the first and its twin.
func senders(t *testing.T, dns string) *directory.Configuration {
	t.Helper()
	objs, err := directory.DecodeYAML(strings.NewReader(strings.ReplaceAll(`
kind: VirtualServer
name: fast
spec:
  server: oslo-1
  bindings: ["127.0.0.1:2611"]
  connectorsOnly: true
  outbound: {maxConnections: 2, heloName: fast.example.test, sourceAddresses: [127.0.0.2], dnsServers: ["DNS"]}
  retry: {first: 1m, second: 2m, third: 3m, subsequent: 5m, delayNotice: 10m, expiration: 20m}
---
kind: VirtualServer
name: twin
spec: {server: oslo-1, bindings: ["127.0.0.1:2612"], outbound: {dnsServers: ["DNS"]}}
---
kind: VirtualServer
name: slow
spec:
  server: oslo-1
  bindings: ["127.0.0.1:2613"]
  connectorsOnly: true
  outbound: {maxConnections: 1, heloName: slow.example.test}
  retry: {first: 10m, second: 20m, third: 30m, subsequent: 1h, delayNotice: 90m, expiration: 3h}
---
kind: SMTPConnector
name: to-fast
spec: {routingGroup: oslo, localBridgeheads: [oslo-1/fast], addressSpaces: ["*.fast.example"], detection: {glitchRetries: 0}}
---
kind: SMTPConnector
name: to-slow
spec: {routingGroup: oslo, localBridgeheads: [oslo-1/slow], addressSpaces: ["*.slow.example"], detection: {glitchRetries: 0}}
---
kind: SMTPConnector
name: to-rest
spec: {routingGroup: oslo, localBridgeheads: [oslo-1], addressSpaces: ["*.rest.example"], detection: {glitchRetries: 0}}
`, "DNS", cmp.Or(dns, "192.0.2.53:53"))), "senders.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objs = append(threeSites(t), objs...)
	for i, o := range objs {
		var g uuid.UUID
		binary.BigEndian.PutUint64(g[8:], uint64(i+1))
		o.GetMetadata().Guid = g.String()
	}
	if err := directory.Invalid(directory.Validate(objs)); err != nil {
		t.Fatal(err)
	}
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// node is what decides on oslo-1 about mail outside: the configuration, the real map
// and routing, and the scheduler, on a clock of minutes that the test moves.
type node struct {
	*queue.Scheduler
	routes *route.Route
	now    time.Duration
	open   []queue.Effect
	told   []string // delays and expirations
}

func newNode(conf *directory.Configuration) *node {
	n := &node{Scheduler: queue.NewScheduler(sendersOf(conf, "oslo-1")), routes: route.New()}
	self, _ := conf.Server("oslo-1")
	n.routes.Update(topo.Build(conf, nil, mail.GUID(self.GUID), 1), conf)
	return n
}

func (n *node) ms() int64 { return 1 + n.now.Milliseconds() }

func (n *node) send(id byte, domain string) {
	k := queue.KeyOf(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: domain}, mail.Class{}, nil)
	n.AddQueue(k, n.routes.Hop(k.Destination, k.Class, k.Visited), false, n.ms())
	n.Reserve(k.Name(), mail.ID{id})
	n.Commit(k.Name(), queue.Ref{ID: mail.ID{id}, Due: n.ms(), Created: n.ms()}, n.ms())
	n.perform()
}

func (n *node) perform() {
	for _, e := range n.Effects() {
		switch e.Kind {
		case queue.EffectDial:
			n.open = append(n.open, e)
		case queue.EffectDelay:
			n.told = append(n.told, fmt.Sprintf("%s delayed at %v", e.Hop.Domain, n.now))
			e.Ref.Notified = true
			n.Requeued(e.Queue, e.Ref, "", n.ms())
			n.perform()
		case queue.EffectExpire:
			n.told = append(n.told, fmt.Sprintf("%s given up at %v", e.Hop.Domain, n.now))
			n.Gone(e.Queue, e.Ref.ID, n.ms())
			n.perform()
		}
	}
}

// pass lets time go by until then; connections fail at once. It gives the attempts to a
// domain, in minutes.
func (n *node) pass(until time.Duration) map[string][]float64 {
	tried := map[string][]float64{}
	for {
		for len(n.open) > 0 {
			e := n.open[0]
			n.open = n.open[1:]
			tried[e.Hop.Domain] = append(tried[e.Hop.Domain], n.now.Round(time.Second).Minutes())
			n.Closed(e.Conn, queue.Ending{Err: "away"}, n.ms())
			n.perform()
		}
		next := n.Next()
		if at := time.Duration(next-1) * time.Millisecond; next == 0 || at > until {
			return tried
		} else {
			n.now = max(n.now, at)
		}
		n.Tick(n.ms())
		n.perform()
	}
}

// Two connectors of one node retry by the clocks of the virtual servers that they name,
// and tell senders by them; a third one by that of all other mail.
func TestEachConnectorHasTheClockOfItsVirtualServer(t *testing.T) {
	n := newNode(senders(t, ""))
	n.send(1, "a.fast.example")
	n.send(2, "a.slow.example")
	tried := n.pass(4 * time.Hour)
	for domain, want := range map[string][]float64{
		"a.fast.example": {0, 1, 3, 6, 11, 16},
		"a.slow.example": {0, 10, 30, 60, 120},
	} {
		if !slices.Equal(tried[domain], want) {
			t.Errorf("%s was tried at minutes %v, want %v", domain, tried[domain], want)
		}
	}
	slices.Sort(n.told)
	want := []string{
		"a.fast.example delayed at 10m0s", "a.fast.example given up at 20m0s",
		"a.slow.example delayed at 1h30m0s", "a.slow.example given up at 3h0m0s",
	}
	if !slices.Equal(n.told, want) {
		t.Errorf("told %q,\nwant %q", n.told, want)
	}
	n.send(3, "a.rest.example")
	from := n.now
	rest := n.pass(from + 10*time.Second)["a.rest.example"]
	if len(rest) != 4 { // the demo's own: 0, 1, 3 and 8 seconds
		t.Errorf("mail by no named virtual server was tried %d times", len(rest))
	}
}

// A virtual server that has all its connections in use keeps no other one waiting.
func TestLimitsAreThoseOfAVirtualServer(t *testing.T) {
	n := newNode(senders(t, ""))
	for i := range byte(4) {
		for j, by := range []string{"fast", "slow", "rest"} {
			n.send(byte(j)*10+i, fmt.Sprintf("d%d.%s.example", i, by))
		}
	}
	count := func() map[string]int {
		open := map[string]int{}
		for _, e := range n.open {
			open[e.Hop.VirtualServerName]++
		}
		return open
	}
	if got := count(); got["fast"] != 2 || got["slow"] != 1 || got["oslo-1-smtp"] != 4 {
		t.Fatalf("connections %v, want 2 of fast, 1 of slow, 4 of the rest", got)
	}
	waiting := ""
	for _, q := range n.List(n.ms()) {
		if q.Destination.Domain == "d3.slow.example" {
			waiting = q.WaitingFor + "; " + q.VirtualServer
		}
	}
	if waiting != "a free connection: all 1 of virtual server slow are in use; slow" {
		t.Errorf("it waits for %q", waiting)
	}
	// One that ends gives its place to mail of its own virtual server.
	i := slices.IndexFunc(n.open, func(e queue.Effect) bool { return e.Hop.VirtualServerName == "slow" })
	done := n.open[i].Conn
	n.open = slices.Delete(n.open, i, i+1)
	n.Closed(done, queue.Ending{Err: "away"}, n.ms())
	n.perform()
	if got := count(); got["fast"] != 2 || got["slow"] != 1 {
		t.Errorf("after one ended: %v", got)
	}
}

// What a server says of its connections in all holds for its virtual servers together,
// from a change of the directory on; without a word it is a part of its descriptors.
func TestConnectionsOfTheServer(t *testing.T) {
	conf := senders(t, "")
	if n := sendersOf(conf, "oslo-1").Connections; n != outboundShare() {
		t.Errorf("%d connections, want %d", n, outboundShare())
	}
	self, _ := conf.Server("oslo-1")
	self.Spec.Outbound = &directoryv1.ServerOutbound{MaxConnections: 3}
	n := newNode(conf)
	for i, domain := range []string{"a.fast.example", "b.fast.example", "a.slow.example", "a.rest.example"} {
		n.send(byte(i+1), domain)
	}
	if len(n.open) != 3 {
		t.Fatalf("%d connections", len(n.open))
	}
	for _, q := range n.List(n.ms()) {
		if q.Destination.Domain == "a.rest.example" && q.WaitingFor != "a free connection: all 3 of this server are in use" {
			t.Errorf("it waits for %q", q.WaitingFor)
		}
	}
	self.Spec.Outbound.MaxConnections = 4
	n.SetSenders(sendersOf(conf, "oslo-1"), n.ms())
	n.perform()
	if len(n.open) != 4 {
		t.Errorf("%d connections after the limit was raised", len(n.open))
	}
}

// A change of the directory holds for the waits that have begun.
func TestSendersFollowTheConfiguration(t *testing.T) {
	conf := senders(t, "")
	n := newNode(conf)
	n.send(1, "a.slow.example")
	n.pass(time.Minute)
	slow, _ := conf.VirtualServer("slow")
	all := sendersOf(conf, "oslo-1")
	terms := all.Own[mail.GUID(slow.GUID)]
	terms.Clock.First = 4 * time.Minute
	all.Own[mail.GUID(slow.GUID)] = terms
	n.SetSenders(all, n.ms())
	n.perform()
	if got := n.pass(5 * time.Minute)["a.slow.example"]; !slices.Equal(got, []float64{4}) {
		t.Errorf("tried at minutes %v, want 4", got)
	}
}

func TestSettingsOfVirtualServers(t *testing.T) {
	conf := senders(t, "")
	for name, c := range map[string]struct {
		domain, helo string
		sources      int
	}{
		"named":       {"a.fast.example", "fast.example.test", 1},
		"other named": {"a.slow.example", "slow.example.test", 0},
		"none named":  {"a.rest.example", "", 0},
	} {
		n := newNode(conf)
		h := n.routes.Hop(mail.Destination{Place: mail.PlaceForeign, Type: "SMTP", Domain: c.domain}, mail.Class{}, nil)
		if s := settingsOf(conf, sendsBy(conf, "oslo-1", h)); s.Hostname != c.helo || len(s.Sources) != c.sources {
			t.Errorf("%s: %+v", name, s)
		}
	}
	// One that another server has, or that is gone, is no help: then all is as for other mail.
	fast, _ := conf.VirtualServer("fast")
	if v := sendsBy(conf, "paris-1", mail.Hop{VirtualServer: mail.GUID(fast.GUID)}); v.Name != "paris-1-smtp" {
		t.Errorf("paris-1 sends as %s", v.Name)
	}
	if v := sendsBy(conf, "oslo-1", mail.Hop{VirtualServer: mail.GUID{9}}); v.Name != "oslo-1-smtp" {
		t.Errorf("oslo-1 sends as %s", v.Name)
	}
}
