package route

import (
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// unresolved is the hop for recipients that are ours alone and that the
// directory does not know (the book, chapter 5, "Forward all mail with
// unresolved recipients to host"): no connector leads there, since every one
// that matches would lead back.
func (v *view) unresolved(taker mail.GUID) mail.Hop {
	host := v.conf.Undeliverable(v.self.Name, directory.GUID(taker)).UnresolvedHost
	by := v.sender(mail.GUID{})
	h := mail.Hop{TableVersion: v.table.Version(), Options: by.options}
	if host == "" { // the setting went while the message waited
		h.Kind, h.Name, h.Status = mail.HopFail, "no route", mail.StatusUnknownUser
		h.Reason = "the recipient is not in the directory, and the virtual server that took the message names no unresolvedHost any more"
		return h
	}
	by.sends(&h)
	h.Kind, h.Hosts, h.Name = mail.HopSmartHost, []string{host}, "smart host "+host
	h.Reason = "the recipient is not in the directory; unresolvedHost takes such mail"
	return h
}
