package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fate is what the script has been told about a message so far.
type fate uint8

const (
	unsaid fate = iota // a call is under way: both are right
	there
	gone
)

// told is everything that was acknowledged: what must be true after a crash.
type told struct {
	fates    map[ID]fate
	texts    map[ID][]byte
	outcomes map[ID]string
}

func (w *told) copy() told {
	c := told{map[ID]fate{}, map[ID][]byte{}, map[ID]string{}}
	for k, v := range w.fates {
		c.fates[k] = v
	}
	for k, v := range w.texts {
		c.texts[k] = v
	}
	for k, v := range w.outcomes {
		c.outcomes[k] = v
	}
	return c
}

// image is the disk at one instant, with what had been promised by then.
type image struct {
	point string
	fs    *vfs.MemFS
	told  told
}

// camera takes images of the disk at every fault point: one with nothing but
// what was synced, one with a random half of the rest.
type camera struct {
	fs     *vfs.MemFS
	told   told
	rng    *rand.Rand
	images []image
}

func (c *camera) take(point string) error {
	for _, percent := range []int{0, 50} {
		fs := c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.rng})
		c.images = append(c.images, image{fmt.Sprintf("%s with %d %% of what was not synced", point, percent), fs, c.told.copy()})
	}
	return nil
}

// TestCrashAtEveryFaultPoint walks a script that passes every point, cuts the
// power at each, opens what is left and holds it against what was promised and
// against the table of legal states.
func TestCrashAtEveryFaultPoint(t *testing.T) {
	const seed = 20
	c := &camera{fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(seed, 0))}
	c.told = told{map[ID]fate{}, map[ID][]byte{}, map[ID]string{}}
	seen := map[string]bool{}
	faults := func(o *Options) {
		o.Faults = func(point string) error {
			seen[point] = true
			return c.take(point)
		}
	}
	s := opened(t, c.fs, faults, weighed)
	script(t, s, c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Sweeping happens in an Open after a crash.
	for _, im := range c.images {
		if seen[faultSweepDone] {
			break
		}
		c.fs = im.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: c.rng})
		c.told = im.told
		crashed := opened(t, c.fs, faults, weighed)
		if err := crashed.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range FaultPoints() {
		if !seen[p] {
			t.Errorf("the script does not pass %s", p)
		}
	}
	for _, im := range c.images {
		checkImage(t, im)
	}
	t.Logf("%d images", len(c.images))
}

