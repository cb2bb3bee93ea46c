package directory

import (
	"slices"
	"strings"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// recipients checks recipients against the configuration and each other; find
// looks up any recipient of the organisation, those being checked first.
// Uniqueness of addresses is not among it, see addresses.
func (c *checker) recipients(list []*Object, find func(name string) (*directoryv1.Recipient, bool)) {
	for _, o := range list {
		c.at = KeyOf(o)
		c.recipient(o.GetRecipient(), find)
	}
	c.loops(list, find)
}

func (c *checker) recipient(r *directoryv1.Recipient, find func(string) (*directoryv1.Recipient, bool)) {
	if len(r.GetAddresses()) == 0 {
		c.failf("addresses", "are missing; write at least one, the first is the primary one")
	}
	for i, a := range r.GetAddresses() {
		c.address(item("addresses", i), a)
	}
	switch t := r.GetType().(type) {
	case *directoryv1.Recipient_Mailbox:
		c.mailbox(r, t.Mailbox)
	case *directoryv1.Recipient_Contact:
		c.contact(r, t.Contact)
	case *directoryv1.Recipient_Group:
		c.members(t.Group, find)
	default:
		c.failf("", "is neither mailbox, contact nor group; write one of them")
	}
}

func (c *checker) mailbox(r *directoryv1.Recipient, m *directoryv1.Mailbox) {
	c.references("mailbox.homeServer", KindServer, m.GetHomeServer(), c.servers[m.GetHomeServer()] != nil)
	c.ownDomain(r)
	if q := m.GetQuota(); q.GetSize() < 0 || q.GetCount() < 0 {
		c.failf("mailbox.quota", "must not be negative; 0 sets no bound")
	}
	forward := m.GetForwardTo()
	if forward == "" {
		if m.GetDeliverAndForward() {
			c.failf("mailbox.deliverAndForward", "needs forwardTo; write the address")
		}
		return
	}
	c.address("mailbox.forwardTo", forward)
	if ownsAddress(r, forward) {
		c.failf("mailbox.forwardTo", "is an address of the mailbox itself, which makes mail loop; remove it")
	}
}

func (c *checker) contact(r *directoryv1.Recipient, t *directoryv1.Contact) {
	target := t.GetTargetAddress()
	if target == "" {
		c.failf("contact.targetAddress", "is missing; write the address outside")
		return
	}
	c.address("contact.targetAddress", target)
	typ, rest := AddressType(target)
	if _, domain, err := splitAddress(rest); typ == TypeSMTP && err == nil && ownsAddress(r, target) {
		if shared, ours := c.domains[DomainKey(domain)]; ours && !shared {
			c.failf("contact.targetAddress", "is the contact's own address in a domain that is ours alone: mail would loop; write the address outside")
		}
	}
}

func ownsAddress(r *directoryv1.Recipient, a string) bool {
	key := AddressKey(a)
	return slices.ContainsFunc(r.GetAddresses(), func(own string) bool { return AddressKey(own) == key })
}

// ownDomain warns of mailboxes that no mail can reach.
func (c *checker) ownDomain(r *directoryv1.Recipient) {
	for i, a := range r.GetAddresses() {
		typ, rest := AddressType(a)
		_, domain, err := splitAddress(rest)
		if _, ours := c.domains[DomainKey(domain)]; typ == TypeSMTP && err == nil && !ours {
			c.warnf(item("addresses", i), "the domain %s is in no RecipientPolicy, so mail to it goes outside; add the domain to one", domain)
		}
	}
}

func (c *checker) members(g *directoryv1.DistributionGroup, find func(string) (*directoryv1.Recipient, bool)) {
	seen := make(map[string]bool, len(g.GetMembers()))
	for i, name := range g.GetMembers() {
		at := item("group.members", i)
		if seen[name] {
			c.failf(at, "%s is named twice; remove one", name)
			continue
		}
		seen[name] = true
		_, exists := find(name)
		c.references(at, KindRecipient, name, exists)
	}
}

// addresses checks that an address belongs to one recipient.
func (c *checker) addresses(list []*Object) {
	owners := make(map[string]string, len(list))
	for _, o := range list {
		c.at = KeyOf(o)
		for i, a := range o.GetRecipient().GetAddresses() {
			key := AddressKey(a)
			if other, taken := owners[key]; taken && other == c.at.Name {
				c.failf(item("addresses", i), "%s is written twice; remove one", a)
			} else if taken {
				c.addressTaken(i, a, other)
			}
			owners[key] = c.at.Name
		}
	}
}

func (c *checker) addressTaken(i int, address, owner string) {
	c.failf(item("addresses", i), "%s belongs to Recipient/%s; an address has one owner, take it from one of them", address, owner)
}

// loops finds groups that contain themselves through other groups. Colours make
// it linear: a group is finished once, whoever reaches it.
func (c *checker) loops(list []*Object, find func(string) (*directoryv1.Recipient, bool)) {
	done := map[string]bool{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		r, ok := find(name)
		if !ok || r.GetGroup() == nil || done[name] {
			return
		}
		if i := slices.Index(path, name); i >= 0 {
			c.at = Key{KindRecipient, name}
			c.failf("group.members", "the group contains itself: %s; take one of them out", strings.Join(append(path[i:len(path):len(path)], name), " > "))
			return
		}
		path = append(path, name)
		for _, m := range r.GetGroup().GetMembers() {
			visit(m)
		}
		path = path[:len(path)-1]
		done[name] = true
	}
	for _, o := range list {
		visit(o.GetMetadata().GetName())
	}
}
