package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// The model is what the spool should be: maps, no store. Random calls go to
// both; now and then the power is cut, and everything synced must be there.

type modelMessage struct {
	text     []byte
	planned  bool
	unsynced bool // the plan may be lost
	entries  map[entryKey]bool
	outcomes map[uint32]string
}

type model struct {
	messages map[ID]*modelMessage
	next     byte
}

func (m *model) synced() {
	for _, x := range m.messages {
		x.unsynced = false
	}
}

// pick draws a message by the order of IDs, so that a failing run can shrink.
func (m *model) pick(t *rapid.T, planned bool) (ID, *modelMessage) {
	var ids []ID
	for id, x := range m.messages {
		if x.planned == planned {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Skip("no such message")
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	id := rapid.SampledFrom(ids).Draw(t, "message")
	return id, m.messages[id]
}

func (m *model) add(text []byte) ID {
	m.next++
	id := ID{m.next, 15: m.next}
	m.messages[id] = &modelMessage{text: text, entries: map[entryKey]bool{}, outcomes: map[uint32]string{}}
	return id
}

// machine runs the actions.
type machine struct {
	model
	tb testing.TB
	fs *vfs.MemFS
	s  *Spool
	// tune changes the store.
	tune func(*pebble.Options)
	// sizes of bodies; nil: some.
	sizes []int
}

func (m *machine) open(t *rapid.T) {
	s, err := Open("spool", Options{FS: m.fs, MemTable: 2 << 20, Recipients: countTags, tune: m.tune})
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

func (m *machine) newBody(t *rapid.T) (*Body, []byte) {
	sizes := m.sizes
	if sizes == nil {
		sizes = []int{0, 10, 500, 3000, 20_000, chunkSize + 1}
	}
	size := rapid.SampledFrom(sizes).Draw(t, "size")
	text := content(size, uint64(m.next))
	b := m.s.NewBody()
	if _, err := b.Write(text); err != nil {
		t.Fatal(err)
	}
	return b, text
}

func (m *machine) Accept(t *rapid.T) {
	if m.next > 200 {
		t.Skip("enough")
	}
	b, text := m.newBody(t)
	var msgs []Incoming
	for range rapid.IntRange(1, 3).Draw(t, "envelopes") {
		id := m.add(text)
		msgs = append(msgs, Incoming{ID: id, Body: b, Envelope: id[:], Recipients: 2})
	}
	if err := m.s.Accept(msgs...); err != nil {
		t.Fatal(err)
	}
	m.synced()
}

func (m *machine) Abandon(t *rapid.T) {
	b, _ := m.newBody(t)
	if rapid.Bool().Draw(t, "discard") {
		b.Discard()
	}
}

func (m *machine) Plan(t *rapid.T) {
	id, x := m.pick(t, false)
	var entries []Entry
	for i := range rapid.IntRange(1, 3).Draw(t, "entries") {
		e := Entry{rapid.SampledFrom([]string{"a", "b", "a\x00"}).Draw(t, "queue"), int64(10*i + rapid.IntRange(0, 9).Draw(t, "due")), nil}
		entries = append(entries, e)
		x.entries[entryKey{e.Queue, e.Due}] = true
	}
	if err := m.s.Plan(id, []byte("plan"), entries, plannedPosts(len(entries))); err != nil {
		t.Fatal(err)
	}
	x.planned, x.unsynced = true, true
}

// Settle settles up to three entries in one call, of one or several messages.
func (m *machine) Settle(t *rapid.T) {
	var list []Settlement
	var want []bool
	for range rapid.IntRange(1, 3).Draw(t, "settlements") {
		if !slices.ContainsFunc(slices.Collect(maps.Values(m.messages)), func(x *modelMessage) bool { return x.planned }) {
			break
		}
		id, x := m.pick(t, true)
		keys := slices.SortedFunc(maps.Keys(x.entries), func(a, b entryKey) int { return bytes.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b))) })
		k := rapid.SampledFrom(keys).Draw(t, "entry")
		e := Settlement{ID: id, Queue: k.queue, Due: k.due}
		delete(x.entries, k)
		if target := rapid.Uint32Range(0, 2).Draw(t, "target"); rapid.Bool().Draw(t, "outcome") {
			text := fmt.Sprint("outcome ", len(list))
			e.Outcomes = []OutcomeRecord{{target, []byte(text)}}
			x.outcomes[target] = text
		}
		again := entryKey{"c", k.due}
		if rapid.Bool().Draw(t, "requeue") && !x.entries[again] {
			e.Requeue = &Entry{again.queue, again.due, nil}
			x.entries[again] = true
		}
		also := entryKey{"d", k.due}
		if rapid.Bool().Draw(t, "also") && !x.entries[also] {
			e.Also = []Entry{{also.queue, also.due, nil}}
			x.entries[also] = true
		}
		switch {
		case e.Requeue == nil && e.Also == nil:
			e.Ends = ended(rapid.SampledFrom(Lines()[5:11]).Draw(t, "end"))
		case e.Requeue != nil && e.Also != nil:
			e.Ends = ended(Expanded) // in the model each entry is a recipient
		}
		list = append(list, e)
		want = append(want, len(x.entries) == 0)
		if len(x.entries) == 0 {
			delete(m.messages, id)
		}
	}
	got, err := m.s.Settle(list...)
	if err != nil || len(list) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("settled %+v: %v, %v, want %v", list, got, err, want)
	}
	m.synced()
}

