package pipeline

import (
	"github.com/postroad/postroad/node/gossip"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// serverName is a server's name for people; the GUID where it has none.
func serverName(conf *directory.Configuration, g mail.GUID) string {
	if s, ok := conf.ServerByGUID(directory.GUID(g)); ok {
		return s.Name
	}
	return g.String()
}

// names are what link state shows, and writes into the log, in place of GUIDs.
func (p *Pipeline) names() gossip.Names {
	conf := p.cfg.Catalog.Config
	return gossip.Names{
		Server:    func(g mail.GUID) string { return serverName(conf(), g) },
		Group:     func(g mail.GUID) string { return groupName(conf(), g) },
		Connector: func(g mail.GUID) string { return connectorName(conf(), g) },
	}
}

func groupName(conf *directory.Configuration, server mail.GUID) string {
	s, _ := conf.ServerByGUID(directory.GUID(server))
	return s.Spec.GetRoutingGroup()
}

func connectorName(conf *directory.Configuration, g mail.GUID) string {
	if n, ok := conf.ConnectorName(directory.GUID(g)); ok {
		return n
	}
	return g.String()
}
