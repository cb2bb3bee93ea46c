package directory

import (
	"maps"
	"slices"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// transaction is one etcd transaction being built: keyed by etcd key, because
// etcd takes each key once, and many changes compare the same one.
type transaction struct {
	*plan
	ifs     map[string]clientv3.Cmp
	thens   map[string]clientv3.Op
	changes []int // indexes into plan.changes
}

func (p *plan) newTransaction() *transaction {
	t := &transaction{plan: p, ifs: map[string]clientv3.Cmp{}, thens: map[string]clientv3.Op{}}
	if p.identity == "" {
		t.require(p.keys.identity(), 0)
		t.put(p.keys.identity(), uuid.NewString())
	}
	return t
}

func (t *transaction) require(key string, revision int64) { t.ifs[key] = unchanged(key, revision) }
func (t *transaction) put(key, value string)              { t.thens[key] = clientv3.OpPut(key, value) }
func (t *transaction) remove(key string)                  { t.thens[key] = clientv3.OpDelete(key) }

// parts are the compares and operations in key order, so that a transaction is
// the same however it was built.
func (t *transaction) parts() (cmps []clientv3.Cmp, ops []clientv3.Op) {
	for _, k := range slices.Sorted(maps.Keys(t.ifs)) {
		cmps = append(cmps, t.ifs[k])
	}
	for _, k := range slices.Sorted(maps.Keys(t.thens)) {
		ops = append(ops, t.thens[k])
	}
	return cmps, ops
}

func (t *transaction) add(i int) error {
	ch := t.plan.changes[i]
	t.changes = append(t.changes, i)
	if ch.Action == directoryv1.Action_ACTION_UNCHANGED {
		return nil
	}
	key := KeyOf(ch.After)
	value, err := marshal(ch.After)
	if err != nil {
		return err
	}
	path := t.keys.object(key)
	t.require(path, ch.Before.GetMetadata().GetRevision())
	t.put(path, value)
	if guid := t.keys.guid(ch.After.GetMetadata().GetGuid()); ch.Before == nil {
		t.require(guid, 0)
		t.put(guid, key.String())
	}
	if key.Kind != KindRecipient {
		t.require(t.keys.configTouched(), t.configTouched)
		t.put(t.keys.configTouched(), key.String())
		for _, name := range SendersNamed(ch.After) {
			t.exists(Key{KindRecipient, name})
		}
		return nil
	}
	t.recipient(key.Name, ch.Before.GetRecipient(), ch.After.GetRecipient())
	return nil
}

// recipient moves the guards of a recipient; before or after may be nil.
func (t *transaction) recipient(name string, before, after *directoryv1.Recipient) {
	for _, a := range before.GetAddresses() {
		// Whoever takes the address over in the same change writes the guard.
		if guard := t.keys.address(a); !ownsAddress(after, a) && !t.claimed(guard, name) {
			t.remove(guard)
		}
	}
	for _, a := range after.GetAddresses() {
		guard := t.keys.address(a)
		if t.owner(guard) == name {
			continue
		}
		revision := int64(0)
		if kv, ok := t.guards[guard]; ok {
			revision = kv.ModRevision
		}
		t.require(guard, revision)
		t.put(guard, name)
	}
	t.home(name, before.GetMailbox().GetHomeServer(), after.GetMailbox().GetHomeServer())
	wasGroup, isGroup := before.GetGroup() != nil, after.GetGroup() != nil
	if wasGroup || isGroup {
		t.touchGroups()
	}
	if isGroup && !wasGroup {
		t.put(t.keys.group(name), "")
	} else if wasGroup && !isGroup {
		t.remove(t.keys.group(name))
	}
}

// claimed says whether another recipient of the plan takes over the guard.
func (t *transaction) claimed(guard, from string) bool {
	by, ok := t.claims[guard]
	return ok && by != from
}

func (t *transaction) touchGroups() {
	t.require(t.keys.groupsTouched(), t.groupsTouched)
	t.put(t.keys.groupsTouched(), "")
}

// home keeps the list of mailboxes by server, and makes sure that the server is
// still there when the mailbox arrives.
func (t *transaction) home(name, before, after string) {
	if before == after {
		return
	}
	if before != "" {
		t.remove(t.keys.home(before, name))
	}
	if after == "" {
		return
	}
	t.put(t.keys.home(after, name), "")
	server := Key{KindServer, after}
	if _, exists := t.config[server]; exists {
		t.exists(server)
	}
}

// exists makes sure that an object which was found is still there; one that the
// plan itself creates needs no more.
func (t *transaction) exists(key Key) {
	path := t.keys.object(key)
	if _, stricter := t.ifs[path]; !stricter && t.current(key) != nil {
		t.ifs[path] = clientv3.Compare(clientv3.CreateRevision(path), ">", 0)
	}
}