func checkImage(t *testing.T, im image) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Fatalf("after a crash at %s (seed 20)", im.point)
		}
	}()
	s := opened(t, im.fs, weighed)
	audit(t, s)
	if n, err := s.Check(t.Context(), func(Problem) {}); err != nil || n.Orphans > 0 {
		t.Errorf("%d bodies are still open (%v)", n.Orphans, err)
	}
	for id, f := range im.told.fates {
		got, err := s.Load(id)
		switch {
		case f == unsaid && errors.Is(err, ErrNotFound):
		case f == gone:
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("message %x came back: %v", id, err)
			}
		case err != nil:
			t.Errorf("message %x is lost: %v", id, err)
		case !bytes.Equal(readBody(t, s, id), im.told.texts[id]):
			t.Errorf("message %x has another body", id)
		case f == there && im.told.outcomes[id] != "" && string(got.Outcomes[0].Payload) != im.told.outcomes[id]:
			t.Errorf("message %x: outcome %q, want %q", id, got.Outcomes[0].Payload, im.told.outcomes[id])
		}
	}
	// What is left can be worked off to nothing.
	for id := range im.told.fates {
		if err := s.Remove(id); err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("message %x: %v", id, err)
		}
	}
	expectEmpty(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// script is a life with everything in it; around every call it notes what has
// been promised.
func script(t *testing.T, s *Spool, c *camera) {
	t.Helper()
	w := &c.told
	call := func(after fate, f func() error, ids ...ID) {
		t.Helper()
		for _, id := range ids {
			w.fates[id] = unsaid
		}
		if err := f(); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			w.fates[id] = after
		}
	}
	incoming := func(text []byte, ids ...ID) []Incoming {
		t.Helper()
		b := body(t, s, text)
		return slices.Collect(func(yield func(Incoming) bool) {
			for _, id := range ids {
				w.texts[id] = text
				if !yield(Incoming{ID: id, Body: b, Envelope: id[:], Recipients: 2}) {
					return
				}
			}
		})
	}
	settleCall := func(list ...Settlement) func() error {
		return func() error { _, err := s.Settle(list...); return err }
	}

	small := incoming(content(5000, 1), ID{1})
	call(there, func() error { return s.Accept(small...) }, ID{1})
	large := incoming(content(2*chunkSize+5, 2), ID{2})
	call(there, func() error { return s.Accept(large...) }, ID{2})
	body(t, s, content(chunkSize+1, 3)).Discard()
	body(t, s, content(chunkSize+1, 4)) // and it never ends
	streamInStore(t, s)                 // neither does one of the first format
	both := incoming(content(chunkSize+1, 5), ID{3}, ID{4})
	call(there, func() error { return s.Accept(both...) }, ID{3}, ID{4})

	for i := byte(1); i <= 4; i++ {
		plan(t, s, ID{i}, Entry{"a", 1, nil}, Entry{"b", 1, nil})
	}
	call(there, settleCall(Settlement{ID: ID{1}, Queue: "a", Due: 1, Outcomes: []OutcomeRecord{{1, []byte("first")}}, Requeue: &Entry{"a", 2, nil}}), ID{1})
	w.outcomes[ID{1}] = "first"
	delete(w.outcomes, ID{1})
	call(there, settleCall(Settlement{ID: ID{1}, Queue: "a", Due: 2, Outcomes: []OutcomeRecord{{1, []byte("second")}}, Ends: ended(Failed)}), ID{1})
	w.outcomes[ID{1}] = "second"

	// Two that share a body end in one call, a report comes in with them.
	report := incoming(content(700, 6), ID{5})
	call(there, settleCall(Settlement{ID: ID{3}, Queue: "a", Due: 1, Ends: ended(Relayed)}, Settlement{ID: ID{4}, Queue: "a", Due: 1, Ends: ended(Expired)}))
	w.fates[ID{5}] = unsaid
	call(gone, settleCall(Settlement{ID: ID{3}, Queue: "b", Due: 1, Reports: report, Ends: ended(Delivered)}, Settlement{ID: ID{4}, Queue: "b", Due: 1, Ends: ended(Delivered)}), ID{3}, ID{4})
	w.fates[ID{5}] = there

	// One in a queue and one that is only submitted are set aside; one comes back.
	call(there, func() error { return s.SetAside(ID{2}, []byte("why"), Entry{"a", 1, nil}) }, ID{2})
	call(there, func() error { return s.SetAside(ID{5}, []byte("why")) }, ID{5})
	call(there, func() error { _, _, err := s.Release(ID{2}); return err }, ID{2})
	call(there, func() error { return s.SetAside(ID{2}, []byte("again"), Entry{"b", 1, nil}, Entry{"a", 1, nil}) }, ID{2})
	call(gone, func() error { return s.Remove(ID{2}) }, ID{2})
	call(gone, settleCall(Settlement{ID: ID{1}, Queue: "b", Due: 1, Ends: ended(Relayed)}), ID{1})
	call(gone, func() error { return s.Remove(ID{5}) }, ID{5})
}

// An error at a point must fail the call and leave nothing illegal behind.
func TestErrorAtEveryFaultPoint(t *testing.T) {
	injected := errors.New("injected")
	for _, point := range FaultPoints() {
		t.Run(point, func(t *testing.T) {
			fs := vfs.NewMem()
			armed := false
			s, err := Open("data/spool", Options{FS: fs, Faults: func(p string) error {
				if p == point && (armed || point == faultOpenCreated || point == faultOpenMarked) {
					return injected
				}
				return nil
			}})
			if point == faultOpenCreated || point == faultOpenMarked {
				if !errors.Is(err, injected) {
					t.Fatalf("opened: %v", err)
				}
				opened(t, fs) // the next start finishes the work
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			armed = true
			err = firstErrorOf(s)
			audit(t, s)
			if silent := point == faultBodyDiscarded || point == faultSweepBegin || point == faultSweepDone; !errors.Is(err, injected) && !silent {
				t.Errorf("no call failed: %v", err)
			}
		})
	}
}

// firstErrorOf runs a short life and returns its first error.
func firstErrorOf(s *Spool) error {
	b := s.NewBody()
	defer b.Discard()
	if _, err := b.Write(content(chunkSize+1, 1)); err != nil {
		return err
	}
	if err := s.Accept(Incoming{ID: ID{1}, Body: b}, Incoming{ID: ID{2}, Body: b}); err != nil {
		return err
	}
	if err := s.Plan(ID{1}, nil, []Entry{{Queue: "q", Due: 1}}, nil); err != nil {
		return err
	}
	if _, err := s.Settle(Settlement{ID: ID{1}, Queue: "q", Due: 1}); err != nil {
		return err
	}
	if err := s.SetAside(ID{2}, nil); err != nil {
		return err
	}
	return s.Remove(ID{2})
}

// streamInStore is a body that streams in as it did in the first format.
func streamInStore(t *testing.T, s *Spool) {
	t.Helper()
	b, id := s.db.NewBatch(), newBodyID(s.epoch, s.bodies.Add(1))
	err := errors.Join(b.Set(appendOpenBodyKey(nil, id), nil, nil), b.Set(appendChunkKey(nil, id, 0), content(chunkSize, 4), nil), s.commitUnsynced(b))
	if err != nil && !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
}
