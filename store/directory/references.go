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
	switch s := o.GetSpec().(type) {
	case *directoryv1.Object_Server:
		add(KindRoutingGroup, s.Server.GetRoutingGroup())
	case *directoryv1.Object_VirtualServer:
		add(KindServer, s.VirtualServer.GetServer())
	case *directoryv1.Object_RoutingGroupConnector:
		r := s.RoutingGroupConnector
		add(KindRoutingGroup, r.GetSourceGroup(), r.GetTargetGroup())
		add(KindServer, r.GetLocalBridgeheads()...)
		add(KindServer, r.GetRemoteBridgeheads()...)
	case *directoryv1.Object_SmtpConnector:
		add(KindRoutingGroup, s.SmtpConnector.GetRoutingGroup())
		add(KindServer, s.SmtpConnector.GetLocalBridgeheads()...)
		for _, g := range s.SmtpConnector.GetConnectedGroups() {
			add(KindRoutingGroup, g.GetGroup())
		}
	case *directoryv1.Object_ForeignConnector:
		add(KindRoutingGroup, s.ForeignConnector.GetRoutingGroup())
		add(KindServer, s.ForeignConnector.GetLocalBridgeheads()...)
	case *directoryv1.Object_Recipient:
		add(KindServer, s.Recipient.GetMailbox().GetHomeServer())
		add(KindRecipient, s.Recipient.GetGroup().GetMembers()...)
	}
	return keys
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
