package topo

import (
	"slices"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Follower makes one map after another. Of a change of link state alone it makes anew
// only the servers whose records changed and the connectors that they are
// bridgeheads of; the rest is shared with the map before. It is not safe for
// concurrent use; its maps are, as none of them is changed. The zero value has no
// map yet.
type Follower struct {
	conf  *directory.Configuration
	table *linkstate.Table
	top   routing.Topology
}

// Next is what [Build] would make.
func (f *Follower) Next(conf *directory.Configuration, table *linkstate.Table, self mail.GUID, version uint64) routing.Topology {
	if f.conf != conf || f.top.Self != routing.GUID(self) || (f.table.Len() > 1) != (table.Len() > 1) {
		f.top = Build(conf, table, self, version)
	} else {
		f.top = f.follow(table, version)
	}
	f.conf, f.table = conf, table
	return f.top
}

func (f *Follower) follow(table *linkstate.Table, version uint64) routing.Topology {
	top := f.top
	top.Version = version
	changed := make(map[routing.GUID]bool)
	for i := range top.Servers {
		if g := linkstate.GUID(top.Servers[i].GUID); f.table.Get(g) != table.Get(g) {
			changed[routing.GUID(g)] = true
		}
	}
	if len(changed) == 0 {
		return top
	}
	b := builder{conf: f.conf, table: table}
	top.Servers = slices.Clone(top.Servers)
	for i := range top.Servers {
		if s, ok := f.conf.ServerByGUID(directory.GUID(top.Servers[i].GUID)); ok && changed[top.Servers[i].GUID] {
			top.Servers[i] = b.server(s)
		}
	}
	top.Connectors = slices.Clone(top.Connectors)
	for i := range top.Connectors {
		c := &top.Connectors[i]
		own := false // c.Bridgeheads is not shared any more
		for j := range c.Bridgeheads {
			if server := c.Bridgeheads[j].Server; changed[server] {
				if !own {
					c.Bridgeheads, own = slices.Clone(c.Bridgeheads), true
				}
				c.Bridgeheads[j] = b.bridgehead(directory.GUID(c.GUID), directory.GUID(server))
			}
		}
	}
	return top
}
