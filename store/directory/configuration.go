package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Entry is one object of a [Configuration]. Spec is never nil and must not be
// changed: it is shared by everybody who holds the snapshot.
type Entry[S any] struct {
	GUID     GUID
	Name     string
	Revision int64 // etcd revision of the last change
	Spec     S
}

// Entries of the kinds.
type (
	Organization          = Entry[*directoryv1.Organization]
	Group                 = Entry[*directoryv1.RoutingGroup]
	Server                = Entry[*directoryv1.Server]
	VirtualServer         = Entry[*directoryv1.VirtualServer]
	RoutingGroupConnector = Entry[*directoryv1.RoutingGroupConnector]
	SMTPConnector         = Entry[*directoryv1.SMTPConnector]
	ForeignConnector      = Entry[*directoryv1.ForeignConnector]
	Policy                = Entry[*directoryv1.RecipientPolicy]
	MessageFilter         = Entry[*directoryv1.MessageFilter]
	MessageFormat         = Entry[*directoryv1.MessageFormat]
	Account               = Entry[*directoryv1.Account]
	Schedule              = Entry[*directoryv1.Schedule]
	MailRule              = Entry[*directoryv1.MailRule]
)

// Configuration is an immutable snapshot of everything but the recipients,
// safe for any number of readers. Lists are sorted by name and must not be
// changed. The zero value is an empty configuration: every lookup misses.
type Configuration struct {
	revision     int64
	organization *Organization

	groups         set[*directoryv1.RoutingGroup]
	servers        set[*directoryv1.Server]
	virtualServers set[*directoryv1.VirtualServer]
	rgcs           set[*directoryv1.RoutingGroupConnector]
	smtpConnectors set[*directoryv1.SMTPConnector]
	foreign        set[*directoryv1.ForeignConnector]
	policies       set[*directoryv1.RecipientPolicy]
	filters        set[*directoryv1.MessageFilter]
	formats        set[*directoryv1.MessageFormat]
	accounts       set[*directoryv1.Account]
	schedules      set[*directoryv1.Schedule]
	mailRules      set[*directoryv1.MailRule]

	virtualServersOf map[string][]VirtualServer // by name of the server
	domains          map[string]bool            // DomainKey -> shared
	domainNames      []string                   // sorted keys of domains
	senderLists      SenderLists
	accountsFolded   map[string]int // lower-case name -> index
	serverDomains    map[string]int // DomainKey of the FQDN -> index
}

// NewConfiguration builds the snapshot of objs at an etcd revision; recipients
// are left out. It refuses what it cannot index: objects without a spec, a name
// or a GUID, and two objects with one name or GUID. It does not [Validate]: a
// node must go on working with whatever the directory holds.
func NewConfiguration(revision int64, objs []*Object) (*Configuration, error) {
	c := &Configuration{revision: revision}
	guids := make(map[GUID]Key, len(objs))
	for _, o := range objs {
		if KindOf(o) == KindRecipient {
			continue
		}
		if err := c.add(o, guids); err != nil {
			return nil, err
		}
	}
	for _, s := range []interface{ index() error }{
		&c.groups, &c.servers, &c.virtualServers, &c.rgcs, &c.smtpConnectors, &c.foreign,
		&c.policies, &c.filters, &c.formats, &c.accounts, &c.schedules,
	} {
		if err := s.index(); err != nil {
			return nil, err
		}
	}
	c.derive()
	c.deriveSenderLists()
	return c, nil
}

