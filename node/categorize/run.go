package categorize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// run is the resolving of one envelope, against one snapshot of the
// configuration.
type run struct {
	Result
	c    *Categorizer
	env  *mail.Envelope
	conf *directory.Configuration

	mailboxes map[mail.GUID]bool // got a copy
	foreign   map[string]bool    // addresses that got a copy, by key
	groups    map[string]expansion
	path      []step // from the RCPT to where expansion is now
	index     int    // the recipient being resolved
	results   int    // targets, duplicates and failures it led to
	looped    bool
	glance    bool                             // one target is enough
	say       func(format string, args ...any) // nil unless somebody wants to know
}

// expansion is what is known of a group that was met: the RCPT for which it was
// expanded last, and whether that led to anybody.
type expansion struct {
	index   int
	reached bool
}

// step is one recipient object on the way.
type step struct {
	name  string
	group bool
}

// maxDepth bounds the way from an address to a final recipient; nobody nests
// groups so deeply on purpose.
const maxDepth = 256

func newRun(c *Categorizer, env *mail.Envelope) *run {
	return &run{c: c, env: env, conf: c.dir.Config()}
}

func (r *run) recipient(i int) error {
	r.index, r.results, r.looped, r.path = i, 0, false, r.path[:0]
	a := r.env.Recipients[i].Address
	if _, err := r.address(a); err != nil {
		return err
	}
	switch {
	case r.results > 0:
	case r.looped:
		r.failLoop(a)
	default:
		r.fail(i, a, mail.Fail(mail.Status{Class: 5, Subject: 2, Detail: 4}, fmt.Sprintf("%s is a distribution group without members.", a)))
	}
	return nil
}

// address resolves an SMTP address. reached says whether the message got
// anywhere from here: a target, a failure, or one of them that was there before.
func (r *run) address(a mail.Address) (reached bool, err error) {
	key := a.Key()
	o, found, err := r.c.dir.Lookup(key)
	if err != nil {
		return false, err
	}
	if found {
		return r.object(o, a)
	}
	if to, ok := r.postmaster(a); ok {
		r.tell("%s is the organisation's postmaster, %s", a, to)
		return r.address(to)
	}
	ours, shared := r.conf.Domain(a.Domain)
	if ours && !shared && r.unresolvedHost() != "" {
		r.tell("%s is in a domain of this organisation, but nobody has that address: it goes to %s, the host for unresolved recipients", a, r.unresolvedHost())
		r.toForeign(key, mail.Target{Address: a}, mail.Destination{Type: mail.TypeUnresolved, Domain: mail.DomainKey(a.Domain), Connector: r.env.VirtualServer})
		return true, nil
	}
	if a.Domain == "" || ours && !shared {
		r.tell("%s is in a domain of this organisation, but nobody has that address", a)
		r.fail(r.index, a, mail.Fail(mail.StatusUnknownUser, fmt.Sprintf("%s does not exist in this organisation.", a)))
		return true, nil
	}
	if server, ok := r.conf.ServerByDomain(a.Domain); ok {
		r.tell("%s is at the name of server %s, which is no mail domain", a, server.Name)
		r.fail(r.index, a, mail.Fail(mail.StatusServerName, fmt.Sprintf("%s is the name of server %s of this organisation, and no mail domain.", a.Domain, server.Name)))
		return true, nil
	}
	if r.say != nil {
		why := "its domain is not ours"
		if shared {
			why = "its domain is shared with another system"
		}
		r.tell("%s is not in the directory and %s: it is routed by address space", a, why)
	}
	r.toForeign(key, mail.Target{Address: a}, mail.Destination{Type: directory.TypeSMTP, Domain: mail.DomainKey(a.Domain)})
	return true, nil
}

// unresolvedHost is where the virtual server that took the message sends recipients
// that nobody knows; "" if they are refused.
func (r *run) unresolvedHost() string {
	self, _ := r.conf.ServerByGUID(directory.GUID(r.c.self))
	return r.conf.Undeliverable(self.Name, directory.GUID(r.env.VirtualServer)).UnresolvedHost
}

// postmaster is the address behind <postmaster>, alone, or at one of our domains or
// servers, which must always reach somebody (RFC 5321 section 4.5.1).
func (r *run) postmaster(a mail.Address) (mail.Address, bool) {
	if !strings.EqualFold(a.Local, "postmaster") {
		return mail.Address{}, false
	}
	ours, shared := r.conf.Domain(a.Domain)
	if _, server := r.conf.ServerByDomain(a.Domain); a.Domain != "" && (!ours || shared) && !server {
		return mail.Address{}, false
	}
	to, ok := Postmaster(r.conf)
	return to, ok && to.Key() != a.Key()
}

// object resolves a recipient of the directory that was found under, or is
// listed with, the address a.
func (r *run) object(o *directoryv1.Object, a mail.Address) (reached bool, err error) {
	name := o.GetMetadata().GetName()
	spec := o.GetRecipient()
	if group := spec.GetGroup(); group != nil {
		return r.group(name, group, a)
	}
	if r.onPath(name) || len(r.path) >= maxDepth {
		r.looped = true
		r.tell("%s was on the way already: the redirections form a loop", name)
		return false, nil
	}
	r.path = append(r.path, step{name: name})
	defer func() { r.path = r.path[:len(r.path)-1] }()
	switch t := spec.GetType().(type) {
	case *directoryv1.Recipient_Mailbox:
		return r.mailbox(o, t.Mailbox)
	case *directoryv1.Recipient_Contact:
		return r.contact(o, t.Contact)
	}
	return false, incomplete(mail.StatusBadAddress, "recipient %s is neither mailbox, contact nor group", name)
}

