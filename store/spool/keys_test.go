package spool

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawID(t *rapid.T) (id ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, "id"))
	return id
}

// drawQueue likes the octets that the key format itself uses.
func drawQueue(t *rapid.T) string {
	octet := rapid.OneOf(rapid.SampledFrom([]byte{0, 1, 2, 0xfe, 0xff}), rapid.Byte())
	return string(rapid.SliceOfN(octet, 1, 6).Draw(t, "queue"))
}

func drawDue(t *rapid.T) int64 { return rapid.Int64Min(0).Draw(t, "due") }

func TestQueueKeysSortByNameThenDueThenID(t *testing.T) {
	type key struct {
		queue string
		p     Position
	}
	rapid.Check(t, func(t *rapid.T) {
		keys := make([]key, 8)
		coded := make([][]byte, len(keys))
		for i := range keys {
			keys[i] = key{drawQueue(t), Position{drawDue(t), drawID(t)}}
			coded[i] = appendQueueKey(nil, keys[i].queue, keys[i].p.Due, keys[i].p.ID)
			queue, p, err := parseQueueKey(coded[i])
			if err != nil || queue != keys[i].queue || p != keys[i].p {
				t.Fatalf("%+v came back as %q %+v, %v", keys[i], queue, p, err)
			}
			low, high := appendQueueName(nil, queue, queueEnd), appendQueueName(nil, queue, queueAfter)
			if bytes.Compare(low, coded[i]) >= 0 || bytes.Compare(coded[i], high) >= 0 {
				t.Fatalf("%+v is not within the bounds of its queue", keys[i])
			}
		}
		slices.SortFunc(keys, func(a, b key) int {
			return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.p.Due, b.p.Due), bytes.Compare(a.p.ID[:], b.p.ID[:]))
		})
		slices.SortFunc(coded, bytes.Compare)
		for i := range keys {
			if want := appendQueueKey(nil, keys[i].queue, keys[i].p.Due, keys[i].p.ID); !bytes.Equal(coded[i], want) {
				t.Fatalf("key %d in order is %x, want %x", i, coded[i], want)
			}
		}
	})
}

func TestMessageKeysComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, target, e := drawID(t), rapid.Uint32().Draw(t, "target"), entryKey{drawQueue(t), drawDue(t)}
		for _, c := range []struct {
			key  []byte
			want messageKey
		}{
			{appendMessageKey(nil, id, kindEnvelope), messageKey{id: id, kind: kindEnvelope}},
			{appendMessageKey(nil, id, kindPlan), messageKey{id: id, kind: kindPlan}},
			{appendOutcomeKey(nil, id, target), messageKey{id: id, kind: kindOutcome, target: target}},
			{appendEntryKey(nil, id, e), messageKey{id: id, kind: kindEntry, entry: e}},
		} {
			if got, err := parseMessageKey(c.key); err != nil || got != c.want {
				t.Fatalf("%x: got %+v, %v, want %+v", c.key, got, err, c.want)
			}
			if !bytes.HasPrefix(c.key, appendMessagePrefix(nil, id)) {
				t.Fatalf("%x does not begin as keys of its message do", c.key)
			}
		}
	})
}

// A key that parses must be the one key that is written for its meaning;
// anything else is ErrCorrupt.
func FuzzKeys(f *testing.F) {
	id := ID{1, 2, 3}
	for _, k := range [][]byte{
		appendQueueKey(nil, "a\x00b", 5, id), appendMessageKey(nil, id, kindPlan), appendOutcomeKey(nil, id, 7),
		appendEntryKey(nil, id, entryKey{"q", 9}), appendSubmittedKey(nil, id), appendOpenBodyKey(nil, bodyID{4}), {tagQueue, 0, 2}, {},
	} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, k []byte) {
		check := func(again []byte, err error) {
			t.Helper()
			switch {
			case err == nil && !bytes.Equal(again, k):
				t.Errorf("%x parsed, but is written as %x", k, again)
			case err != nil && !errors.Is(err, ErrCorrupt):
				t.Errorf("%x: %v is not ErrCorrupt", k, err)
			}
		}
		queue, p, err := parseQueueKey(k)
		check(appendQueueKey(nil, queue, p.Due, p.ID), err)
		sub, err := parseSubmittedKey(k)
		check(appendSubmittedKey(nil, sub), err)
		body, err := parseOpenBodyKey(k)
		check(appendOpenBodyKey(nil, body), err)
		m, err := parseMessageKey(k)
		again := appendMessageKey(nil, m.id, m.kind)
		switch m.kind {
		case kindOutcome:
			again = appendOutcomeKey(nil, m.id, m.target)
		case kindEntry:
			again = appendEntryKey(nil, m.id, m.entry)
		}
		check(again, err)
	})
}

func FuzzEnvelopeRecord(f *testing.F) {
	f.Add(appendEnvelope(nil, stored{id: bodyID{1}, size: chunkSize + 1, chunks: 2, shared: true}, []byte("envelope")))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, v []byte) {
		s, envelope, err := parseEnvelope(v)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v is not ErrCorrupt", err)
			}
			return
		}
		if again := appendEnvelope(nil, s, envelope); !bytes.Equal(again, v) {
			t.Errorf("%x parsed, but is written as %x", v, again)
		}
	})
}
