package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/topo"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// effectsListed bounds an answer unless the asker says otherwise: a link in the
// middle of a large organisation moves a million pairs.
const effectsListed = 1000

// WhatIf compares the map with what it would be, and weighs the difference with
// what the nodes sent.
func (p *Pipeline) WhatIf(req *topologyv1.WhatIfRequest, of []*topologyv1.TrafficResponse) (*topologyv1.WhatIfResponse, error) {
	suppose, err := supposition(req)
	if err != nil {
		return nil, err
	}
	class := mail.Class{Size: req.GetSize(), System: req.GetSystem()}
	if class.Priority, err = priority(req.GetPriority()); err != nil {
		return nil, err
	}
	if class.Sender, _, err = p.sender(req.GetSender()); err != nil {
		return nil, err
	}
	conf, table := p.cfg.Catalog.Config(), p.links.Table()
	before := topo.Build(conf, table, p.self, 0)
	after := before
	if len(req.GetObjects()) > 0 {
		objs, err := directory.Overlay(p.cfg.Catalog.Configured(), req.GetObjects())
		if err != nil {
			return nil, err
		}
		next, err := directory.NewConfiguration(conf.Revision(), objs)
		if err != nil {
			return nil, err
		}
		after = topo.Build(next, table, p.self, 0)
		obey(&after, req.GetObjects())
	}
	if after, err = suppose.Apply(after); err != nil {
		return nil, err
	}
	limit := int(req.GetLimit())
	if limit <= 0 {
		limit = effectsListed
	}
	out := effects(routing.WhatIf(before, after, route.Plain(class)), namesOf(&before, &after), offeredBy(of), limit)
	out.Node, out.TableVersion = p.cfg.Self.Name, p.routes.Version()
	return out, nil
}

// obey gives servers the drain state that their objects would tell them: what they
// say of themselves now follows their object.
func obey(top *routing.Topology, objs []*directoryv1.Object) {
	for _, o := range objs {
		i := slices.IndexFunc(top.Servers, func(s routing.Server) bool { return s.Name == o.GetMetadata().GetName() })
		if o.GetServer() == nil || i < 0 {
			continue
		}
		top.Servers[i].Drain = routing.DrainNone
		switch o.GetServer().GetDrain() {
		case directoryv1.DrainMode_DRAIN_MODE_SOFT:
			top.Servers[i].Drain = routing.DrainSoft
		case directoryv1.DrainMode_DRAIN_MODE_HARD:
			top.Servers[i].Drain = routing.DrainHard
		}
	}
}

func supposition(req *topologyv1.WhatIfRequest) (route.Supposition, error) {
	s := route.Supposition{Down: req.GetDown(), Costs: make(map[string]int), Drains: make(map[string]routing.Drain)}
	for _, c := range req.GetCosts() {
		s.Costs[c.GetConnector()] = int(c.GetCost())
	}
	for _, d := range req.GetDrains() {
		switch strings.ToLower(d.GetMode()) {
		case "", "hard":
			s.Drains[d.GetName()] = routing.DrainHard
		case "soft":
			s.Drains[d.GetName()] = routing.DrainSoft
		default:
			return s, fmt.Errorf("drain %s: mode %q must be soft or hard", d.GetName(), d.GetMode())
		}
	}
	return s, nil
}

// names finds what objects of two maps are called.
type names map[routing.GUID]string

func namesOf(maps ...*routing.Topology) names {
	n := make(names)
	for _, top := range maps {
		for _, g := range top.Groups {
			n[g.GUID] = g.Name
		}
		for i := range top.Servers {
			n[top.Servers[i].GUID] = top.Servers[i].Name
		}
		for i := range top.Connectors {
			n[top.Connectors[i].GUID] = top.Connectors[i].Name
		}
	}
	return n
}

func (n names) of(list []routing.GUID) []string {
	out := make([]string, len(list))
	for i, g := range list {
		out[i] = n[g]
	}
	return out
}

func effects(e routing.Effects, n names, load offered, limit int) *topologyv1.WhatIfResponse {
	out := &topologyv1.WhatIfResponse{MovedWays: int32(len(e.Ways)), MovedSpaces: int32(len(e.Spaces))}
	for _, m := range e.Ways {
		w := load.toGroup(n[m.From], n[m.To])
		load.move(w, n.of(m.Before.Over), n.of(m.After.Over))
		if len(out.Ways) < limit {
			out.Ways = append(out.Ways, &topologyv1.WayChange{
				From: n[m.From], To: n[m.To], Before: n.way(m.Before), After: n.way(m.After), Messages: w.messages, Bytes: w.bytes,
			})
		}
	}
	for _, m := range e.Spaces {
		space := m.Type + ":" + m.Pattern
		w := load.toSpace(n[m.From], space)
		load.move(w, n.overAll(m.Before), n.overAll(m.After))
		if len(out.Spaces) < limit {
			out.Spaces = append(out.Spaces, &topologyv1.SpaceChange{
				From: n[m.From], AddressSpace: space, Before: n.exit(m.Before), After: n.exit(m.After), Messages: w.messages, Bytes: w.bytes,
			})
		}
	}
	for _, c := range e.CutOff {
		out.CutOff = append(out.CutOff, &topologyv1.CutOff{Group: n[c.Group], Inbound: c.In, Outbound: c.Out})
	}
	for _, x := range e.Takeovers {
		out.Takeovers = append(out.Takeovers, &topologyv1.Takeover{
			Connector: n[x.Connector], Remote: x.Remote, Before: n.of(x.Before), After: n.of(x.After),
		})
	}
	out.Messages, out.Bytes, out.Loads = load.moved.messages, load.moved.bytes, load.changes()
	return out
}

// overAll are all connectors on a way out, the last one included.
func (n names) overAll(e routing.Exit) []string {
	over := n.of(e.Over)
	if !e.Connector.IsZero() {
		over = append(over, n[e.Connector])
	}
	return over
}

func (n names) way(w routing.Way) *topologyv1.Way {
	return &topologyv1.Way{Cost: int32(w.Cost), Path: n.of(w.Path), HeldBy: n[w.Held], Connectors: n.of(w.Over)}
}

func (n names) exit(e routing.Exit) *topologyv1.Exit {
	out := &topologyv1.Exit{Result: e.Kind.String(), Connector: n[e.Connector], Cost: int32(e.Cost), Path: n.of(e.Path), Reason: e.Reason, Connectors: n.of(e.Over)}
	if !e.Held.IsZero() && out.Reason == "" {
		out.Reason = "held by " + n[e.Held]
	}
	return out
}
