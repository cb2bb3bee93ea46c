package directory

import (
	"context"
	"maps"
	"slices"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// plan is a set of changes that was valid at one revision, and the
// transactions that make them if nothing they depend on has changed since.
type plan struct {
	*state
	keys       keyspace
	changes    []Change
	recipients map[string]*directoryv1.Object // before: those to be changed, groups, members
	guards     map[string]*mvccpb.KeyValue    // address and GUID guards that exist
	claims     map[string]string              // address guards that the changes want, by whom
	warnings   []Problem
}

// plan reads what the objects depend on, merges and validates.
func (d *Directory) plan(ctx context.Context, want []*directoryv1.Object) (*plan, error) {
	s, err := d.readState(ctx)
	if err != nil {
		return nil, err
	}
	p := &plan{
		state: s, keys: d.keys,
		recipients: map[string]*directoryv1.Object{}, claims: map[string]string{},
	}
	if err := d.readRecipients(ctx, p, want); err != nil {
		return nil, err
	}
	if p.guards, err = d.getAll(ctx, p.guardKeys(want), s.revision); err != nil {
		return nil, err
	}
	for _, o := range want {
		change, err := merge(o, p.current(KeyOf(o)))
		if err != nil {
			return nil, err
		}
		p.changes = append(p.changes, change)
		for _, a := range o.GetRecipient().GetAddresses() {
			p.claims[p.keys.address(a)] = KeyOf(o).Name
		}
	}
	return p, p.validate()
}

func (p *plan) current(key Key) *directoryv1.Object {
	if key.Kind == KindRecipient {
		return p.recipients[key.Name]
	}
	return p.config[key]
}

// readRecipients fills in the recipients that matter: those to be changed, when
// groups are among them all groups, for loops, and the members, and when
// configuration is among them those that connectors name.
func (d *Directory) readRecipients(ctx context.Context, p *plan, want []*directoryv1.Object) error {
	names := map[string]bool{}
	grouping, configuring := false, false
	for _, o := range want {
		if KindOf(o) != KindRecipient {
			d.addSenders(names, o)
			configuring = true
			continue
		}
		names[d.keys.object(KeyOf(o))] = true
		if g := o.GetRecipient().GetGroup(); g != nil {
			grouping = true
			for _, m := range g.GetMembers() {
				names[d.keys.object(Key{KindRecipient, m})] = true
			}
		}
	}
	if configuring {
		for _, o := range p.config {
			d.addSenders(names, o)
		}
	}
	if grouping {
		groups, err := d.readGroups(ctx, p.revision)
		if err != nil {
			return err
		}
		p.recipients = groups
	}
	kvs, err := d.getAll(ctx, names, p.revision)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		o, err := fromKV(kv)
		if err != nil {
			return err
		}
		p.recipients[KeyOf(o).Name] = o
	}
	return nil
}

func (d *Directory) addSenders(names map[string]bool, o *directoryv1.Object) {
	for _, name := range SendersNamed(o) {
		names[d.keys.object(Key{KindRecipient, name})] = true
	}
}

func (p *plan) guardKeys(want []*directoryv1.Object) map[string]bool {
	keys := map[string]bool{}
	for _, o := range want {
		for _, a := range o.GetRecipient().GetAddresses() {
			keys[p.keys.address(a)] = true
		}
		if g, err := ParseGUID(o.GetMetadata().GetGuid()); err == nil {
			keys[p.keys.guid(g.String())] = true
		}
	}
	return keys
}

// validate checks the organisation as it would be. What is stored already is
// not judged again when only recipients change, so that a rule of a newer
// version does not stop daily work.
func (p *plan) validate() error {
	config := maps.Clone(p.config)
	after := maps.Clone(p.recipients)
	var list, all []*directoryv1.Object
	configChanges := false
	for _, ch := range p.changes {
		key := KeyOf(ch.After)
		if key.Kind == KindRecipient {
			list = append(list, ch.After)
			after[key.Name] = ch.After
			continue
		}
		configChanges = configChanges || ch.Action != directoryv1.Action_ACTION_UNCHANGED
		config[key] = ch.After
	}
	sorted := slices.SortedFunc(maps.Keys(config), compareKeys)
	for _, k := range sorted {
		all = append(all, config[k])
	}
	c := newChecker(all)
	c.find = func(name string) (*directoryv1.Recipient, bool) {
		o, ok := after[name]
		return o.GetRecipient(), ok
	}
	if configChanges {
		c.configuration()
	}
	c.identities(append(all, list...))
	c.recipients(list, c.find)
	c.addresses(list)
	p.checkGuards(c, after)
	p.warnings = sortProblems(c.warnings)
	return Invalid(c.sorted())
}

// checkGuards finds addresses and GUIDs that belong to objects which are not
// part of the change, or which keep them.
func (p *plan) checkGuards(c *checker, after map[string]*directoryv1.Object) {
	for _, ch := range p.changes {
		c.at = KeyOf(ch.After)
		for i, a := range ch.After.GetRecipient().GetAddresses() {
			owner := p.owner(p.keys.address(a))
			if owner == "" || owner == c.at.Name {
				continue
			}
			if o, known := after[owner]; !known || ownsAddress(o.GetRecipient(), a) {
				c.addressTaken(i, a, owner)
			}
		}
		if owner := p.owner(p.keys.guid(ch.After.GetMetadata().GetGuid())); owner != "" && owner != c.at.String() {
			c.failf("guid", "is that of %s; leave it out to get a new one", owner)
		}
	}
}

func (p *plan) owner(guard string) string {
	if kv, ok := p.guards[guard]; ok {
		return string(kv.Value)
	}
	return ""
}

// isChanged says whether anything is to be written.
func (p *plan) isChanged() bool {
	return slices.ContainsFunc(p.changes, func(ch Change) bool {
		return ch.Action != directoryv1.Action_ACTION_UNCHANGED
	})
}

// remember keeps the changes of an attempt that was made in several
// transactions and lost the race after the first: done, they look unchanged to
// the next attempt. recall puts them back.
func (p *plan) remember(earlier map[Key]Change) {
	for _, ch := range p.changes {
		if ch.After.GetMetadata().GetRevision() > p.revision {
			earlier[KeyOf(ch.After)] = ch
		}
	}
}

func (p *plan) recall(earlier map[Key]Change) {
	for i, ch := range p.changes {
		if e, ok := earlier[KeyOf(ch.After)]; ok && ch.Action == directoryv1.Action_ACTION_UNCHANGED {
			p.changes[i] = e
		}
	}
}

// finish gives the changed objects their new revision.
func finish(ch Change, revision int64) Change {
	if ch.Action != directoryv1.Action_ACTION_UNCHANGED {
		ch.After = proto.CloneOf(ch.After)
		ch.After.Metadata.Revision = revision
	}
	return ch
}

// unchanged compares a key with the revision at which it was read; 0 stands for
// a key that did not exist, as it does in etcd.
func unchanged(key string, revision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(key), "=", revision)
}