func (r *run) mailbox(o *directoryv1.Object, box *directoryv1.Mailbox) (reached bool, err error) {
	name, forward := o.GetMetadata().GetName(), box.GetForwardTo()
	if forward == "" || box.GetDeliverAndForward() {
		if err := r.toMailbox(o, box.GetHomeServer()); err != nil || forward == "" {
			return err == nil, err
		}
		reached = true
	}
	r.tell("mail for mailbox %s is forwarded to %s", name, forward)
	r.event(mail.EventRedirect, "mailbox "+name+" forwards", forward)
	further, err := r.redirect(name, forward, primary(o))
	return reached || further, err
}

func (r *run) contact(o *directoryv1.Object, c *directoryv1.Contact) (bool, error) {
	name := o.GetMetadata().GetName()
	r.tell("%s is a contact; its target address is %s", name, c.GetTargetAddress())
	r.event(mail.EventRedirect, "contact "+name, c.GetTargetAddress())
	return r.redirect(name, c.GetTargetAddress(), primary(o))
}

// redirect goes on with an address as the directory holds it, of whatever type.
func (r *run) redirect(name, to string, from mail.Address) (bool, error) {
	typ, rest := mail.AddressType(to)
	if typ != directory.TypeSMTP {
		d := mail.Destination{Type: typ, Domain: lower(rest)}
		r.tell("%s is an address of type %s: it is routed by address space", to, typ)
		r.toForeign(directory.AddressKey(to), mail.Target{Address: from, Foreign: to}, d)
		return true, nil
	}
	a, err := mail.ParseAddress(trimType(to))
	if err != nil {
		r.fail(r.index, from, mail.Fail(mail.StatusBadSyntax, fmt.Sprintf("Mail for %s is redirected to %q, which is no address.", name, to)))
		return true, nil
	}
	return r.address(a)
}

func (r *run) group(name string, g *directoryv1.DistributionGroup, a mail.Address) (bool, error) {
	switch before, met := r.groups[name]; {
	case r.onPath(name):
		// Its members are dealt with further up the path.
		r.looped = true
		r.tell("group %s contains itself", name)
		return true, nil
	case before.reached:
		r.duplicate("group "+name, a.String())
		if !r.inGroup() {
			r.expanded(a)
		}
		return true, nil
	case met && before.index == r.index:
		// It led to nobody, and would again. For another RCPT it may lead to
		// somebody: a loop was cut elsewhere then.
		return true, nil
	}
	if len(r.path) >= maxDepth {
		r.looped = true
		return false, nil
	}
	if r.groups == nil {
		r.groups = map[string]expansion{}
	}
	before, targets, failed := r.results, len(r.Targets), len(r.Failed)
	outermost := !r.inGroup()
	r.groups[name] = expansion{index: r.index}
	r.tell("%s is a distribution group of %d members", name, len(g.GetMembers()))
	r.event(mail.EventExpand, fmt.Sprintf("group %s, %d members", name, len(g.GetMembers())), a.String())
	r.path = append(r.path, step{name: name, group: true})
	defer func() { r.path = r.path[:len(r.path)-1] }()
	for _, m := range g.GetMembers() {
		if r.glance && len(r.Targets) > 0 {
			break
		}
		if err := r.member(name, m); err != nil {
			return false, err
		}
	}
	r.groups[name] = expansion{r.index, r.results > before}
	// With one member it is an alias for one, whose delivery is the success.
	if outermost && r.results-before > 1 && r.expanded(a) {
		for i := range r.Targets[targets:] {
			r.Targets[targets+i].Notify = r.Targets[targets+i].Notify.WithoutSuccess()
		}
		for i := range r.Failed[failed:] {
			r.Failed[failed+i].Notify = r.Failed[failed+i].Notify.WithoutSuccess()
		}
	}
	return true, nil
}

// expanded notes a group for an "expanded" report, if one was asked for.
func (r *run) expanded(a mail.Address) bool {
	n := r.env.Recipients[r.index].Notify
	if !n.WantsSuccess() {
		return false
	}
	r.Expanded = append(r.Expanded, mail.Target{Address: a, Original: r.original(a), Recipient: r.index, Notify: n})
	return true
}

func (r *run) inGroup() bool {
	return slices.ContainsFunc(r.path, func(s step) bool { return s.group })
}

func (r *run) member(group, name string) error {
	o, found, err := r.c.dir.RecipientByName(name)
	if err != nil {
		return err
	}
	if !found {
		r.tell("member %s of group %s is not in the directory", name, group)
		r.event(mail.EventExpand, "member "+name+" of group "+group+" is not in the directory")
		return nil
	}
	a := primary(o)
	reached, err := r.object(o, a)
	if err == nil && !reached {
		r.failLoop(a)
	}
	return err
}

func (r *run) onPath(name string) bool {
	for i := range r.path {
		if r.path[i].name == name {
			return true
		}
	}
	return false
}
