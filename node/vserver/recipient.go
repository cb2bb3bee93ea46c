package vserver

import (
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// accept decides on one recipient; nil means yes. The order matters: what is
// ours needs no permission, what is not ours is refused before anybody learns
// whether it exists.
func (r *rules) accept(dir Directory, c client, a mail.Address) error {
	conf := dir.Config()
	ours, shared := conf.Domain(a.Domain)
	switch {
	case a.Domain == "":
		return nil // the engine lets only postmaster come without a domain
	case shared, !ours && r.relay.allows(c, a.Domain):
		return nil
	}
	o, found, err := dir.Lookup(a.Key())
	if err != nil {
		return directoryDown(err)
	}
	if ours {
		if found || strings.EqualFold(a.Local, "postmaster") {
			return nil
		}
		// The node before knew the recipient, by a catalog newer than this one.
		if c.revision > conf.Revision() {
			return catalogBehind(a)
		}
		return unknownUser(a)
	}
	// A contact leads outside: to send to it is to relay.
	if found && o.GetRecipient().GetContact() == nil {
		return nil
	}
	return relayDenied(a)
}
