package vserver

import (
	"context"
	"strings"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// addressSet holds addresses, by their keys, and whole domains, as "@domain".
type addressSet map[string]bool

func newAddressSet(list []string) addressSet {
	if len(list) == 0 {
		return nil
	}
	s := make(addressSet, len(list))
	for _, a := range list {
		if domain, ok := strings.CutPrefix(a, "@"); ok {
			s["@"+directory.DomainKey(domain)] = true
		} else {
			s[directory.AddressKey(a)] = true
		}
	}
	return s
}

func (s addressSet) has(a mail.Address) bool {
	return len(s) > 0 && !a.IsZero() && (s[a.Key()] || s["@"+mail.DomainKey(a.Domain)])
}

// messageFilter is one MessageFilter of the directory.
type messageFilter struct {
	name    string
	senders addressSet
	blank   bool
	action  directoryv1.FilterAction
	archive bool
}

// filters are the message filters of a virtual server (the book, chapter 5,
// "Setting Global Message Filters"). Unlike the original's they apply unless
// somebody says otherwise: who writes a filter means it.
type filters struct {
	list []messageFilter
	// unfiltered are the bindings at which none applies.
	unfiltered map[string]bool
}

func newFilters(u *directoryv1.FilterUse, conf *directory.Configuration) filters {
	f := filters{unfiltered: map[string]bool{}}
	if u.GetDisabled() {
		return f
	}
	used := map[string]bool{}
	for _, name := range u.GetFilters() {
		used[name] = true
	}
	for _, b := range u.GetUnfilteredBindings() {
		f.unfiltered[b] = true
	}
	for _, m := range conf.MessageFilters() {
		if len(used) > 0 && !used[m.Name] {
			continue
		}
		f.list = append(f.list, messageFilter{
			name: m.Name, senders: newAddressSet(m.Spec.GetSenders()), blank: m.Spec.GetBlankSenders(),
			action: m.Spec.GetAction(), archive: m.Spec.GetArchive(),
		})
	}
	return f
}

// match is the first filter, by name, that a sender is caught by.
func (f *filters) match(sender mail.Address, binding string) *messageFilter {
	if f.unfiltered[binding] {
		return nil
	}
	for i := range f.list {
		if m := &f.list[i]; m.senders.has(sender) || m.blank && sender.IsZero() {
			return m
		}
	}
	return nil
}

// verdict is what the client is told; nil lets it believe that all is well.
func (m *messageFilter) verdict() error {
	switch m.action {
	case directoryv1.FilterAction_FILTER_ACTION_SILENT:
		return nil
	case directoryv1.FilterAction_FILTER_ACTION_DISCONNECT:
		return senderDenied(true)
	}
	return senderDenied(false)
}

// takes says whether the message is taken to its end first.
func (m *messageFilter) takes() bool { return m.archive || m.verdict() == nil }

// senderRules say under whose address a client may send.
type senderRules struct {
	refuseOwn bool // strangers with own domains
	ownFrom   clientList
	ownOnly   bool // accounts with the addresses of others
	nullMX    bool // strangers from domains that take no mail
}

func newSenderRules(p *directoryv1.SenderPolicy) senderRules {
	return senderRules{
		refuseOwn: p.GetRefuseOwnDomains(),
		ownFrom:   newClientList(p.GetOwnDomainsFrom(), nil),
		ownOnly:   p.GetOwnAddressesOnly(),
		nullMX:    p.GetRefuseNullMx(),
	}
}

// forged says whether a stranger claims to be one of us (the book, chapter 6,
// "Implementing Sender Filtering for Your SMTP Mail Domain").
func (r *rules) forged(conf *directory.Configuration, c client, sender mail.Address) bool {
	if !r.sender.refuseOwn || sender.IsZero() {
		return false
	}
	if ours, shared := conf.Domain(sender.Domain); !ours || shared {
		return false // in a shared domain the other system's users are outside
	}
	if listed, _ := r.sender.ownFrom.has(c); listed {
		return false
	}
	trusted, _ := r.relay.trusts(c)
	return !trusted
}

// unreachable says whether a stranger's sender is in a domain that takes no mail, so
// that no report could reach him (RFC 7505 section 4.2). While DNS is silent nobody is.
func (r *rules) unreachable(ctx context.Context, dns Resolver, c client, sender mail.Address) bool {
	if !r.sender.nullMX || sender.IsZero() || dns == nil {
		return false
	}
	if trusted, _ := r.relay.trusts(c); trusted {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	null, err := dns.NullMX(ctx, sender.Domain)
	return err == nil && null
}

// maySendAs says whether a user may use an address as sender. Reports, which
// have none, are always allowed. An error means that nobody knows now.
func (r *rules) maySendAs(dir Directory, u user, a mail.Address) (bool, error) {
	if a.IsZero() {
		return true, nil
	}
	if len(u.sendAs) > 0 {
		return newAddressSet(u.sendAs).has(a), nil
	}
	if !r.sender.ownOnly {
		return true, nil
	}
	o, found, err := dir.Lookup(a.Key())
	if err != nil || !found {
		return false, err
	}
	return u.owns(o), nil
}

// user is somebody who has authenticated: an Account, or somebody whom another
// source of accounts vouches for.
type user struct {
	name      string
	recipient string
	sendAs    []string
}

// owns says whether a recipient is the user's own: the one that the account
// names, or the one that has the account's name as name or address.
func (u user) owns(o *directory.Object) bool {
	if u.recipient != "" {
		return o.GetMetadata().GetName() == u.recipient
	}
	if strings.EqualFold(o.GetMetadata().GetName(), u.name) {
		return true
	}
	key := directory.AddressKey(u.name)
	for _, a := range o.GetRecipient().GetAddresses() {
		if strings.Contains(u.name, "@") && directory.AddressKey(a) == key {
			return true
		}
	}
	return false
}
