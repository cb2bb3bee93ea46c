package vserver

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// recipientRules are the recipient filter.
type recipientRules struct {
	refused addressSet
	// unknown recipients of domains that are ours alone are let in: another host
	// takes them, or a report tells their senders later.
	unknown bool
	tarpit  time.Duration
}

func newRecipientRules(v *directoryv1.VirtualServer) recipientRules {
	f := v.GetRecipientFilter()
	return recipientRules{
		refused: newAddressSet(f.GetRefused()),
		unknown: f.GetAcceptUnknown() || v.GetUnresolvedHost() != "",
		tarpit:  f.GetTarpit().AsDuration(),
	}
}

// accept decides on one recipient; nil means yes. The order matters: what is
// ours needs no permission, what is not ours is refused before anybody learns
// whether it exists.
func (r *rules) accept(dir Directory, c client, a mail.Address) error {
	conf := dir.Config()
	ours, shared := conf.Domain(a.Domain)
	var allowed bool
	var unsure error
	switch {
	case a.Domain == "":
		return nil // the engine lets only postmaster come without a domain
	case c.stranger() && r.recipient.refused.has(a):
		return recipientDenied(a)
	case shared:
		return nil
	case !ours && strings.EqualFold(a.Local, "postmaster") && isServer(conf, a.Domain):
		return nil // RFC 5321 section 4.5.1: where reports come from, somebody answers
	case !ours:
		if allowed, unsure = r.relay.allows(c, a.Domain); allowed {
			return nil
		}
	}
	o, found, err := dir.Lookup(a.Key())
	if err != nil {
		return directoryDown(err)
	}
	if ours {
		if found || r.recipient.unknown || strings.EqualFold(a.Local, "postmaster") {
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
	if unsure != nil {
		return hostUnknown(451, unsure)
	}
	return relayDenied(a)
}

// isOwnLiteral says whether a domain is the address that the client has connected to:
// a host must know itself by it (RFC 1123 section 5.2.17). Mail for it is for the first
// domain that is ours alone, as mail for postmaster without a domain is.
func (s *session) isOwnLiteral(domain string) bool {
	if !strings.HasPrefix(domain, "[") || s.v.deps.Directory.Config().FirstDomain() == "" {
		return false
	}
	own, err := netip.ParseAddrPort(s.conn.LocalAddr().String())
	if err != nil {
		return false
	}
	text := strings.ToLower(strings.Trim(domain, "[]"))
	ip, err := netip.ParseAddr(strings.TrimPrefix(text, "ipv6:"))
	return err == nil && ip.Unmap() == own.Addr().Unmap().WithZone("")
}

func isServer(conf *directory.Configuration, domain string) bool {
	_, ok := conf.ServerByDomain(domain)
	return ok
}
