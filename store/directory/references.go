package directory

import (
	"cmp"
	"slices"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// References are the objects that o names. A recipient's forwarding and target
// addresses are addresses, not references.
func References(o *directoryv1.Object) []Key {
	var keys []Key
	add := func(kind string, names ...string) {
		for _, n := range names {
			if n != "" {
				keys = append(keys, Key{kind, n})
			}
		}
	}
	schedules := func(g gated) {
		for _, n := range [...]string{g.GetSchedule(), g.GetOversizeSchedule()} {
			if !isScheduleWord(n) {
				add(KindSchedule, n)
			}
		}
	}
	switch s := o.GetSpec().(type) {
	case *directoryv1.Object_Server:
		add(KindRoutingGroup, s.Server.GetRoutingGroup())
	case *directoryv1.Object_VirtualServer:
		add(KindServer, s.VirtualServer.GetServer())
		add(KindMessageFilter, s.VirtualServer.GetFiltering().GetFilters()...)
	case *directoryv1.Object_RoutingGroupConnector:
		r := s.RoutingGroupConnector
		add(KindRoutingGroup, r.GetSourceGroup(), r.GetTargetGroup())
		add(KindServer, r.GetLocalBridgeheads()...)
		add(KindServer, r.GetRemoteBridgeheads()...)
		schedules(r)
		add(KindServer, weighted(r.GetBridgeheadWeights())...)
		add(KindVirtualServer, sendersBy(r)...)
	case *directoryv1.Object_SmtpConnector:
		add(KindRoutingGroup, s.SmtpConnector.GetRoutingGroup())
		add(KindServer, s.SmtpConnector.GetLocalBridgeheads()...)
		add(KindAccount, s.SmtpConnector.GetTriggerAccounts()...)
		schedules(s.SmtpConnector)
		if q := s.SmtpConnector.GetDequeue(); q != nil {
			add(KindVirtualServer, q.GetVirtualServer())
			if !isScheduleWord(q.GetSchedule()) {
				add(KindSchedule, q.GetSchedule())
			}
		}
		for _, g := range s.SmtpConnector.GetConnectedGroups() {
			add(KindRoutingGroup, g.GetGroup())
		}
		add(KindServer, weighted(s.SmtpConnector.GetBridgeheadWeights())...)
		add(KindVirtualServer, sendersBy(s.SmtpConnector)...)
	case *directoryv1.Object_ForeignConnector:
		add(KindRoutingGroup, s.ForeignConnector.GetRoutingGroup())
		add(KindServer, s.ForeignConnector.GetLocalBridgeheads()...)
		schedules(s.ForeignConnector)
		add(KindServer, weighted(s.ForeignConnector.GetBridgeheadWeights())...)
		add(KindVirtualServer, sendersBy(s.ForeignConnector)...)
	case *directoryv1.Object_MailRule:
		add(KindServer, s.MailRule.GetServers()...)
	case *directoryv1.Object_Recipient:
		add(KindServer, s.Recipient.GetMailbox().GetHomeServer())
		add(KindRecipient, s.Recipient.GetGroup().GetMembers()...)
	}
	add(KindRecipient, SendersNamed(o)...)
	return keys
}

func weighted(list []*directoryv1.BridgeheadWeight) []string {
	names := make([]string, len(list))
	for i, w := range list {
		names[i] = w.GetServer()
	}
	return names
}

func sendersBy(h headed) []string {
	list := h.GetBridgeheadVirtualServers()
	names := make([]string, len(list))
	for i, b := range list {
		names[i] = b.GetVirtualServer()
	}
	return names
}

// referrers are the objects among all that name key, sorted.
func referrers(key Key, all map[Key]*directoryv1.Object) []Key {
	var keys []Key
	for k, o := range all {
		if k != key && slices.Contains(References(o), key) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// listed names at most eight keys.
func listed(keys []Key) string {
	var names []string
	for i, k := range keys {
		if i == 8 {
			names = append(names, "and more")
			break
		}
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}
