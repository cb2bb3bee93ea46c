package topo

import (
	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Members tells link state who exists: the members, the organisation's timings,
// and the "host:port" at which each server takes gossip.
//
// Disabled connectors are among them. No mail uses them, but news does: groups
// joined by nothing else must not become islands of link state.
func Members(conf *directory.Configuration, self mail.GUID) (linkstate.Members, linkstate.Timings, map[mail.GUID]string) {
	m := linkstate.Members{Self: linkstate.GUID(self)}
	addresses := make(map[mail.GUID]string, len(conf.Servers()))
	for _, s := range conf.Servers() {
		g, _ := conf.Group(s.Spec.GetRoutingGroup())
		m.Servers = append(m.Servers, linkstate.Member{Server: linkstate.GUID(s.GUID), Group: linkstate.GUID(g.GUID)})
		addresses[mail.GUID(s.GUID)] = directory.GossipAddress(s.Spec)
	}
	ends := ends{conf: conf, in: inGroups(conf)}
	for _, c := range conf.RoutingGroupConnectors() {
		s := c.Spec
		info := ends.connector(c.GUID, s.GetSourceGroup(), s.GetLocalBridgeheads(), s.GetDetection())
		info.Remote = ends.servers(s.GetRemoteBridgeheads(), s.GetTargetGroup())
		m.Connectors = append(m.Connectors, info)
	}
	for _, c := range conf.SMTPConnectors() {
		m.Connectors = append(m.Connectors, ends.connector(c.GUID, c.Spec.GetRoutingGroup(), c.Spec.GetLocalBridgeheads(), c.Spec.GetDetection()))
	}
	for _, c := range conf.ForeignConnectors() {
		m.Connectors = append(m.Connectors, ends.connector(c.GUID, c.Spec.GetRoutingGroup(), c.Spec.GetLocalBridgeheads(), c.Spec.GetDetection()))
	}
	return m, timings(conf.Organization().Spec), addresses
}

type ends struct {
	conf *directory.Configuration
	in   map[string][]directory.Server
}

func (e *ends) servers(names []string, group string) []linkstate.GUID {
	var list []linkstate.GUID
	for _, s := range members(e.conf, e.in, names, group) {
		list = append(list, linkstate.GUID(s.GUID))
	}
	return list
}

func (e *ends) connector(guid directory.GUID, group string, local []string, d *directoryv1.Detection) linkstate.ConnectorInfo {
	g, _ := e.conf.Group(group)
	return linkstate.ConnectorInfo{
		GUID:  linkstate.GUID(guid),
		Group: linkstate.GUID(g.GUID), Local: e.servers(local, group),
		Detection: detection(d),
	}
}

// detection is written out with its defaults: a retry count of 0 means none,
// where the zero value of all fields would mean the default.
func detection(d *directoryv1.Detection) linkstate.Detection {
	t := directory.Detection(d)
	return linkstate.Detection{
		GlitchRetries: t.GlitchRetries, GlitchInterval: t.GlitchInterval, ProbeInterval: t.ProbeInterval,
		IdleProbe:            t.IdleProbeInterval,
		SuppressStateChanges: t.SuppressStateChanges,
		Damping: linkstate.Damping{
			Disabled: t.Damping.Disabled,
			Penalty:  float64(t.Damping.Penalty), Suppress: float64(t.Damping.Suppress), Reuse: float64(t.Damping.Reuse),
			HalfLife: t.Damping.HalfLife, Maximum: t.Damping.Maximum,
		},
	}
}

func timings(o *directoryv1.Organization) linkstate.Timings {
	t := directory.LinkState(o)
	return linkstate.Timings{
		Keepalive: t.Keepalive, SuspectAfter: t.SuspectAfter, RefuteWithin: t.RefuteWithin, AntiEntropy: t.AntiEntropy,
		DivergedAfter: t.DivergedAfter,
	}
}
