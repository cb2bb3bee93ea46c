package route

import (
	"net"
	"strings"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// Via is the hop straight to an SMTP host ("host:port"), as an administrator sends
// mail around the map. A server of the organisation is met as such: by its
// certificate, and with what travels between servers, so that it knows where the
// message has been.
func (r *Route) Via(host string, class mail.Class) mail.Hop {
	v := r.now.Load()
	h := mail.Hop{Reason: "an administrator sent it there", ByHand: true, TableVersion: v.table.Version()}
	by := v.sender(mail.GUID{})
	by.sends(&h)
	if s, ok := v.serverAt(host); ok {
		h.Kind, h.Name, h.Server, h.Hosts = mail.HopNode, s.Name, mail.GUID(s.GUID), []string{host}
		h.Options.MaxConnections = by.perLink
	} else {
		h.Kind, h.Name, h.Hosts = mail.HopSmartHost, "redirected to "+host, []string{host}
		h.Options = by.options
	}
	h.Options.RequireTLS = class.RequireTLS
	return h
}

// serverAt finds the server whose mail listener has that address.
func (v *view) serverAt(address string) (directory.Server, bool) {
	for _, s := range v.conf.Servers() {
		if strings.EqualFold(directory.SMTPAddress(s.Spec), address) {
			return s, true
		}
	}
	return directory.Server{}, false
}

// Self says whether mail for a host ("host:port") would come back to this server.
func (r *Route) Self(address string) bool {
	v := r.now.Load()
	if s, ok := v.serverAt(address); ok {
		return s.GUID == v.self.GUID
	}
	host, port, err := net.SplitHostPort(address)
	_, own, ownErr := net.SplitHostPort(directory.SMTPAddress(v.self.Spec))
	return err == nil && ownErr == nil && port == own && strings.EqualFold(host, v.self.Spec.GetFqdn())
}
