package spool

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// patientHistory is a machine whose store is made of many small blocks in tables of
// several levels.
type history struct {
	machine
	owners map[bodyID][]ID
	all    map[ID]bool
}

func (m *history) note(t *rapid.T) {
	for id := range m.messages {
		if m.all[id] {
			continue
		}
		m.all[id] = true
		b, err := m.s.bodyOf(id)
		if err != nil {
			t.Fatal(err)
		}
		m.owners[b.id] = append(m.owners[b.id], id)
	}
}

func (m *history) Flush(t *rapid.T) {
	if err := m.s.db.Flush(); err != nil {
		t.Fatal(err)
	}
}

func (m *history) Compact(t *rapid.T) {
	low := rapid.SampledFrom([]byte{0, 'b', 'm', 'q'}).Draw(t, "from")
	if err := m.s.db.Compact(context.Background(), []byte{low}, []byte{low + byte(rapid.IntRange(1, 200-'q').Draw(t, "tags"))}, false); err != nil {
		t.Fatal(err)
	}
}

// rows gives the user keys of a table, each as often as it is there.
func rows(t *rapid.T, fs vfs.FS, name string) map[string]int {
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		t.Fatal(err)
	}
	keys := colblk.DefaultKeySchema(pebble.DefaultComparer, keyBundle)
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{KeySchemas: sstable.MakeKeySchemas(&keys),
		Mergers: map[string]*pebble.Merger{pebble.DefaultMerger.Name: ledgerMerger()}})
	if err != nil {
		t.Fatal(err)
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for kv := it.First(); kv != nil; kv = it.Next() {
		all[string(kv.K.UserKey)]++
	}
	if err := errors.Join(it.Error(), it.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

func fileOf(t *rapid.T, fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeTo(t *rapid.T, fs vfs.FS, name string, b []byte) {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// spoil changes one octet of one table, and says which.
func (m *history) spoil(t *rapid.T) (table string, before map[string]int) {
	names, err := m.fs.List("spool/store")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isTable(n) })
	if len(names) == 0 {
		t.Skip("no table")
	}
	slices.Sort(names)
	table = "spool/store/" + rapid.SampledFrom(names).Draw(t, "table")
	before = rows(t, m.fs, table)
	b := fileOf(t, m.fs, table)
	b[rapid.IntRange(0, len(b)-1).Draw(t, "octet")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	writeTo(t, m.fs, table, b)
	return table, before
}

// record reads the record of the healing.
func record(t *rapid.T, fs vfs.FS) (h healing) {
	names, err := fs.List("spool/quarantine")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".json") {
			if err := json.Unmarshal(fileOf(t, fs, "spool/quarantine/"+n), &h); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

// judgeHealed holds the healed spool against the model. lost are the keys that were in
// lost blocks.
func (m *history) judgeHealed(t *rapid.T, h healing, lost map[string]int) {
	waitReclaimed(m.s)
	concerned, bodies := map[ID]bool{}, map[ID]bool{}
	ledgerLost := h.Ledger
	for k := range lost {
		switch k[0] {
		case tagBody:
			for _, id := range m.owners[bodyID([]byte(k[1:13]))] {
				bodies[id] = true
			}
		case tagReference:
			concerned[ID([]byte(k[13:]))] = true
		case tagOpenBody, tagMeta:
		default:
			concerned[owner([]byte(k))] = true
		}
	}
	named := func(list []string, id ID) bool { return slices.Contains(list, hex.EncodeToString(id[:])) }
	queued := map[ID]map[entryKey]bool{}
	for _, q := range []string{"a", "b", "a\x00", "c", "d"} {
		list, err := m.s.Entries(q, Position{}, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if queued[e.ID] == nil {
				queued[e.ID] = map[entryKey]bool{}
			}
			queued[e.ID][entryKey{q, e.Due}] = true
		}
	}
	vanished, back := 0, 0
	for id := range m.all {
		x := m.messages[id]
		got, err := m.s.Load(id)
		damaged, doubtful := named(h.Damaged, id), named(h.Doubtful, id)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
			t.Fatal(err)
		case !concerned[id] && (damaged || errors.Is(err, ErrCorrupt)):
			t.Fatalf("message %x lost nothing and is damaged: %v", id, err)
		case errors.Is(err, ErrCorrupt) != damaged && !isAside(m.s, id):
			t.Fatalf("message %x: %v, named as damaged: %v", id, err, damaged)
		case damaged:
			if x == nil {
				back++
			}
			continue
		case x == nil && err == nil && !doubtful:
			t.Fatalf("message %x came back, and nobody says so", id)
		case x == nil && err == nil:
			back++
			continue
		case x == nil:
			if len(queued[id]) > 0 {
				t.Fatalf("message %x is gone and in a queue", id)
			}
			continue
		case err != nil && !concerned[id]:
			t.Fatalf("message %x vanished", id)
		case err != nil:
			vanished++
			if h.Tables[0].Blocks > 0 && len(lost) > 0 && lost[string(appendMessageKey(nil, id, kindEnvelope))] == 0 {
				t.Fatalf("message %x vanished with its envelope whole", id)
			}
			continue
		}
		entries := map[entryKey]bool{}
		for _, e := range got.Entries {
			entries[entryKey{e.Queue, e.Due}] = true
		}
		if !doubtful && (x.planned != (got.Plan != nil) || !maps.Equal(entries, x.entries)) {
			t.Fatalf("message %x: entries %v, want %v; planned %v", id, entries, x.entries, got.Plan != nil)
		}
		for k := range entries {
			if !queued[id][k] && !m.s.aside.has(id, k) {
				t.Fatalf("message %x: entry %v is in no queue", id, k)
			}
		}
		if !concerned[id] {
			for _, o := range got.Outcomes {
				if x.outcomes[o.Target] != string(o.Payload) {
					t.Fatalf("message %x: outcome %d %q", id, o.Target, o.Payload)
				}
			}
		}
		r, err := m.s.OpenBody(id)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, err = r.WriteTo(&text)
		switch _ = r.Close(); {
		case err != nil && !bodies[id]:
			t.Fatalf("message %x lost its body: %v", id, err)
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Fatalf("message %x lost its body, and says %v", id, err)
		case err == nil && !bytes.Equal(text.Bytes(), x.text):
			t.Fatalf("message %x has another body", id)
		}
	}
	a, err := m.s.Audit(context.Background())
	if err != nil || !a.Balanced() {
		t.Fatalf("%s, %v", a, err)
	}
	// Who of them vanished nobody can tell, only how many more than came back.
	if l := m.s.Ledger(); !ledgerLost && l[Unknown].Messages-l[Restored].Messages != int64(vanished-back) {
		t.Fatalf("%d messages vanished, %d came back, and nobody counts them: %v; %+v", vanished, back, l, h)
	}
	_, err = m.s.Check(context.Background(), func(p Problem) {
		// One that came back may have lost its body when it was finished.
		back := m.messages[p.Message] == nil && named(h.Doubtful, p.Message)
		if !named(h.Damaged, p.Message) && !bodies[p.Message] && !back {
			t.Fatalf("message %x: %s", p.Message, p.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// waitReclaimed waits until nobody looks for bodies of nobody.
func waitReclaimed(s *Spool) {
	for {
		s.reclaims.mu.Lock()
		running := s.reclaims.running
		s.reclaims.mu.Unlock()
		if !running {
			return
		}
		runtime.Gosched()
	}
}

func isAside(s *Spool, id ID) bool { _, aside := s.aside.get(id); return aside }

// Any history, any octet of any table: the next Open heals it. What was not in the lost
// block is as it was, what was is damaged or doubtful and named so, and it stays like
// that when tables are merged.
func TestAnyBrokenOctetHeals(t *testing.T) {
	fewer(t)
	healed, messages := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		m := &history{machine: machine{model: model{messages: map[ID]*modelMessage{}}, tb: t, fs: vfs.NewCrashableMem(), sizes: []int{0, 10, 500, 3000, chunkSize + 1}}, owners: map[bodyID][]ID{}, all: map[ID]bool{}}
		m.tune = func(p *pebble.Options) {
			p.DisableAutomaticCompactions = true
			size := rapid.SampledFrom([]int{64, 256, 4096}).Draw(rt, "block")
			for i := range p.Levels {
				p.Levels[i].BlockSize, p.Levels[i].IndexBlockSize = size, size
			}
		}
		m.open(rt)
		m.tune = func(*pebble.Options) {}
		defer func() {
			if err := m.s.Close(); err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"accept": m.Accept, "accept too": m.Accept, "plan": m.Plan, "plan too": m.Plan, "settle": m.Settle, "settle too": m.Settle,
			"remove": m.Remove, "aside": m.Aside, "flush": m.Flush, "flush too": m.Flush, "compact": m.Compact, "": m.note,
		})
		if err := m.s.Close(); err != nil {
			rt.Fatal(err)
		}
		table, before := m.spoil(rt)
		m.healAndJudge(rt, table, before)
		healed++
		messages += len(m.all)
	})
	t.Logf("%d healed, of %d messages", healed, messages)
}

func (m *history) healAndJudge(t *rapid.T, table string, before map[string]int) {
	s, err := Open("spool", Options{FS: m.fs, MemTable: 2 << 20, Recipients: countTags, Verify: true, pause: func() {}, tune: func(p *pebble.Options) { p.DisableAutomaticCompactions = true }})
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
	h := record(t, m.fs)
	if len(h.Tables) != 1 || !strings.HasSuffix(table, h.Tables[0].Name) {
		t.Fatalf("%s was broken, healed was %+v", table, h.Tables)
	}
	lost := before
	if h.Tables[0].Blocks > 0 {
		after := rows(t, m.fs, table)
		lost = map[string]int{}
		for k, n := range before {
			if after[k] < n {
				lost[k] = n
			}
		}
	}
	r := reconciler{lost: join(h.Lost)}
	for k := range lost {
		if !r.in([]byte(k)) {
			t.Fatalf("key %x was lost and is not in %x", k, h.Lost)
		}
	}
	m.judgeHealed(t, h, lost)
	if err := errors.Join(s.db.Flush(), s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false)); err != nil {
		t.Fatal(err)
	}
	m.Forget(t)
	m.judgeHealed(t, h, lost)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open("spool", Options{FS: m.fs, Recipients: countTags, Verify: true, tune: func(p *pebble.Options) { p.DisableAutomaticCompactions = true }}); err != nil {
		t.Fatal(err)
	}
	m.s = s
	m.judgeHealed(t, h, lost)
}
