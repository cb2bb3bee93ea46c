package vserver

import (
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// relayRules say who may send to domains that are not ours (the book, chapter 2,
// "Relay Restrictions"). By default only authenticated users may.
type relayRules struct {
	list      clientList
	allExcept bool
	usersMay  bool
	// anyTo are patterns of domains that anybody may relay to, by connectors
	// with allow_relay: "*", "*.example.com" or "example.com", as DomainKey
	// writes domains.
	anyTo []string
}

func newRelayRules(p *directoryv1.RelayPolicy, conf *directory.Configuration) relayRules {
	r := relayRules{
		// The directory refuses all_except without force; should one stand there
		// all the same, an open relay is the worse mistake.
		allExcept: p.GetAllExcept() && p.GetForce(),
		usersMay:  !p.GetAuthenticatedMayNot(),
	}
	// all_except without force has no clients that may relay either.
	if p.GetAllExcept() == r.allExcept {
		r.list = newClientList(p.GetNetworks(), p.GetDomains())
	}
	for _, c := range conf.SMTPConnectors() {
		if !c.Spec.GetAllowRelay() || c.Spec.GetDisabled() {
			continue
		}
		for _, s := range c.Spec.GetAddressSpaces() {
			if t := s.GetType(); t != "" && !strings.EqualFold(t, directory.TypeSMTP) {
				continue
			}
			if pattern := spacePattern(s.GetPattern()); pattern != "*" || c.Spec.GetForceOpenRelay() {
				r.anyTo = append(r.anyTo, pattern)
			}
		}
	}
	return r
}

// spacePattern reads an address space up to its first wildcard from the right,
// as routing does: "abc.*.example.com" is "*.example.com".
func spacePattern(s string) string {
	i := strings.LastIndexByte(s, '*')
	if i < 0 {
		return directory.DomainKey(s)
	}
	suffix := strings.TrimPrefix(s[i+1:], ".")
	if suffix == "" {
		return "*"
	}
	return "*." + directory.DomainKey(suffix)
}

// trusts says whether the client is one that may relay by where it is. With an
// error nobody knows, and it may not.
func (r *relayRules) trusts(c client) (bool, error) {
	listed, err := r.list.has(c)
	if err != nil {
		return false, err
	}
	return listed != r.allExcept, nil
}

// allows says whether the client may relay to a domain that is not ours.
func (r *relayRules) allows(c client, domain string) (bool, error) {
	if c.node || c.account != "" && r.usersMay {
		return true, nil
	}
	domain = directory.DomainKey(domain)
	for _, p := range r.anyTo {
		suffix, wild := strings.CutPrefix(p, "*")
		if domain == p || wild && strings.HasSuffix(domain, suffix) {
			return true, nil
		}
	}
	return r.trusts(c)
}
