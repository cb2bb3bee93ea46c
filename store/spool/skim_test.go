package spool

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"
)

// holed is a spool of many messages whose tables have small blocks; broken names what
// is broken of them.
type holed struct {
	dir       string
	entries   []QueueEntry // of queue "q", in order
	queues    []QueueHead
	submitted []ID
}

func (h *holed) open(t *testing.T) *Spool {
	t.Helper()
	s, err := Open(h.dir, Options{tune: func(p *pebble.Options) {
		p.DisableAutomaticCompactions = true
		for i := range p.Levels {
			p.Levels[i].BlockSize = 512
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// id is an ID that can be found in a file.
func (h *holed) id(n int) ID { return ID([]byte(fmt.Sprintf("MESSAGE-%06d-x", n*7)[:16])) }

func makeHoled(t *testing.T) *holed {
	t.Helper()
	h := &holed{dir: t.TempDir()}
	s := h.open(t)
	if err := s.SetControl([]byte("orders of somebody")); err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		id := h.id(n)
		accept(t, s, id, []byte("body"))
		if n%10 == 9 {
			h.submitted = append(h.submitted, id)
			continue
		}
		e := Entry{Queue: "q", Due: int64(1 + n*37%101), Tag: fmt.Appendf(nil, "entry %03d of q", n)}
		list := []Entry{e}
		if n%50 == 0 {
			list = append(list, Entry{Queue: fmt.Sprint("other", n), Due: int64(n)})
			h.queues = append(h.queues, QueueHead{fmt.Sprint("other", n), int64(n)})
		}
		plan(t, s, id, list...)
		h.entries = append(h.entries, QueueEntry{id, e.Due, e.Tag})
	}
	slices.SortFunc(h.entries, func(a, b QueueEntry) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), bytes.Compare(a.ID[:], b.ID[:]))
	})
	h.queues = append(h.queues, QueueHead{"q", h.entries[0].Due})
	slices.SortFunc(h.queues, func(a, b QueueHead) int { return cmp.Compare(a.Queue, b.Queue) })
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	return h
}

// spoil breaks the block with the last, or first, of these octets in a table.
func (h *holed) spoil(t *testing.T, text string, index func(b, sep []byte) int) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(h.dir, storeName, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := index(b, []byte(text)); i >= 0 {
			b[i] ^= 0x40
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in no table", text)
}

// listed reads a queue in pages.
func listed(t *testing.T, s *Spool, queue string) (all []QueueEntry) {
	t.Helper()
	var at Position
	for {
		page, err := s.Entries(queue, at, 37)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page...); len(page) < 37 {
			return all
		}
		at = Position{page[36].Due, page[36].ID}
	}
}

// Blocks of the lists are broken: the node starts, and all lists are whole.
func TestBrokenListsAreMadeFromMessages(t *testing.T) {
	h := makeHoled(t)
	h.spoil(t, "entry 055 of q", bytes.LastIndex)
	h.spoil(t, "entry 200 of q", bytes.LastIndex)
	h.spoil(t, string(h.submitted[7][11:14]), bytes.LastIndex)
	s := h.open(t)
	same := func(a, b QueueEntry) bool { return a.ID == b.ID && a.Due == b.Due && bytes.Equal(a.Tag, b.Tag) }
	for range 2 {
		if got := listed(t, s, "q"); !slices.EqualFunc(got, h.entries, same) {
			t.Errorf("%d entries, want %d: %v", len(got), len(h.entries), got)
		}
		if got, err := s.Queues(); err != nil || !slices.Equal(got, h.queues) {
			t.Errorf("queues %v, %v, want %v", got, err, h.queues)
		}
		if got, err := s.Submitted(ID{}, 1000); err != nil || !slices.Equal(got, h.submitted) {
			t.Errorf("submitted %x, %v", got, err)
		}
		if got, err := s.Submitted(h.submitted[3], 5); err != nil || !slices.Equal(got, h.submitted[4:9]) {
			t.Errorf("a page of the submitted: %x, %v", got, err)
		}
		// What goes is listed no more, what comes is.
		gone := h.entries[0]
		settle(t, s, Settlement{ID: gone.ID, Queue: "q", Due: gone.Due, Ends: ended(Delivered), Requeue: &Entry{"q", 500, []byte("again")}})
		h.entries = append(h.entries[1:], QueueEntry{gone.ID, 500, []byte("again")})
		plan(t, s, h.submitted[0], Entry{"q", 501, []byte("new")})
		h.entries = append(h.entries, QueueEntry{h.submitted[0], 501, []byte("new")})
		h.submitted = h.submitted[1:]
		for i, q := range h.queues {
			if q.Queue == "q" {
				h.queues[i].Due = h.entries[0].Due
			}
		}
	}
	if err := s.WaitCounted(t.Context()); err != nil || !s.Stats().Counted || s.Weigh("q").Entries != int64(len(h.entries)) {
		t.Errorf("%v, %+v, %+v", err, s.Stats(), s.Weigh("q"))
	}
	closeSpool(t, s)
}

// Blocks of messages are broken, and of lists: what is whole is listed.
func TestBrokenMessagesAreJumpedOver(t *testing.T) {
	h := makeHoled(t)
	h.spoil(t, "entry 055 of q", bytes.LastIndex)
	for _, n := range []int{0, 55, 90, 298} {
		h.spoil(t, fmt.Sprintf("entry %03d of q", n), bytes.Index)
	}
	s := h.open(t)
	got := listed(t, s, "q")
	if len(got) < len(h.entries)-40 || len(got) >= len(h.entries) {
		t.Errorf("%d of %d are listed", len(got), len(h.entries))
	}
	for i, e := range got {
		if i > 0 && e.Due < got[i-1].Due {
			t.Errorf("entry %d is out of order", i)
		}
	}
	if err := s.WaitCounted(t.Context()); err != nil || !s.Stats().Counted {
		t.Errorf("not counted: %v", err)
	}
	closeSpool(t, s)
}

// The block of what concerns the whole spool is broken: the node starts, names of
// bodies are not given again, and the ledger balances from then on.
func TestBrokenMetaIsMadeAnew(t *testing.T) {
	h := makeHoled(t)
	h.spoil(t, "orders of somebody", bytes.Index)
	for n := range 3 {
		s := h.open(t)
		if s.epoch < 1<<20 {
			t.Errorf("epoch %d", s.epoch)
		}
		accept(t, s, ID{250, byte(n)}, content(2*chunkSize, uint64(n)))
		if a, err := s.Audit(t.Context()); err != nil || !a.Balanced() {
			t.Errorf("%s, %v", a, err)
		}
		if b, err := s.Control(); n == 0 && !unread(err) || n > 0 && string(b) != "new orders" {
			t.Errorf("orders %q, %v", b, err)
		}
		if err := s.SetControl([]byte("new orders")); err != nil {
			t.Error(err)
		}
		if n == 1 {
			if err := s.db.Flush(); err != nil {
				t.Error(err)
			}
		}
		if got := readBody(t, s, ID{250, 0}); !bytes.Equal(got, content(2*chunkSize, 0)) {
			t.Error("a body has changed")
		}
		closeSpool(t, s)
	}
}

func TestArithmeticOfIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		half := rapid.Uint64()
		id := func(name string) (id ID) {
			for i := range 8 {
				h := half.Draw(t, name)
				id[i], id[8+i] = byte(h), byte(h>>8)
			}
			return id
		}
		a, b := id("a"), id("b")
		if bytes.Compare(a[:], b[:]) > 0 {
			a, b = b, a
		}
		m := middle(a, b)
		if bytes.Compare(m[:], a[:]) < 0 || bytes.Compare(m[:], b[:]) > 0 || m == b && a != b {
			t.Fatalf("the middle of %x and %x is %x", a, b, m)
		}
		k := rapid.IntRange(0, 127).Draw(t, "k")
		if c, more := after(a, k); more != (bytes.Compare(c[:], a[:]) > 0) || more && k > 0 && middle(a, c) != first(after(a, k-1)) {
			t.Fatalf("%x and 2^%d is %x, %v", a, k, c, more)
		}
	})
}

func first(id ID, _ bool) ID { return id }
