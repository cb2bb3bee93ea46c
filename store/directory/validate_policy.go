package directory

import (
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func (c *checker) policy(p *directoryv1.RecipientPolicy) {
	if len(p.GetDomains()) == 0 {
		c.failf("domains", "are missing; write at least one domain")
	}
	for i, d := range p.GetDomains() {
		at := item("domains", i) + ".domain"
		if d.GetDomain() == "" {
			c.failf(at, "is missing; write the domain")
			continue
		}
		c.hostname(at, d.GetDomain())
		// Mail to x@server.example.com is addressed to the server itself; if the
		// domain is a policy's too, it loops (5.4.8; the book, chapter 7).
		if server, clash := c.fqdns[DomainKey(d.GetDomain())]; clash {
			c.failf(at, "%s is the FQDN of Server/%s, which makes mail loop (5.4.8); rename the server or take the domain out", d.GetDomain(), server)
		}
	}
}

// policyOverlaps finds a domain that two policies call ours alone and shared.
func (c *checker) policyOverlaps() {
	type claim struct {
		by     Key
		shared bool
	}
	claims := map[string]claim{}
	for _, o := range c.byKind[KindRecipientPolicy] {
		c.at = KeyOf(o)
		for i, d := range o.GetRecipientPolicy().GetDomains() {
			key := DomainKey(d.GetDomain())
			other, taken := claims[key]
			switch {
			case taken && other.by == c.at:
				c.failf(item("domains", i), "%s is written twice; remove one", d.GetDomain())
			case taken && other.shared != d.GetShared():
				c.failf(item("domains", i), "%s is shared by one policy and not by %s; make them agree", d.GetDomain(), other.by)
			}
			claims[key] = claim{c.at, d.GetShared()}
		}
	}
}

func (c *checker) filter(f *directoryv1.MessageFilter) {
	c.addressesOrDomains("senders", f.GetSenders())
	if f.GetBlankSenders() {
		c.warnf("blankSenders", "keeps reports from own users too, which RFC 5321 section 6.1 asks to accept")
	}
}

// formatDomains checks that no two message formats are for one domain.
func (c *checker) formatDomains() {
	taken := map[string]string{}
	for _, o := range c.byKind[KindMessageFormat] {
		c.at = KeyOf(o)
		domain := DomainKey(o.GetMessageFormat().GetDomain())
		if other, ok := taken[domain]; ok {
			c.failf("domain", "is %s, for which there is MessageFormat/%s already; change that one", o.GetMessageFormat().GetDomain(), other)
		}
		taken[domain] = c.at.Name
	}
}

func (c *checker) format(f *directoryv1.MessageFormat) {
	if f.GetDomain() != "*" {
		c.hostname("domain", strings.TrimPrefix(f.GetDomain(), "*."))
	}
}

func (c *checker) account(a *directoryv1.Account) {
	if a.GetPassword() == "" && a.GetKeys() == nil {
		c.failf("password", "is missing; write one, it is stored as SCRAM keys only")
	}
	if a.GetPassword() != "" {
		if _, err := newKeys(a.GetPassword(), fixedSalt()); err != nil {
			c.failf("password", "cannot be used: %v; choose another", err)
		}
	} else if k := a.GetKeys(); k != nil && !usableKeys(k) {
		c.failf("keys", "must have salt, iterations of at least %d and keys of 32 octets; write password instead", minIterations)
	}
	for i, s := range a.GetSendAs() {
		c.address(item("sendAs", i), s)
	}
}
