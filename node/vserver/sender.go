package vserver

import (
	"strings"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/directory"
)

// senderFilter holds the senders that are refused: keys of addresses, and
// "@domain".
type senderFilter map[string]bool

func newSenderFilter(conf *directory.Configuration) senderFilter {
	var f senderFilter
	for _, m := range conf.MessageFilters() {
		for _, s := range m.Spec.GetSenders() {
			if f == nil {
				f = senderFilter{}
			}
			if domain, ok := strings.CutPrefix(s, "@"); ok {
				f["@"+directory.DomainKey(domain)] = true
			} else {
				f[directory.AddressKey(s)] = true
			}
		}
	}
	return f
}

func (f senderFilter) refuses(a mail.Address) bool {
	return len(f) > 0 && (f[a.Key()] || f["@"+mail.DomainKey(a.Domain)])
}

// maySendAs says whether an account may use the address as sender. Reports to
// nobody are always allowed.
func maySendAs(account directory.Account, a mail.Address) bool {
	list := account.Spec.GetSendAs()
	if len(list) == 0 || a.IsZero() {
		return true
	}
	for _, s := range list {
		if directory.AddressKey(s) == a.Key() {
			return true
		}
	}
	return false
}
