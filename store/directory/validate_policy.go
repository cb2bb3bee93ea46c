package directory

import (
	"strings"
	"time"

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
	for i, s := range f.GetSenders() {
		at := item("senders", i)
		if domain, ok := strings.CutPrefix(s, "@"); ok {
			c.hostname(at, domain)
		} else {
			c.address(at, s)
		}
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

func (c *checker) schedule(s *directoryv1.Schedule) {
	if _, err := time.LoadLocation(s.GetTimeZone()); err != nil {
		c.failf("timeZone", "%q is not an IANA name; write it like Europe/Paris", s.GetTimeZone())
	}
	for i, o := range s.GetOpen() {
		if !validOpen(o) {
			c.failf(item("open", i), `is %q, must be days and times in quarters of an hour; write it like "Mon-Fri 22:00-06:00"`, o)
		}
	}
}

func validOpen(s string) bool {
	days, times, ok := strings.Cut(s, " ")
	if !ok {
		days, times = "Mon-Sun", s
	}
	for d := range strings.SplitSeq(days, ",") {
		from, to, isRange := strings.Cut(d, "-")
		if !isDay(from) || (isRange && !isDay(to)) {
			return false
		}
	}
	from, to, ok := strings.Cut(times, "-")
	return ok && isQuarter(from) && isQuarter(to)
}

func isDay(s string) bool {
	return len(s) == 3 && strings.Contains("Mon Tue Wed Thu Fri Sat Sun", s)
}

func isQuarter(s string) bool {
	if s == "24:00" {
		return true
	}
	t, err := time.Parse("15:04", s)
	return err == nil && len(s) == 5 && t.Minute()%15 == 0
}
