package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A failed store leaves goroutines behind by design (failure.go), so
// TestFailedDisk runs in a process of its own, marked by this variable.
const failedDiskProcess = "POSTROAD_TEST_FAILED_DISK"

func TestMain(m *testing.M) {
	if os.Getenv(failedDiskProcess) != "" || os.Getenv(killedProcess) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// opened is a spool on a file system in memory that fails the test if the spool
// logs an error, or if its keys are not legal at the end.
func opened(t testing.TB, fs vfs.FS, change ...func(*Options)) *Spool {
	t.Helper()
	core, logs := observer.New(zapcore.ErrorLevel)
	o := Options{FS: fs, Logger: zap.New(core), MemTable: 2 << 20}
	for _, f := range change {
		f(&o)
	}
	s, err := Open("data/spool", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.closed.Load() {
			audit(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, l := range logs.All() {
			t.Errorf("logged: %s %v", l.Message, l.ContextMap())
		}
	})
	return s
}

func content(size int, seed uint64) []byte {
	b := make([]byte, size)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func body(t testing.TB, s *Spool, text []byte) *Body {
	t.Helper()
	b := s.NewBody()
	if n, err := b.Write(text); n != len(text) || err != nil {
		t.Fatalf("body: wrote %d of %d octets, %v", n, len(text), err)
	}
	return b
}

func accept(t testing.TB, s *Spool, id ID, text []byte) {
	t.Helper()
	if err := s.Accept(Incoming{ID: id, Body: body(t, s, text), Envelope: []byte("envelope")}); err != nil {
		t.Fatal(err)
	}
}

func plan(t testing.TB, s *Spool, id ID, entries ...Entry) {
	t.Helper()
	if err := s.Plan(id, []byte("plan"), entries, plannedPosts(len(entries))); err != nil {
		t.Fatal(err)
	}
}

func settle(t testing.TB, s *Spool, list ...Settlement) []bool {
	t.Helper()
	finished, err := s.Settle(list...)
	if err != nil {
		t.Fatal(err)
	}
	return finished
}

func readBody(t testing.TB, s *Spool, id ID) []byte {
	t.Helper()
	r, err := s.OpenBody(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all bytes.Buffer
	if n, err := r.WriteTo(&all); err != nil || n != r.Size() {
		t.Fatalf("read %d of %d octets, %v", n, r.Size(), err)
	}
	return all.Bytes()
}

func TestLifeOfAMessage(t *testing.T) {
	fs := vfs.NewMem()
	s := opened(t, fs)
	id, text := ID{1}, content(10_000, 1)
	accept(t, s, id, text)
	if ids, err := s.Submitted(ID{}, 10); err != nil || !reflect.DeepEqual(ids, []ID{id}) {
		t.Fatalf("submitted: %x, %v", ids, err)
	}
	plan(t, s, id, Entry{"a.example", 10, []byte("0")}, Entry{"b.example", 20, []byte("1")})
	if got := settle(t, s, Settlement{ID: id, Queue: "a.example", Due: 10, Outcomes: []OutcomeRecord{{7, []byte("later")}}, Requeue: &Entry{"a.example", 30, []byte("0")}}); got[0] {
		t.Error("a requeued message is finished")
	}
	want := Stored{
		Envelope: []byte("envelope"), Plan: []byte("plan"), BodySize: int64(len(text)),
		Outcomes: []OutcomeRecord{{7, []byte("later")}},
		Entries:  []Entry{{"b.example", 20, []byte("1")}, {"a.example", 30, []byte("0")}},
	}
	reopened := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = opened(t, fs)
	}
	for range 2 { // from memory, then from disk
		if got, err := s.Load(id); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("loaded %+v, %v, want %+v", got, err, want)
		}
		if !bytes.Equal(readBody(t, s, id), text) {
			t.Error("the body is not what was written")
		}
		reopened()
	}
	if got := settle(t, s, Settlement{ID: id, Queue: "b.example", Due: 20}); got[0] {
		t.Error("finished with one entry left")
	}
	if got := settle(t, s, Settlement{ID: id, Queue: "a.example", Due: 30}); !got[0] {
		t.Error("not finished with no entry left")
	}
	if _, err := s.Load(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a finished message loads: %v", err)
	}
	if _, err := s.OpenBody(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a finished message has a body: %v", err)
	}
	expectEmpty(t, s)
}

// expectEmpty: nothing but facts about the spool itself.
func expectEmpty(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.scan([]byte{tagMeta + 1}, []byte{0xff}, unexpected(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitCounted(context.Background()); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Messages != 0 || st.Bytes != 0 || st.Entries != 0 || !st.Counted {
		t.Errorf("an empty spool counts %+v", st)
	}
}

func TestBodiesOfAllSizes(t *testing.T) {
	s := opened(t, vfs.NewMem())
	for i, size := range []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize + 17} {
		id, text := ID{byte(i + 1)}, content(size, uint64(i))
		b := s.NewBody()
		for rest := text; len(rest) > 0; {
			n := min(len(rest), 1+size/7)
			if _, err := b.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if b.Size() != int64(size) {
			t.Errorf("size %d, want %d", b.Size(), size)
		}
		if err := s.Accept(Incoming{ID: id, Body: b}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readBody(t, s, id), text) {
			t.Errorf("WriteTo: body of %d octets differs", size)
		}
		r, err := s.OpenBody(id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(struct{ io.Reader }{r}); err != nil || !bytes.Equal(got, text) {
			t.Errorf("Read: body of %d octets differs, %v", size, err)
		}
		r.Close()
		audit(t, s)
		if err := s.Remove(id); err != nil {
			t.Fatal(err)
		}
	}
	expectEmpty(t, s)
}

func TestSharedBodyGoesWithItsLastEnvelope(t *testing.T) {
	for _, together := range []bool{false, true} {
		s := opened(t, vfs.NewMem())
		text := content(chunkSize+5, 3)
		b := body(t, s, text)
		ids := []ID{{1}, {2}, {3}}
		var msgs []Incoming
		var list []Settlement
		for _, id := range ids {
			msgs = append(msgs, Incoming{ID: id, Body: b, Envelope: id[:]})
			list = append(list, Settlement{ID: id, Queue: "q", Due: 1})
		}
		if err := s.Accept(msgs...); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			plan(t, s, id, Entry{Queue: "q", Due: 1})
		}
		audit(t, s)
		if together {
			settle(t, s, list...)
		}
		for i := range list {
			if !bytes.Equal(readAny(t, s, ids[i:], together), text) && !together {
				t.Errorf("the body is gone with %d envelopes left", len(ids)-i)
			}
			if !together {
				settle(t, s, list[i])
				audit(t, s)
			}
		}
		expectEmpty(t, s)
	}
}

func readAny(t *testing.T, s *Spool, ids []ID, gone bool) []byte {
	t.Helper()
	if gone {
		return nil
	}
	return readBody(t, s, ids[len(ids)-1])
}

func TestReportsComeWithTheSettlement(t *testing.T) {
	s := opened(t, vfs.NewMem())
	accept(t, s, ID{1}, []byte("message"))
	report := body(t, s, []byte("report"))
	if err := s.Plan(ID{1}, nil, []Entry{{Queue: "q", Due: 1}}, nil, Incoming{ID: ID{2}, Body: report}); err != nil {
		t.Fatal(err)
	}
	if got := settle(t, s, Settlement{ID: ID{1}, Queue: "q", Due: 1, Reports: []Incoming{{ID: ID{3}, Body: body(t, s, []byte("second"))}}}); !got[0] {
		t.Error("not finished")
	}
	if err := s.Remove(ID{2}, Incoming{ID: ID{4}, Body: body(t, s, []byte("third"))}); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.Submitted(ID{}, 10); err != nil || !reflect.DeepEqual(ids, []ID{{3}, {4}}) {
		t.Fatalf("submitted: %x, %v", ids, err)
	}
	if got := string(readBody(t, s, ID{4})); got != "third" {
		t.Errorf("report reads %q", got)
	}
}

func TestSettlingWhatIsGone(t *testing.T) {
	s := opened(t, vfs.NewMem())
	accept(t, s, ID{1}, []byte("removed"))
	accept(t, s, ID{2}, []byte("stays"))
	plan(t, s, ID{1}, Entry{Queue: "q", Due: 1})
	plan(t, s, ID{2}, Entry{Queue: "q", Due: 1})
	if err := s.Remove(ID{1}); err != nil {
		t.Fatal(err)
	}
	late := body(t, s, content(chunkSize+1, 9))
	got := settle(t, s,
		Settlement{ID: ID{1}, Queue: "q", Due: 1, Reports: []Incoming{{ID: ID{9}, Body: late}}},
		Settlement{ID: ID{2}, Queue: "q", Due: 77},
		Settlement{ID: ID{2}, Queue: "q", Due: 1, Requeue: &Entry{Queue: "q", Due: 1}})
	if want := []bool{true, false, false}; !reflect.DeepEqual(got, want) {
		t.Errorf("finished %v, want %v", got, want)
	}
	if _, err := s.Load(ID{9}); !errors.Is(err, ErrNotFound) {
		t.Errorf("the report of a removed message was accepted: %v", err)
	}
	if got := s.Weigh("q").Entries; got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
	if err := s.Remove(ID{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestQueuesAreReadInOrder(t *testing.T) {
	fs := vfs.NewMem()
	s := opened(t, fs)
	names := []string{"a", "a\x00", "a\x00b", "ab", "b"}
	for i := range 20 {
		id := ID{byte(i + 1)}
		accept(t, s, id, nil)
		plan(t, s, id, Entry{names[i%len(names)], int64(100 - i), []byte{byte(i)}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, fs)
	var want []QueueHead
	for i, n := range names {
		want = append(want, QueueHead{n, int64(100 - 15 - i)})
	}
	if heads, err := s.Queues(); err != nil || !reflect.DeepEqual(heads, want) {
		t.Errorf("queues %v, %v, want %v", heads, err, want)
	}
	var dues []int64
	for after := (Position{}); ; {
		page, err := s.Entries("a\x00", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			dues = append(dues, e.Due)
			if e.ID[0] != e.Tag[0]+1 {
				t.Errorf("entry %+v has another's tag", e)
			}
			after = Position{e.Due, e.ID}
		}
		if len(page) < 3 {
			break
		}
	}
	if !reflect.DeepEqual(dues, []int64{84, 89, 94, 99}) {
		t.Errorf("dues %v", dues)
	}
	if err := s.WaitCounted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Weigh("a\x00").Entries; n != 4 || s.Weigh("none") != (Weight{}) || s.Stats().Messages != 20 {
		t.Errorf("counted %d entries, stats %+v", n, s.Stats())
	}
}
