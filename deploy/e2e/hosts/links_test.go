package hosts

import (
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/wan"
)

// step is one thing that happens to a world under load.
type step struct {
	name string
	do   func(*world, *load)
}

// Everything that happens to single links and hosts, under load.
func TestLinks(t *testing.T) {
	t.Parallel()
	live(t, []step{{"cut and heal", cutAndHeal}, {"one way", oneWay}, {"flap", flap}, {"a host goes dark", hostDark}})
}

// live takes an organisation of seven hosts in four sites through the steps, and
// afterwards accounts for every message.
func live(t *testing.T, steps []step) {
	w := start(t, fourSites, func(n *wan.Network) {
		n.Between("hub", "west", wan.Path{Delay: 10 * time.Millisecond})
		n.Between("hub", "north", slow)
	})
	w.agree(30 * time.Second)
	l := w.mail()
	for _, s := range steps {
		began := time.Now()
		s.do(w, l)
		t.Logf("%s: %v", s.name, time.Since(began).Round(time.Second))
	}
	l.quiet()
	l.account()
}

// slow is the link between hub and north.
var slow = wan.Path{Delay: 20 * time.Millisecond, Loss: 0.01}

// A link is cut: mail takes the way that is left, every table says so, and mail
// returns to the cheap way after the link is whole.
func cutAndHeal(w *world, _ *load) {
	w.way("west-1", "east-1", "cost 20")
	sent, before := w.node["hub-1"].newsSent(), time.Now()
	w.cut("hub", "east")
	cut := time.Now()
	first, last := w.known(cut, "connector_down", "hub-east")
	w.t.Logf("hub-east: down %v after the cut, found by probes; %v later the last of %d tables had it",
		first.Sub(cut).Round(time.Millisecond), last.Sub(first).Round(time.Millisecond), len(w.node))
	if last.Sub(first) > 5*time.Second {
		w.t.Errorf("the news took %v", last.Sub(first))
	}
	w.way("west-1", "east-1", "cost 45")
	w.way("east-1", "hub-1", "cost 35")
	w.same(20*time.Second, w.names()...)

	w.heal("hub", "east")
	healed := time.Now()
	w.way("west-1", "east-1", "cost 20")
	first, last = w.known(healed, "connector_up", "hub-east")
	w.t.Logf("hub-east: up %v after the link was whole; %v later the last table had it",
		first.Sub(healed).Round(time.Millisecond), last.Sub(first).Round(time.Millisecond))
	w.agree(30 * time.Second)
	w.t.Logf("all nodes agree %v after the link was whole", time.Since(healed).Round(100*time.Millisecond))
	w.perChange("hub-1", w.node["hub-1"].newsSent()-sent, before)
}

// maxPerChange is what one change of a link may cost an adjacency, in octets.
const maxPerChange = 300

// perChange compares the octets of news that a node sent with the changes that it
// saw since began: at most it told each to every neighbour.
func (w *world) perChange(node string, octets float64, began time.Time) {
	w.t.Helper()
	changes := w.node[node].changes(began)
	streams := w.node[node].metric(`postroad_gossip_streams{carrier="grpc"}`)
	if changes == 0 || streams == 0 || octets == 0 {
		w.t.Errorf("%s saw %d changes and sent %v octets of news over %v streams", node, changes, octets, streams)
		return
	}
	each := octets / float64(changes) / streams
	w.t.Logf("%s: %d changes of links and servers, %v octets of news to %v neighbours: %.0f for each change and adjacency", node, changes, octets, streams, each)
	if each > maxPerChange {
		w.t.Errorf("that is more than %d", maxPerChange)
	}
}

// Packets from hub to west get lost, those from west to hub arrive: no
// connection works, whoever opens it, and both ends say so.
func oneWay(w *world, _ *load) {
	w.trouble("from hub to west: cut; from west to hub: whole")
	began := time.Now()
	w.net.OneWay("hub", "west", wan.Path{Cut: true})
	w.known(began, "connector_down", "hub-west")
	w.known(began, "connector_down", "west-hub")
	w.way("west-1", "hub-1", "cost 35")
	w.way("hub-1", "west-1", "cost 35")
	w.heal("hub", "west")
	w.way("west-1", "hub-1", "cost 10")
	w.agree(30 * time.Second)
}

// A link comes and goes faster than anybody can make up their mind.
func flap(w *world, l *load) {
	for range 6 {
		w.cut("hub", "east")
		<-time.After(700 * time.Millisecond) // the pace is the point
		w.heal("hub", "east")
		<-time.After(400 * time.Millisecond)
	}
	w.agree(30 * time.Second)
	w.way("west-1", "east-1", "cost 20")
	w.arrives(l, "west-2", "east-2", 10*time.Second)
}

// A host loses its power: it refuses nothing, it is silent. The other bridgehead of
// its site answers, so the connectors to it stay up, and mail goes there.
func hostDark(w *world, l *load) {
	w.trouble("east-1 has no power")
	began := time.Now()
	for _, other := range append(w.names(), "etcd") {
		w.net.Between("east-1", other, wan.Path{Cut: true})
	}
	w.waitLogged("west-1", began, "server_down", "")
	w.arrives(l, "west-1", "east-2", 20*time.Second)
	w.arrives(l, "hub-1", "east-2", 20*time.Second)
	<-time.After(12 * time.Second) // until all that waited for an answer has given up
	for _, n := range w.names() {
		if at := w.node[n].logged(began, "connector_down", "hub-east"); n != "east-1" && !at.IsZero() {
			w.t.Errorf("%s has hub-east down %v after east-1 fell silent, though east-2 answers", n, at.Sub(began))
		}
	}
	w.trouble("east-1 has power again")
	for _, other := range append(w.names(), "etcd") {
		w.net.Between("east-1", other, wan.Path{})
	}
	w.agree(30 * time.Second)
	w.arrives(l, "west-1", "east-1", 20*time.Second)
}
