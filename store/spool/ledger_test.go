package spool

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// In the tests a message that is only submitted has two recipients, one that is
// planned has one for each entry.
func countTags(_, plan []byte, tags [][]byte) (int, error) {
	if plan == nil {
		return 2, nil
	}
	return len(tags), nil
}

func weighed(o *Options) { o.Recipients = countTags }

func plannedPosts(entries int) []Posting {
	switch {
	case entries > 2:
		return []Posting{{Expanded, entries - 2}}
	case entries < 2:
		return []Posting{{Merged, 2 - entries}}
	}
	return nil
}

func ended(l Line) []Posting { return []Posting{{l, 1}} }

func acceptTwo(t *testing.T, s *Spool, id ID) {
	t.Helper()
	if err := s.Accept(Incoming{ID: id, Body: body(t, s, []byte("text")), Envelope: id[:], Recipients: 2}); err != nil {
		t.Fatal(err)
	}
}

// The lines that each way through the spool posts to.
func TestLedgerLines(t *testing.T) {
	fs := vfs.NewMem()
	s := opened(t, fs, weighed)
	acceptTwo(t, s, ID{1})
	acceptTwo(t, s, ID{2})
	acceptTwo(t, s, ID{3})
	acceptTwo(t, s, ID{4})
	plan(t, s, ID{1}, Entry{"a", 1, nil}, Entry{"b", 1, nil}, Entry{"c", 1, nil})
	settle(t, s, Settlement{ID: ID{1}, Queue: "a", Due: 1, Ends: ended(Delivered)})
	settle(t, s, Settlement{ID: ID{1}, Queue: "b", Due: 1, Requeue: &Entry{"b", 2, nil}})
	report := Incoming{ID: ID{9}, Body: body(t, s, []byte("report")), Recipients: 2}
	settle(t, s, Settlement{ID: ID{1}, Queue: "c", Due: 1, Ends: ended(Failed), Reports: []Incoming{report}},
		Settlement{ID: ID{1}, Queue: "b", Due: 2, Ends: ended(Relayed)})
	plan(t, s, ID{2}, Entry{"a", 1, nil})
	if err := s.Remove(ID{2}); err != nil {
		t.Fatal(err)
	}
	// Nobody was found behind one recipient of the message, the other failed.
	if err := s.End(ID{3}, Failed, []Posting{{Merged, 1}}); err != nil {
		t.Fatal(err)
	}
	want := Ledger{
		Accepted: {4, 8}, Generated: {1, 2}, Expanded: {0, 1},
		Delivered: {0, 1}, Relayed: {1, 1}, Failed: {1, 2}, Deleted: {1, 1}, Merged: {0, 2},
	}
	expectLedger(t, s, want)
	if got := s.Ledger().Queued(); got != (Tally{2, 4}) {
		t.Errorf("queued %+v", got)
	}
	a, err := s.Audit(t.Context())
	if err != nil || !a.Balanced() || a.Held != (Tally{2, 4}) {
		t.Errorf("audit: %+v, %v", a, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expectLedger(t, opened(t, fs, weighed), want)
}

func expectLedger(t *testing.T, s *Spool, want Ledger) {
	t.Helper()
	got := s.Ledger()
	for _, l := range Lines() {
		if got[l] != want[l] {
			t.Errorf("%s: %+v, want %+v", l, got[l], want[l])
		}
	}
}

// A spool that a release without a ledger had is opened with what is in it, and
// again after such a release worked on it in between.
func TestLedgerOpening(t *testing.T) {
	fs := vfs.NewMem()
	s := opened(t, fs, weighed)
	acceptTwo(t, s, ID{1})
	acceptTwo(t, s, ID{2})
	plan(t, s, ID{2}, Entry{"a", 1, nil})
	for _, k := range []string{keySince, keyLedger + "\x01", keyLedger + "\x02", keyLedger + "\x00"} {
		if err := s.db.Delete([]byte(k), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	reopen(t, s)
	s = opened(t, fs, weighed)
	expectLedger(t, s, Ledger{Opening: {2, 3}})
	acceptTwo(t, s, ID{3})
	// The other release: an epoch more, and a message of which it posts nothing.
	if err := s.db.Set([]byte(keyEpoch), binary.BigEndian.AppendUint32(nil, s.epoch+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Delete(appendLedgerKey(nil, shardOf(ID{3})%stripes), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	reopen(t, s)
	s = opened(t, fs, weighed)
	a, err := s.Audit(t.Context())
	if err != nil || !a.Balanced() || a.Held != (Tally{3, 5}) || s.LedgerSince().IsZero() {
		t.Errorf("after the other release: %+v, %v", a, err)
	}
}

func reopen(t *testing.T, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// An end that nobody posted, or posted wrongly, is found by both checks.
func TestLedgerImbalance(t *testing.T) {
	for name, e := range map[string][]Posting{"too many": {{Relayed, 2}}, "too few": nil} {
		t.Run(name, func(t *testing.T) {
			s, err := Open("spool", Options{FS: vfs.NewMem(), Recipients: countTags})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			acceptTwo(t, s, ID{1})
			plan(t, s, ID{1}, Entry{"a", 1, nil}, Entry{"b", 1, nil})
			settle(t, s, Settlement{ID: ID{1}, Queue: "a", Due: 1, Ends: e})
			a, err := s.Audit(t.Context())
			if err != nil || a.Balanced() || a.Off().Messages != 0 || a.Off().Recipients == 0 {
				t.Errorf("audit: %s, %+v, %v", a, a.Off(), err)
			}
			var found []string
			if _, err := s.Check(t.Context(), func(p Problem) { found = append(found, p.Text) }); err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || !strings.Contains(found[0], "the ledger does not balance") {
				t.Errorf("check: %q", found)
			}
		})
	}
}

// A message whose recipients nobody can count switches the comparison of
// recipients off, not that of messages.
func TestLedgerUnread(t *testing.T) {
	bad := errors.New("unreadable")
	s := opened(t, vfs.NewMem(), func(o *Options) {
		o.Recipients = func(e, plan []byte, tags [][]byte) (int, error) {
			if e[0] == 2 {
				return 0, bad
			}
			return countTags(e, plan, tags)
		}
	})
	acceptTwo(t, s, ID{1})
	acceptTwo(t, s, ID{2})
	a, err := s.Audit(t.Context())
	if err != nil || !a.Balanced() || a.Unread != 1 || a.Held != (Tally{2, 2}) {
		t.Errorf("with the message: %s, %v", a, err)
	}
	if err := s.Remove(ID{2}); err != nil {
		t.Fatal(err)
	}
	a, err = s.Audit(t.Context())
	if err != nil || !a.Balanced() || a.Ledger[Unknown].Messages != 1 || a.Held != (Tally{1, 2}) {
		t.Errorf("after it was removed: %s, %v", a, err)
	}
}

// Joining values adds them up, whatever the order and the grouping, and a value
// that cannot be read does not stop the store.
func TestLedgerMerge(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) posted {
		return posted{Line(rapid.IntRange(0, lineLimit-1).Draw(t, "line")),
			Tally{rapid.Int64Range(-1e12, 1e12).Draw(t, "messages"), rapid.Int64Range(-1e12, 1e12).Draw(t, "recipients")}}
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(draw, 1, 40).Draw(t, "postings")
		want := Ledger{}
		var values [][]byte
		for _, p := range list {
			want[p.line] = want[p.line].plus(p.Tally)
			values = append(values, postings{p}.append(nil))
		}
		for len(values) > 1 {
			i := rapid.IntRange(0, len(values)-2).Draw(t, "at")
			m, err := ledgerMerger().Merge(nil, values[i])
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "newer") {
				err = m.MergeNewer(values[i+1])
			} else {
				err = m.MergeOlder(values[i+1])
			}
			if err != nil {
				t.Fatal(err)
			}
			if values[i], _, err = m.Finish(false); err != nil {
				t.Fatal(err)
			}
			values = append(values[:i+1], values[i+2:]...)
		}
		got := Ledger{}
		got.read(values[0])
		for line := range want {
			if got[line] != want[line] {
				t.Fatalf("%s: %+v, want %+v", line, got[line], want[line])
			}
		}
	})
	m, err := ledgerMerger().Merge(nil, []byte{200})
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := m.Finish(true)
	got := Ledger{}
	got.read(v)
	if err != nil || (Audit{Ledger: got}).Balanced() {
		t.Errorf("a bad value: %v, %v", got, err)
	}
}
