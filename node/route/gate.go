package route

import (
	"slices"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// gate is when a connector may be used, in the form that hops carry.
type gate struct {
	usual, oversize *mail.Timetable
	threshold       int64 // octets; 0: nothing is oversize
	remote          bool
}

func newGate(o directory.Opening) gate {
	return gate{usual: timetable(o.Week), oversize: timetable(o.Oversize), threshold: o.Threshold, remote: o.Remote}
}

func timetable(w *directory.Week) *mail.Timetable {
	if w == nil {
		return nil
	}
	return &mail.Timetable{Name: w.Name, Open: w.Open, Location: w.Location}
}

// gates are those of all connectors.
func gates(conf *directory.Configuration) map[mail.GUID]gate {
	all := make(map[mail.GUID]gate)
	add := func(g directory.GUID) {
		if o := conf.Opening(g); o.Week != nil || o.Threshold > 0 || o.Remote {
			all[mail.GUID(g)] = newGate(o)
		}
	}
	for _, c := range conf.RoutingGroupConnectors() {
		add(c.GUID)
	}
	for _, c := range conf.SMTPConnectors() {
		add(c.GUID)
	}
	for _, c := range conf.ForeignConnectors() {
		add(c.GUID)
	}
	return all
}

// Gated is Hop with what the connector and the class ask of the channel and of
// the time: hops of which one is shut and the other open are two links.
func (r *Route) Gated(dest mail.Destination, class mail.Class, visited []mail.GUID) mail.Hop {
	h := r.Hop(dest, class, visited)
	switch h.Kind {
	case mail.HopNode, mail.HopSmartHost, mail.HopMX:
		h.Options.RequireTLS = class.RequireTLS
	}
	if h.Connector.IsZero() {
		return h
	}
	g, ok := r.now.Load().gates[h.Connector]
	if !ok {
		return h
	}
	h.Options.Timetable, h.Options.Remote = g.usual, g.remote
	if g.threshold > 0 && class.Size > g.threshold {
		h.Options.Timetable, h.Options.Oversize = g.oversize, true
	}
	return h
}

// Waiting names the connectors that are shut at a time, of those that have a
// schedule or are remote-triggered, by open.
func (r *Route) Waiting(open func(*mail.Timetable) bool) []mail.GUID {
	var list []mail.GUID
	for c, g := range r.now.Load().gates {
		if g.remote || !open(g.usual) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b mail.GUID) int { return slices.Compare(a[:], b[:]) })
	return list
}

// SizeLimits are the sizes in octets that tell messages apart: those of [Route.Limits]
// and from which on messages are oversize; sorted, each once.
func (r *Route) SizeLimits() []int64 {
	v := r.now.Load()
	return v.sizes
}

func sizes(limits []int64, all map[mail.GUID]gate) []int64 {
	out := slices.Clone(limits)
	for _, g := range all {
		if g.threshold > 0 {
			out = append(out, g.threshold)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
