package spool

import (
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Of what is aside the note can be replaced, and of nothing else.
func TestSetAsideNote(t *testing.T) {
	s := opened(t, vfs.NewMem())
	defer s.Close()
	id := ID{1}
	accept(t, s, id, []byte("x"))
	plan(t, s, id, Entry{"q", 5, []byte("tag")})
	if err := s.SetAsideNote(id, []byte("x")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a note of what is not aside: %v", err)
	}
	entry := Entry{Queue: "q", Due: 5, Tag: []byte("tag")}
	if err := errors.Join(s.SetAside(id, []byte("first"), entry), s.SetAsideNote(id, []byte("second"))); err != nil {
		t.Fatal(err)
	}
	if note, err := s.AsideNote(id); string(note) != "second" || err != nil {
		t.Errorf("%q %v", note, err)
	}
	if entries, submitted, err := s.Release(id); err != nil || submitted || len(entries) != 1 || entries[0].Queue != "q" {
		t.Errorf("%v %v %v", entries, submitted, err)
	}
}

// unreadable makes a message's envelope one that nobody wrote.
func unreadable(t *testing.T, s *Spool, id ID) {
	t.Helper()
	b := s.db.NewBatch()
	_ = b.Delete(appendMessageKey(nil, id, kindEnvelope), nil)
	_ = b.Set(appendMessageKey(nil, id, kindEnvelope), []byte("rubbish"), nil)
	if err := s.db.Apply(b, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	for i := range s.shards {
		clear(s.shards[i].known)
	}
}

// A message that cannot be read is set aside, brought back and removed without
// being read.
func TestAsideWithoutReading(t *testing.T) {
	fs := vfs.NewMem()
	s := opened(t, fs)
	accept(t, s, ID{1}, []byte("x"))
	accept(t, s, ID{2}, []byte("y"))
	plan(t, s, ID{1}, Entry{"q", 1, []byte("tag")}, Entry{"q", 2, nil})
	unreadable(t, s, ID{1})
	unreadable(t, s, ID{2})
	for _, err := range []error{
		s.SetAside(ID{1}, []byte("first"), Entry{"q", 1, []byte("tag")}),
		s.SetAside(ID{1}, []byte("second"), Entry{"q", 2, nil}),
		s.SetAside(ID{1}, []byte("second"), Entry{"q", 2, nil}), // again changes nothing
		s.SetAside(ID{2}, []byte("why")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	left, err := s.Entries("q", Position{}, 9)
	if ids, e := s.Submitted(ID{}, 9); len(left)+len(ids) > 0 || err != nil || e != nil || s.Weigh("q").Entries != 0 {
		t.Errorf("still there: %v, %v, %v, %v", left, ids, err, e)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, fs)
	if got := s.Aside(); !reflect.DeepEqual(got, []ID{{1}, {2}}) || s.Stats().Aside != 2 {
		t.Fatalf("aside: %x, %+v", got, s.Stats())
	}
	if note, err := s.AsideNote(ID{1}); string(note) != "second" || err != nil {
		t.Errorf("note %q, %v", note, err)
	}
	entries, submitted, err := s.Release(ID{1})
	if want := []Entry{{"q", 1, []byte("tag")}, {"q", 2, nil}}; len(entries) != 2 || !reflect.DeepEqual(entries[0], want[0]) || submitted || err != nil {
		t.Errorf("released %v, %v, %v", entries, submitted, err)
	}
	if left, err := s.Entries("q", Position{}, 9); len(left) != 2 || string(left[0].Tag) != "tag" || err != nil {
		t.Errorf("back in the queue: %v, %v", left, err)
	}
	if _, _, err := s.Release(ID{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("released twice: %v", err)
	}
	if _, err := s.AsideNote(ID{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a note of what was released: %v", err)
	}
	if err := s.Remove(ID{1}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an unreadable message that is in its queues was removed: %v", err)
	}
	for _, err := range []error{s.SetAside(ID{1}, nil, entries...), s.Remove(ID{1}), s.Remove(ID{2})} {
		if err != nil {
			t.Error(err)
		}
	}
	if l := s.Ledger(); l[Unknown].Messages != 2 || l.Queued().Messages != 0 || len(s.Aside()) != 0 || s.Stats().Messages != 0 {
		t.Errorf("ledger %v, aside %x, %+v", l, s.Aside(), s.Stats())
	}
	// Nobody can tell which bodies were theirs.
	for _, n := range []uint64{1, 2} {
		if err := s.db.SingleDelete(appendChunkKey(nil, newBodyID(1, n), 0), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody comes to a message that was set aside before memory says so too: of two calls the
// later one would lose.
func TestAsideIsKnownBeforeOthersCome(t *testing.T) {
	s := opened(t, vfs.NewMem())
	accept(t, s, ID{1}, content(100, 1))
	s.aside.mu.Lock()
	done := make(chan error, 1)
	go func() { done <- s.SetAside(ID{1}, nil) }()
	for !anybodyIn("spool.(*asides).set") {
		runtime.Gosched()
	}
	if h := &s.shards[shardOf(ID{1})]; h.TryLock() {
		h.Unlock()
		t.Error("another call may change the message now, and tell memory first")
	}
	s.aside.mu.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
}
