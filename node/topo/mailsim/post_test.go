// Package mailsim runs messages through the simulated organisation of
// linkstate/sim: every server has its own directory revision, its own link state
// table, the map that package topo makes of both, and real routing on it. What is
// checked is what link state is for: mail gets there, never runs in circles, and is
// never lost while servers disagree about the way.
package mailsim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/linkstate/sim"
	"github.com/postroad/postroad/node/topo"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// message is somewhere: on the disk of a server, or with its reader.
type message struct {
	id        int
	home      linkstate.GUID // the server of its mailbox
	at        linkstate.GUID
	visited   []routing.GUID // groups, as node/submit keeps them
	hops      int
	travels   bool // between two servers; it stays at the first until the second has it
	delivered int
	reported  string // why it was held: the only way leads back
}

// maxHops is where a node gives a message up and reports it.
const maxHops = 30

// post is the mail of a world.
type post struct {
	w        *sim.World
	messages []*message
	groups   map[linkstate.GUID]linkstate.GUID
	maps     map[linkstate.GUID]*seen
	confs    map[*linkstate.Member]*directory.Configuration
}

// seen is the routing table of a server, and what it was made of.
type seen struct {
	members *linkstate.Member
	table   *linkstate.Table
	routes  *routing.Table
}

func newPost(w *sim.World) *post {
	p := &post{w: w, groups: make(map[linkstate.GUID]linkstate.GUID), maps: make(map[linkstate.GUID]*seen), confs: make(map[*linkstate.Member]*directory.Configuration)}
	p.round()
	return p
}

// round has every running server look at what lies in its queues.
func (p *post) round() {
	p.w.After(200*time.Millisecond+p.w.UpTo(200*time.Millisecond), func() {
		for _, m := range p.w.Directory().Servers {
			p.groups[m.Server] = m.Group // for servers that leave later as well
		}
		for _, m := range p.messages {
			p.move(m)
		}
		p.round()
	})
}

// write sends a message from one server to a mailbox of another.
func (p *post) write(from, home linkstate.GUID) {
	m := &message{id: len(p.messages), home: home}
	p.arrive(m, from)
	p.messages = append(p.messages, m)
}

func (p *post) arrive(m *message, at linkstate.GUID) {
	g := routing.GUID(p.groups[at])
	m.at = at
	if n := len(m.visited); n > 0 && m.visited[n-1] == g {
		return
	}
	if slices.Contains(m.visited, g) && !g.IsZero() {
		p.w.Break("message %d, held never, enters group %s again: %s", m.id, sim.Label(linkstate.GUID(g)), way(m.visited))
	}
	m.visited = append(m.visited[:len(m.visited):len(m.visited)], g)
}

func way(groups []routing.GUID) string {
	var names []string
	for _, g := range groups {
		names = append(names, sim.Label(linkstate.GUID(g)))
	}
	return strings.Join(names, " ")
}

// move takes the next step of a message, as the server that has it decides.
func (p *post) move(m *message) {
	routes := p.routes(m.at)
	if m.delivered > 0 || m.travels || m.reported != "" || routes == nil {
		return
	}
	switch d := routes.ToServer(routing.GUID(m.home), &routing.Message{Visited: m.visited}); d.Kind {
	case routing.Local:
		m.delivered++
	case routing.ToNode:
		if p.w.Waits(linkstate.GUID(d.Via)) {
			return
		}
		if m.hops++; m.hops > maxHops {
			m.reported = "too many hops"
			return
		}
		m.travels = true
		from, via := m.at, linkstate.GUID(d.Via)
		p.w.After(p.w.Delay(), func() {
			m.travels = false
			// As delivery does: the alternatives in turn, and a failure if none answers.
			i := slices.IndexFunc(d.NextServers, func(s routing.GUID) bool {
				return p.w.Passes(from, linkstate.GUID(s)) && (via.IsZero() || p.w.Works(via))
			})
			passed := i >= 0
			if passed {
				next := linkstate.GUID(d.NextServers[i])
				p.w.Note("message %d goes from %s to %s", m.id, sim.Label(from), sim.Label(next))
				p.arrive(m, next)
			} else {
				m.hops--
			}
			if !via.IsZero() {
				p.w.Tell(from, via, passed)
			}
		})
	case routing.Loop:
		m.reported = d.Reason
	case routing.Unreachable:
	default:
		p.w.Break("message %d to %s at %s: %s, %s", m.id, sim.Label(m.home), sim.Label(m.at), d.Kind, d.Reason)
	}
}

// routes is the table by which a server routes now; nil while it does not run.
func (p *post) routes(server linkstate.GUID) *routing.Table {
	members, table, runs := p.w.Knows(server)
	if !runs {
		return nil
	}
	s := p.maps[server]
	if s == nil || s.table != table || s.members != &members.Servers[0] {
		s = &seen{members: &members.Servers[0], table: table}
		s.routes = routing.Build(topo.Build(p.configuration(members), table, [16]byte(server), 1))
		p.maps[server] = s
	}
	return s.routes
}

// configuration writes what link state knows of the directory as the directory
// would have it.
func (p *post) configuration(m linkstate.Members) *directory.Configuration {
	if c := p.confs[&m.Servers[0]]; c != nil {
		return c
	}
	var objects []*directoryv1.Object
	add := func(g linkstate.GUID, o *directoryv1.Object) {
		o.Metadata = &directoryv1.Metadata{Guid: g.String(), Name: sim.Label(g)}
		objects = append(objects, o)
	}
	known := make(map[linkstate.GUID]bool)
	for _, s := range m.Servers {
		if !known[s.Group] {
			known[s.Group] = true
			add(s.Group, &directoryv1.Object{Spec: &directoryv1.Object_RoutingGroup{RoutingGroup: &directoryv1.RoutingGroup{}}})
		}
		add(s.Server, &directoryv1.Object{Spec: &directoryv1.Object_Server{Server: &directoryv1.Server{
			RoutingGroup: sim.Label(s.Group), Fqdn: sim.Label(s.Server) + ".example.test",
		}}})
	}
	groupOf := make(map[linkstate.GUID]linkstate.GUID)
	for _, s := range m.Servers {
		groupOf[s.Server] = s.Group
	}
	labels := func(servers []linkstate.GUID) (names []string) {
		for _, s := range servers {
			names = append(names, sim.Label(s))
		}
		return names
	}
	for _, c := range m.Connectors {
		target := linkstate.GUID{}
		for _, r := range c.Remote {
			target = p.groups[r]
		}
		if target.IsZero() {
			continue // leads outside
		}
		add(c.GUID, &directoryv1.Object{Spec: &directoryv1.Object_RoutingGroupConnector{RoutingGroupConnector: &directoryv1.RoutingGroupConnector{
			SourceGroup: sim.Label(c.Group), TargetGroup: sim.Label(target), Cost: 1 + int32(c.GUID[0])%3,
			LocalBridgeheads: labels(c.Local), RemoteBridgeheads: labels(c.Remote),
		}}})
	}
	conf, err := directory.NewConfiguration(1, objects)
	if err != nil {
		panic(fmt.Sprintf("the simulated directory is not one: %v", err))
	}
	p.confs[&m.Servers[0]] = conf
	return conf
}
