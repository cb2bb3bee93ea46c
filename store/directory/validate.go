package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Validate checks a whole organisation, recipients included, and returns what
// breaks a rule, sorted by object. It reads nothing but its argument.
func Validate(all []*Object) []Problem {
	c, _ := check(all)
	return c
}

// Warnings are what the rules allow and an administrator should still look at.
func Warnings(all []*Object) []Problem {
	_, w := check(all)
	return w
}

func check(all []*Object) (problems, warnings []Problem) {
	var config, recipients []*Object
	for _, o := range all {
		if KindOf(o) == KindRecipient {
			recipients = append(recipients, o)
		} else {
			config = append(config, o)
		}
	}
	known := make(map[string]*directoryv1.Recipient, len(recipients))
	for _, r := range recipients {
		known[r.GetMetadata().GetName()] = r.GetRecipient()
	}
	c := newChecker(config)
	c.find = func(name string) (*directoryv1.Recipient, bool) {
		r, ok := known[name]
		return r, ok
	}
	c.configuration()
	c.identities(all)
	c.recipients(recipients, c.find)
	c.addresses(recipients)
	return c.sorted(), sortProblems(c.warnings)
}

// checker collects problems about the objects of one organisation.
type checker struct {
	problems, warnings []Problem
	at                 Key // the object being checked

	byKind  map[string][]*Object
	servers map[string]*directoryv1.Server
	// virtualServers are those of all servers.
	virtualServers map[string]*directoryv1.VirtualServer

	groups  map[string]bool
	domains map[string]bool // DomainKey -> shared
	fqdns   map[string]string

	schedules map[string]*directoryv1.Schedule
	accounts  map[string]bool
	// find looks up any recipient of the organisation, those being checked first;
	// nil where recipients are not at hand and references to them go unchecked.
	find func(name string) (*directoryv1.Recipient, bool)
}

func newChecker(config []*Object) *checker {
	c := &checker{
		byKind:  map[string][]*Object{},
		servers: map[string]*directoryv1.Server{},

		virtualServers: map[string]*directoryv1.VirtualServer{},

		groups:  map[string]bool{},
		domains: map[string]bool{},
		fqdns:   map[string]string{},

		schedules: map[string]*directoryv1.Schedule{},
		accounts:  map[string]bool{},
	}
	for _, o := range config {
		kind, name := KindOf(o), o.GetMetadata().GetName()
		c.byKind[kind] = append(c.byKind[kind], o)
		switch kind {
		case KindServer:
			c.servers[name] = o.GetServer()
			if fqdn := DomainKey(o.GetServer().GetFqdn()); fqdn != "" && c.fqdns[fqdn] == "" {
				c.fqdns[fqdn] = name
			}
		case KindVirtualServer:
			c.virtualServers[name] = o.GetVirtualServer()
		case KindRoutingGroup:
			c.groups[name] = true
		case KindSchedule:
			c.schedules[name] = o.GetSchedule()
		case KindAccount:
			c.accounts[name] = true
		case KindRecipientPolicy:
			for _, d := range o.GetRecipientPolicy().GetDomains() {
				key := DomainKey(d.GetDomain())
				c.domains[key] = c.domains[key] || d.GetShared()
			}
		}
	}
	return c
}