func (c *Configuration) add(o *Object, guids map[GUID]Key) error {
	key := KeyOf(o)
	if key.Kind == "" || key.Name == "" {
		return fmt.Errorf("object %q: has no spec or no name", key)
	}
	guid, err := ParseGUID(o.GetMetadata().GetGuid())
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if other, taken := guids[guid]; taken {
		return fmt.Errorf("%s: has the GUID of %s", key, other)
	}
	guids[guid] = key
	switch o.GetSpec().(type) {
	case *directoryv1.Object_Organization:
		if c.organization != nil {
			return fmt.Errorf("%s: there is already Organization/%s", key, c.organization.Name)
		}
		e := entry(guid, o, o.GetOrganization())
		c.organization = &e
	case *directoryv1.Object_RoutingGroup:
		c.groups.add(guid, o, o.GetRoutingGroup())
	case *directoryv1.Object_Server:
		c.servers.add(guid, o, o.GetServer())
	case *directoryv1.Object_VirtualServer:
		c.virtualServers.add(guid, o, WithPreset(o.GetVirtualServer()))
	case *directoryv1.Object_RoutingGroupConnector:
		c.rgcs.add(guid, o, o.GetRoutingGroupConnector())
	case *directoryv1.Object_SmtpConnector:
		c.smtpConnectors.add(guid, o, o.GetSmtpConnector())
	case *directoryv1.Object_ForeignConnector:
		c.foreign.add(guid, o, o.GetForeignConnector())
	case *directoryv1.Object_RecipientPolicy:
		c.policies.add(guid, o, o.GetRecipientPolicy())
	case *directoryv1.Object_MessageFilter:
		c.filters.add(guid, o, o.GetMessageFilter())
	case *directoryv1.Object_MessageFormat:
		c.formats.add(guid, o, o.GetMessageFormat())
	case *directoryv1.Object_Account:
		c.accounts.add(guid, o, o.GetAccount())
	case *directoryv1.Object_Schedule:
		c.schedules.add(guid, o, o.GetSchedule())
	case *directoryv1.Object_MailRule:
		c.mailRules.add(guid, o, o.GetMailRule())
	}
	return nil
}

func (c *Configuration) derive() {
	c.virtualServersOf = make(map[string][]VirtualServer)
	for _, v := range c.virtualServers.list {
		c.virtualServersOf[v.Spec.GetServer()] = append(c.virtualServersOf[v.Spec.GetServer()], v)
	}
	c.domains = make(map[string]bool)
	for _, p := range c.policies.list {
		for _, d := range p.Spec.GetDomains() {
			key := DomainKey(d.GetDomain())
			shared, seen := c.domains[key]
			// One policy that shares the domain is enough: refusing mail that
			// another system would take is the worse mistake.
			c.domains[key] = d.GetShared() || (seen && shared)
		}
	}
	for d := range c.domains {
		c.domainNames = append(c.domainNames, d)
	}
	slices.Sort(c.domainNames)
	c.serverDomains = make(map[string]int, len(c.servers.list))
	for i, s := range c.servers.list {
		c.serverDomains[DomainKey(s.Spec.GetFqdn())] = i
	}
	c.accountsFolded = make(map[string]int, len(c.accounts.list))
	for i, a := range c.accounts.list {
		c.accountsFolded[strings.ToLower(a.Name)] = i
	}
}

// set holds the entries of one kind.
type set[S any] struct {
	list   []Entry[S]
	byName map[string]int
	byGUID map[GUID]int
}

func entry[S any](guid GUID, o *Object, spec S) Entry[S] {
	return Entry[S]{GUID: guid, Name: o.GetMetadata().GetName(), Revision: o.GetMetadata().GetRevision(), Spec: spec}
}

func (s *set[S]) add(guid GUID, o *Object, spec S) { s.list = append(s.list, entry(guid, o, spec)) }

func (s *set[S]) index() error {
	slices.SortFunc(s.list, func(a, b Entry[S]) int { return cmp.Compare(a.Name, b.Name) })
	s.byName = make(map[string]int, len(s.list))
	s.byGUID = make(map[GUID]int, len(s.list))
	for i, e := range s.list {
		if _, taken := s.byName[e.Name]; taken {
			return fmt.Errorf("two objects of one kind have the name %q", e.Name)
		}
		s.byName[e.Name], s.byGUID[e.GUID] = i, i
	}
	return nil
}

func (s *set[S]) named(name string) (e Entry[S], ok bool) {
	i, ok := s.byName[name]
	if ok {
		e = s.list[i]
	}
	return e, ok
}

func (s *set[S]) guid(g GUID) (e Entry[S], ok bool) {
	i, ok := s.byGUID[g]
	if ok {
		e = s.list[i]
	}
	return e, ok
}
