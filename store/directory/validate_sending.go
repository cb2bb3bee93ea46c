package directory

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// sending warns of settings for sending that nobody uses: a server sends as one of its
// virtual servers ([Configuration.SendsAs]).
func (c *checker) sending() {
	of := map[string][]*Object{} // by server
	for _, o := range c.byKind[KindVirtualServer] {
		server := o.GetVirtualServer().GetServer()
		of[server] = append(of[server], o)
	}
	for _, list := range of {
		slices.SortFunc(list, func(a, b *Object) int { return cmp.Compare(a.GetMetadata().GetName(), b.GetMetadata().GetName()) })
		used := list[sender(list, (*Object).GetVirtualServer)]
		for _, o := range list {
			c.at = KeyOf(o)
			c.sendsAs(o.GetVirtualServer(), used)
		}
	}
}

func (c *checker) sendsAs(v *directoryv1.VirtualServer, sender *Object) {
	used := sender.GetVirtualServer()
	for _, f := range []struct {
		field  string
		unused bool
	}{
		{"outbound", v.GetOutbound() != nil && !proto.Equal(v.GetOutbound(), used.GetOutbound())},
		{"retry", v.GetRetry() != nil && !proto.Equal(v.GetRetry(), used.GetRetry())},
		{"smartHost", v.GetSmartHost() != "" && v.GetSmartHost() != used.GetSmartHost()},
	} {
		if f.unused {
			c.warnf(f.field, "is not used: %s sends as VirtualServer/%s, its first by name without connectorsOnly; set it there", v.GetServer(), sender.GetMetadata().GetName())
		}
	}
}