// configuration checks everything but recipients.
func (c *checker) configuration() {
	if len(c.byKind[KindOrganization]) != 1 {
		c.at = Key{Kind: KindOrganization}
		c.failf("", "there must be exactly one, there are %d; %s", len(c.byKind[KindOrganization]),
			"apply one object of kind Organization, and delete the others")
	}
	for _, o := range c.byKind[""] {
		c.at = KeyOf(o)
		c.failf("spec", "is missing; write the spec of the kind")
	}
	each(c, KindOrganization, (*Object).GetOrganization, c.organization)
	each(c, KindServer, (*Object).GetServer, c.server)
	each(c, KindVirtualServer, (*Object).GetVirtualServer, c.virtualServer)
	each(c, KindRoutingGroupConnector, (*Object).GetRoutingGroupConnector, c.groupConnector)
	each(c, KindSMTPConnector, (*Object).GetSmtpConnector, c.smtpConnector)
	each(c, KindForeignConnector, (*Object).GetForeignConnector, c.foreignConnector)
	each(c, KindRecipientPolicy, (*Object).GetRecipientPolicy, c.policy)
	each(c, KindMessageFilter, (*Object).GetMessageFilter, c.filter)
	each(c, KindMessageFormat, (*Object).GetMessageFormat, c.format)
	each(c, KindAccount, (*Object).GetAccount, c.account)
	each(c, KindSchedule, (*Object).GetSchedule, c.schedule)
	each(c, KindMailRule, (*Object).GetMailRule, c.mailRule)
	c.serverAddresses()
	c.bindings()
	c.sending()
	c.policyOverlaps()
	c.formatDomains()
	c.oneWay()
}

func each[S any](c *checker, kind string, spec func(*Object) S, rule func(S)) {
	for _, o := range c.byKind[kind] {
		c.at = KeyOf(o)
		rule(spec(o))
	}
}

// identities checks kinds, names and GUIDs of all objects against each other.
func (c *checker) identities(all []*Object) {
	names := make(map[Key]string, len(all)) // by folded name
	guids := map[string]Key{}
	for _, o := range all {
		c.at = KeyOf(o)
		c.metadata(o)
		folded := Key{c.at.Kind, strings.ToLower(c.at.Name)}
		if other, taken := names[folded]; taken && other == c.at.Name {
			c.failf("name", "occurs twice; remove one of the two")
		} else if taken {
			c.failf("name", "differs only in case from %s; choose another name", other)
		}
		names[folded] = c.at.Name
		if guid := strings.ToLower(o.GetMetadata().GetGuid()); guid != "" {
			if other, taken := guids[guid]; taken {
				c.failf("guid", "is that of %s; leave it out to get a new one", other)
			}
			guids[guid] = c.at
		}
	}
}

// maxName bounds names, which become keys and, for mailboxes, folders.
const maxName = 255

// metadata checks what one object says about itself.
func (c *checker) metadata(o *Object) {
	meta := o.GetMetadata()
	if k := meta.GetKind(); k != "" && k != c.at.Kind {
		c.failf("kind", "is %s, but the spec is that of %q; make them agree", k, c.at.Kind)
	}
	if !ValidName(meta.GetName()) {
		c.failf("name", `must start with a letter or digit and have 1 to %d letters, digits, ".", "-", "_", "@"; rename it`, maxName)
	}
	if g := meta.GetGuid(); g != "" {
		if _, err := ParseGUID(g); err != nil {
			c.failf("guid", "must look like 01234567-89ab-cdef-0123-456789abcdef; leave it out to get one")
		}
	}
}

// ValidName says whether an object may be called so: it begins with a letter or digit
// and has at most 255 octets of letters, digits, ".", "-", "_" and "@".
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
		case i > 0 && strings.ContainsRune(".-_@", r):
		default:
			return false
		}
	}
	return true
}

func (c *checker) failf(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{c.at.Kind, c.at.Name, field, fmt.Sprintf(format, args...)})
}

func (c *checker) warnf(field, format string, args ...any) {
	c.warnings = append(c.warnings, Problem{c.at.Kind, c.at.Name, field, fmt.Sprintf(format, args...)})
}

func (c *checker) sorted() []Problem { return sortProblems(c.problems) }

// sortProblems puts the most basic kinds first, so that the first line of an
// error is mostly the cause of the others.
func sortProblems(p []Problem) []Problem {
	order := map[string]int{}
	for i, k := range Kinds() {
		order[k] = i
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Field, b.Field))
	})
	return slices.Compact(p)
}
