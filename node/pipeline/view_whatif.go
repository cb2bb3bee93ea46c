package pipeline

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/node/topo"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// effectsListed bounds an answer unless the asker says otherwise: a link in the
// middle of a large organisation moves a million pairs.
const effectsListed = 1000

// History lists what changed this node's table.
func (p *Pipeline) History(limit int) *topologyv1.HistoryResponse {
	out := &topologyv1.HistoryResponse{Node: p.cfg.Self.Name}
	for _, c := range p.history.List(limit) {
		out.Changes = append(out.Changes, &topologyv1.TableChange{
			TableVersion: c.Version, TimeUnixMs: c.Time.UnixMilli(), DirectoryRevision: c.Revision, Triggers: c.Triggers,
			BuildUs: c.Took.Microseconds(), Moved: int32(c.Moved), Destinations: int32(c.Destinations), Examples: c.Examples,
		})
	}
	return out
}

// WhatIf compares the map with what it would be.
func (p *Pipeline) WhatIf(req *topologyv1.WhatIfRequest) (*topologyv1.WhatIfResponse, error) {
	suppose, err := supposition(req)
	if err != nil {
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
	}
	if after, err = suppose.Apply(after); err != nil {
		return nil, err
	}
	limit := int(req.GetLimit())
	if limit <= 0 {
		limit = effectsListed
	}
	out := effects(routing.WhatIf(before, after, nil), namesOf(&before, &after), limit)
	out.Node, out.TableVersion = p.cfg.Self.Name, p.routes.Version()
	return out, nil
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

func effects(e routing.Effects, n names, limit int) *topologyv1.WhatIfResponse {
	out := &topologyv1.WhatIfResponse{MovedWays: int32(len(e.Ways)), MovedSpaces: int32(len(e.Spaces))}
	for _, m := range e.Ways[:min(limit, len(e.Ways))] {
		out.Ways = append(out.Ways, &topologyv1.WayChange{From: n[m.From], To: n[m.To], Before: n.way(m.Before), After: n.way(m.After)})
	}
	for _, m := range e.Spaces[:min(limit, len(e.Spaces))] {
		out.Spaces = append(out.Spaces, &topologyv1.SpaceChange{
			From: n[m.From], AddressSpace: m.Type + ":" + m.Pattern, Before: n.exit(m.Before), After: n.exit(m.After),
		})
	}
	for _, c := range e.CutOff {
		out.CutOff = append(out.CutOff, &topologyv1.CutOff{Group: n[c.Group], Inbound: c.In, Outbound: c.Out})
	}
	return out
}

func (n names) way(w routing.Way) *topologyv1.Way {
	return &topologyv1.Way{Cost: int32(w.Cost), Path: n.of(w.Path), HeldBy: n[w.Held]}
}

func (n names) exit(e routing.Exit) *topologyv1.Exit {
	out := &topologyv1.Exit{Result: e.Kind.String(), Connector: n[e.Connector], Cost: int32(e.Cost), Path: n.of(e.Path), Reason: e.Reason}
	if !e.Held.IsZero() && out.Reason == "" {
		out.Reason = "held by " + n[e.Held]
	}
	return out
}
