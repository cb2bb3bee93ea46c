package spool

import (
	"fmt"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// audit reads every key and holds it against the state table of the package
// documentation: what is there must belong to a legal state, and nothing else
// may be there. open names bodies that are still streaming in.
func audit(t testing.TB, s *Spool) {
	t.Helper()
	a := auditor{
		messages: map[ID]*audited{}, queue: map[string]bool{}, chunks: map[bodyID]map[uint32]int{}, open: map[bodyID]bool{},
		references: map[bodyID]map[ID]bool{}, submitted: map[ID]bool{},
	}
	it, err := s.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if err := a.key(it.Key(), it.Value()); err != nil {
			t.Errorf("key %x: %v", it.Key(), err)
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fault := range a.faults() {
		t.Error(fault)
	}
}

type audited struct {
	body     *stored
	planned  bool
	outcomes int
	entries  map[string]bool
}

type auditor struct {
	messages   map[ID]*audited
	queue      map[string]bool // entry keys seen from the queue's side
	chunks     map[bodyID]map[uint32]int
	open       map[bodyID]bool
	references map[bodyID]map[ID]bool
	submitted  map[ID]bool
}

func entryName(id ID, e entryKey) string { return fmt.Sprintf("%x %q %d", id, e.queue, e.due) }

func (a *auditor) key(k, v []byte) error {
	switch k[0] {
	case tagMeta:
		return nil
	case tagBody:
		var b bodyID
		copy(b[:], k[1:])
		if a.chunks[b] == nil {
			a.chunks[b] = map[uint32]int{}
		}
		a.chunks[b][uint32(k[13])<<24|uint32(k[14])<<16|uint32(k[15])<<8|uint32(k[16])] = len(v)
	case tagReference:
		var b bodyID
		var id ID
		copy(b[:], k[1:])
		copy(id[:], k[1+len(b):])
		if a.references[b] == nil {
			a.references[b] = map[ID]bool{}
		}
		a.references[b][id] = true
	case tagOpenBody:
		b, err := parseOpenBodyKey(k)
		a.open[b] = true
		return err
	case tagSubmitted:
		id, err := parseSubmittedKey(k)
		a.submitted[id] = true
		return err
	case tagQueue:
		queue, p, err := parseQueueKey(k)
		a.queue[entryName(p.ID, entryKey{queue, p.Due})] = true
		return err
	case tagMessage:
		return a.message(k, v)
	default:
		return fmt.Errorf("unknown")
	}
	return nil
}

func (a *auditor) message(k, v []byte) error {
	key, err := parseMessageKey(k)
	if err != nil {
		return err
	}
	m := a.messages[key.id]
	if m == nil {
		m = &audited{entries: map[string]bool{}}
		a.messages[key.id] = m
	}
	switch key.kind {
	case kindEnvelope:
		body, _, err := parseEnvelope(v)
		m.body = &body
		return err
	case kindPlan:
		m.planned = true
	case kindOutcome:
		m.outcomes++
	case kindEntry:
		m.entries[entryName(key.id, key.entry)] = true
	}
	return nil
}

func (a *auditor) faults() (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	back := map[string]bool{}
	for id, m := range a.messages {
		if m.body == nil {
			say("message %x has keys and no envelope", id)
			continue
		}
		if a.submitted[id] == m.planned {
			say("message %x: submitted %v, planned %v", id, a.submitted[id], m.planned)
		}
		if m.planned == (len(m.entries) == 0) {
			say("message %x: planned %v with %d entries", id, m.planned, len(m.entries))
		}
		if !m.planned && m.outcomes > 0 {
			say("message %x has outcomes and no plan", id)
		}
		maps.Copy(back, m.entries)
		a.checkBody(id, m.body, say)
	}
	for id := range a.submitted {
		if a.messages[id] == nil {
			say("message %x is submitted and has no envelope", id)
		}
	}
	if !maps.Equal(back, a.queue) {
		say("queues have entries %v, messages have %v", a.queue, back)
	}
	return append(all, a.orphans()...)
}

func (a *auditor) checkBody(id ID, b *stored, say func(string, ...any)) {
	if b.shared != a.references[b.id][id] {
		say("message %x: shared %v, reference %v", id, b.shared, a.references[b.id][id])
	}
	var size int
	for i := range b.chunks {
		size += a.chunks[b.id][i]
	}
	if int64(size) != b.size || len(a.chunks[b.id]) != int(b.chunks) {
		say("message %x: body has %d octets in %d chunks, must have %d in %d", id, size, len(a.chunks[b.id]), b.size, b.chunks)
	}
}

// orphans finds bodies that belong to nobody.
func (a *auditor) orphans() (all []string) {
	owned := map[bodyID]bool{}
	for id, m := range a.messages {
		if m.body != nil {
			owned[m.body.id] = true
			delete(a.references[m.body.id], id)
		}
	}
	for b, left := range a.references {
		if len(left) > 0 {
			all = append(all, fmt.Sprintf("body %x has references of no message: %v", b, left))
		}
	}
	for b := range a.chunks {
		if owned[b] == a.open[b] {
			all = append(all, fmt.Sprintf("body %x: owned %v, open %v", b, owned[b], a.open[b]))
		}
	}
	return all
}

func unexpected(t testing.TB) func(*pebble.Iterator) (bool, error) {
	return func(it *pebble.Iterator) (bool, error) {
		t.Errorf("key %x is left", it.Key())
		return it.Next(), nil
	}
}
