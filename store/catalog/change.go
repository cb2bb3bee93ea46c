package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// change is one event becoming one batch. It reads the catalog as it was before
// the event only, which is why addresses that move between two recipients of the
// event are settled at the end.
type change struct {
	c       *Catalog
	batch   *pebble.Batch
	put     map[directory.Key]*directoryv1.Object
	deleted map[directory.Key]bool
	freed   map[freed]bool
	taken   map[string]string // address key -> name of the new owner
	count   int               // recipients more or fewer
	config  bool
	swept   []byte
}

// freed is an address that one of its owners has lost: after a snapshot that was cut off,
// two stored recipients may have it.
type freed struct{ address, owner string }

func newChange(c *Catalog) *change {
	return &change{
		c: c, batch: c.db.NewBatch(),
		put: map[directory.Key]*directoryv1.Object{}, deleted: map[directory.Key]bool{},
		freed: map[freed]bool{}, taken: map[string]string{},
	}
}

func (ch *change) fill(e directory.Event) error {
	for _, o := range e.Put {
		ch.put[directory.KeyOf(o)] = o
	}
	for _, k := range e.Deleted {
		ch.deleted[k] = true
	}
	if e.Snapshot {
		if err := ch.sweep(e); err != nil {
			return err
		}
	}
	for k := range ch.deleted {
		if err := ch.remove(k); err != nil {
			return err
		}
	}
	for k, o := range ch.put {
		if err := ch.store(k, o); err != nil {
			return err
		}
	}
	return ch.settleAddresses()
}

// sweep deletes what a snapshot has left out: everything between the end of the
// page before and the end of this one that is not in this one.
func (ch *change) sweep(e directory.Event) error {
	lower, _ := keyRange(configPrefix)
	_, upper := keyRange(recipientPrefix)
	if !e.Begin {
		lower = ch.c.swept
	}
	if !e.End {
		upper = bytes.Clone(lower)
		for _, o := range e.Put {
			// The successor of the last key: ranges are half open.
			if k := append(objectPath(directory.KeyOf(o)), 0); bytes.Compare(k, upper) > 0 {
				upper = k
			}
		}
	}
	ch.swept = upper
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	it, err := ch.c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		if k := keyOfPath(string(it.Key())); ch.put[k] == nil {
			ch.deleted[k] = true
		}
	}
	return it.Close()
}

func keyOfPath(path string) directory.Key {
	if name, ok := strings.CutPrefix(path, recipientPrefix); ok {
		return directory.Key{Kind: directory.KindRecipient, Name: name}
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(path, configPrefix), "/")
	return directory.Key{Kind: kind, Name: name}
}

func (ch *change) remove(k directory.Key) error {
	if k.Kind != directory.KindRecipient {
		ch.config = true
	} else if existed, err := ch.release(k.Name); err != nil {
		return err
	} else if existed {
		ch.count--
	}
	return ch.batch.Delete(objectPath(k), nil)
}

// release frees the addresses of the stored recipient and says whether there is one.
func (ch *change) release(name string) (bool, error) {
	old, err := ch.c.readRecipient(name)
	if err != nil || old == nil {
		return false, err
	}
	for _, a := range old.GetRecipient().GetAddresses() {
		ch.freed[freed{directory.AddressKey(a), name}] = true
	}
	for _, m := range old.GetRecipient().GetGroup().GetMembers() {
		if err := ch.batch.Delete(memberPath(m, name), nil); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (ch *change) store(k directory.Key, o *directoryv1.Object) error {
	value, err := proto.Marshal(o)
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", k, err)
	}
	if k.Kind != directory.KindRecipient {
		ch.config = true
		return ch.batch.Set(objectPath(k), value, nil)
	}
	existed, err := ch.release(k.Name)
	if err != nil {
		return err
	}
	if !existed {
		ch.count++
	}
	for _, a := range o.GetRecipient().GetAddresses() {
		ch.taken[directory.AddressKey(a)] = k.Name
	}
	for _, m := range o.GetRecipient().GetGroup().GetMembers() {
		if err := ch.batch.Set(memberPath(m, k.Name), nil, nil); err != nil {
			return err
		}
	}
	return ch.batch.Set(objectPath(k), value, nil)
}

func (ch *change) settleAddresses() error {
	for f := range ch.freed {
		if _, again := ch.taken[f.address]; again {
			continue
		}
		// In a snapshot an earlier page may have given it to somebody else.
		now, err := ch.c.read(addressPath(f.address))
		if err != nil {
			return err
		}
		if string(now) != f.owner {
			continue
		}
		if err := ch.batch.Delete(addressPath(f.address), nil); err != nil {
			return err
		}
	}
	for key, owner := range ch.taken {
		if err := ch.batch.Set(addressPath(key), []byte(owner), nil); err != nil {
			return err
		}
	}
	return nil
}

// commit writes the batch with the new state, and only then changes memory.
func (ch *change) commit(e directory.Event) error {
	s := *ch.c.state.Load()
	s.Recipients += ch.count
	durability := pebble.NoSync
	switch {
	case e.Snapshot && !e.End:
		// Unfinished: a crash, or a lost connection, begins the snapshot anew.
		s.Identity, s.Revision = "", 0
	case e.Snapshot:
		durability = pebble.Sync
		fallthrough
	default:
		s.Identity, s.Revision, s.Contact = e.Position.Identity, e.Position.Revision, ch.c.now()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := ch.batch.Set(stateKey(), text, nil); err != nil {
		return err
	}
	if err := ch.batch.Commit(durability); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	ch.c.byAddress.clear()
	ch.c.byName.clear()
	ch.c.strangers.clear()
	ch.c.state.Store(&s)
	ch.c.swept = ch.swept
	for k := range ch.deleted {
		delete(ch.c.objects, k)
	}
	for k, o := range ch.put {
		if k.Kind != directory.KindRecipient {
			ch.c.objects[k] = o
		}
	}
	return nil
}

func (c *Catalog) saveContact() error {
	s := c.state.Load()
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	c.savedState = s.Contact
	if err := c.db.Set(stateKey(), text, pebble.NoSync); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return nil
}
