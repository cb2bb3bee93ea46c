package route

import (
	"slices"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/routing"
	"github.com/postroad/postroad/store/directory"
)

// Turn says which bridgehead of a connector does what only one of them shall do: the
// first one that lives and says that the connector works; else the first that lives.
// All nodes that know the same agree. ok is false if there is none, or if the
// connector is not to be used.
func (r *Route) Turn(connector mail.GUID) (server mail.GUID, ok bool) {
	v := r.now.Load()
	i := slices.IndexFunc(v.top.Connectors, func(c routing.Connector) bool { return c.GUID == routing.GUID(connector) })
	if i < 0 || v.top.Connectors[i].Disabled || v.top.Connectors[i].Drain == routing.DrainHard {
		return mail.GUID{}, false
	}
	for _, b := range v.top.Connectors[i].Bridgeheads {
		if _, down := v.down[b.Server]; down || v.drained(b.Server) {
			continue
		}
		if b.Up {
			return mail.GUID(b.Server), true
		}
		if !ok {
			server, ok = mail.GUID(b.Server), true
		}
	}
	return server, ok
}

func (v *view) drained(server routing.GUID) bool {
	return slices.ContainsFunc(v.top.Servers, func(s routing.Server) bool { return s.GUID == server && s.Drain == routing.DrainHard })
}

// Provider is the hop to the host from which a connector fetches mail.
func (r *Route) Provider(c directory.SMTPConnector, d directory.Dequeuing) mail.Hop {
	v := r.now.Load()
	by := v.sender(mail.GUID(c.GUID))
	h := mail.Hop{
		Kind: mail.HopSmartHost, Name: "provider " + d.Host, Hosts: []string{d.Host},
		Connector: mail.GUID(c.GUID), ConnectorName: c.Name, TableVersion: v.table.Version(), Options: by.smtpOptions(c.Spec),
	}
	by.sends(&h)
	h.Options.Account, h.Options.PasswordFile = d.Credentials.GetUser(), d.Credentials.GetPasswordFile()
	return h
}