func (m *machine) Remove(t *rapid.T) {
	id, _ := m.pick(t, rapid.Bool().Draw(t, "planned"))
	if err := m.s.Remove(id); err != nil {
		t.Fatal(err)
	}
	delete(m.messages, id)
	m.synced()
}

// Aside sets a message aside, or an entry of it, and mostly brings it back; all
// that changes is whether its queue has it.
func (m *machine) Aside(t *rapid.T) {
	id, x := m.pick(t, rapid.Bool().Draw(t, "planned"))
	var list []Entry
	for k := range x.entries {
		list = append(list, Entry{k.queue, k.due, nil})
	}
	slices.SortFunc(list, func(a, b Entry) int { return int(a.Due - b.Due) })
	if len(list) > 0 {
		list = list[:rapid.IntRange(1, len(list)).Draw(t, "entries")]
	}
	if err := m.s.SetAside(id, []byte("note"), list...); err != nil {
		t.Fatal(err)
	}
	m.synced()
	if rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
		if err := m.s.Remove(id); err != nil {
			t.Fatal(err)
		}
		delete(m.messages, id)
		return
	}
	if rapid.Bool().Draw(t, "reopen") {
		m.Reopen(t)
	}
	for _, e := range list {
		// Not in its queue, so nobody can settle it.
		if done, err := m.s.Settle(Settlement{ID: id, Queue: e.Queue, Due: e.Due, Ends: ended(Relayed)}); err != nil || done[0] {
			t.Fatalf("settled what is aside: %v, %v", done, err)
		}
	}
	back, submitted, err := m.s.Release(id)
	if err != nil || submitted == x.planned || len(back) != len(list) || len(m.s.Aside()) != 0 {
		t.Fatalf("released %v, %v, %v", back, submitted, err)
	}
}

func (m *machine) Reopen(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.synced()
	m.open(t)
}

// Crash keeps what was synced and nothing else.
func (m *machine) Crash(t *rapid.T) {
	after := m.fs.CrashClone(vfs.CrashCloneCfg{})
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.fs = after
	m.open(t)
	for id, x := range m.messages {
		got, err := m.s.Load(id)
		if err != nil {
			t.Fatalf("message %x: %v", id, err)
		}
		if x.planned && got.Plan == nil && x.unsynced {
			x.planned, x.entries = false, map[entryKey]bool{}
		}
		x.unsynced = false
	}
}

// Forget makes the spool read from disk what it would have known.
func (m *machine) Forget(*rapid.T) {
	for i := range m.s.shards {
		clear(m.s.shards[i].known)
	}
}

// Check compares everything.
func (m *machine) Check(t *rapid.T) {
	audit(m.tb, m.s)
	if m.tb.Failed() {
		t.Fatal("the keys are not legal")
	}
	if err := m.s.WaitCounted(m.tb.Context()); err != nil {
		t.Fatal(err)
	}
	counts := map[string]Weight{}
	walked := walk(t, m.s)
	for id, x := range m.messages {
		got, err := m.s.Load(id)
		if err != nil || x.planned != (got.Plan != nil) || !bytes.Equal(got.Envelope, id[:]) {
			t.Fatalf("message %x: %+v, %v, want planned %v", id, got, err, x.planned)
		}
		entries, outcomes := map[entryKey]bool{}, map[uint32]string{}
		for _, e := range got.Entries {
			entries[entryKey{e.Queue, e.Due}] = true
			counts[e.Queue] = counts[e.Queue].plus(times(1, int64(len(x.text))))
		}
		for _, o := range got.Outcomes {
			outcomes[o.Target] = string(o.Payload)
		}
		if !maps.Equal(entries, x.entries) || !maps.Equal(outcomes, x.outcomes) {
			t.Fatalf("message %x: entries %v, outcomes %v, want %v, %v", id, entries, outcomes, x.entries, x.outcomes)
		}
		if w := walked[id]; !reflect.DeepEqual(w, got) {
			t.Fatalf("message %x: walked past %+v, loaded %+v", id, w, got)
		}
		if !bytes.Equal(readBody(m.tb, m.s, id), x.text) {
			t.Fatalf("message %x: another body", id)
		}
	}
	for _, q := range []string{"a", "b", "a\x00", "c"} {
		if got := m.s.Weigh(q); got != counts[q] {
			t.Fatalf("queue %q: counted %+v, has %+v", q, got, counts[q])
		}
	}
	if len(walked) != len(m.messages) {
		t.Fatalf("walked past %d messages, there are %d", len(walked), len(m.messages))
	}
	held := Tally{Messages: int64(len(m.messages))}
	for _, x := range m.messages {
		held.Recipients += 2
		if x.planned {
			held.Recipients += int64(len(x.entries)) - 2
		}
	}
	if got := m.s.Ledger().Queued(); got != held {
		t.Fatalf("the ledger has %+v in the spool, there are %+v: %v", got, held, m.s.Ledger())
	}
	if st := m.s.Stats(); st.Messages != int64(len(m.messages)) {
		t.Fatalf("counted %d messages, there are %d", st.Messages, len(m.messages))
	}
}

func TestAgainstModel(t *testing.T) {
	fewer(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{model: model{messages: map[ID]*modelMessage{}}, tb: t, fs: vfs.NewCrashableMem()}
		m.open(rt)
		defer func() {
			if err := m.s.Close(); err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"accept": m.Accept, "accept too": m.Accept, "abandon": m.Abandon, "plan": m.Plan, "plan too": m.Plan,
			"settle": m.Settle, "settle too": m.Settle, "remove": m.Remove, "aside": m.Aside, "reopen": m.Reopen, "crash": m.Crash, "forget": m.Forget, "": m.Check,
		})
	})
}
