package spool

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// faulty is a disk on which operations fail: those from the given one on, so
// many of them. Operations that the fault does not concern are not counted.
type faulty struct {
	at, times int64
	err       error
	concerns  func(errorfs.Op) bool

	count, left atomic.Int64
	hit         atomic.Pointer[errorfs.Op]
}

func newFaulty(at, times int64, err error, concerns func(errorfs.Op) bool) *faulty {
	f := &faulty{at: at, times: times, err: err, concerns: concerns}
	f.left.Store(times)
	return f
}

func (f *faulty) String() string {
	return fmt.Sprintf("%d times %v from operation %d on", f.times, f.err, f.at)
}

func (f *faulty) MaybeError(op errorfs.Op) error {
	if !f.concerns(op) || f.count.Add(1) <= f.at || f.left.Add(-1) < 0 {
		return nil
	}
	f.hit.CompareAndSwap(nil, &op)
	return f.err
}

func anyOperation(errorfs.Op) bool { return true }

// needsRoom are the operations that a full disk fails.
func needsRoom(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpLink, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpMkdirAll,
		errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate:
		return true
	}
	return false
}

// life is a spool's life on a bad disk. Every call may fail; what one that does
// not has promised is in told. broken collects what must not happen.
type life struct {
	told
	s       *Spool
	disk    *faulty
	opening bool // the fault came while the spool was being opened
	ending  bool // the fault came while the spool was being closed
	failed  []error
	broken  []string
}

func (l *life) wrong(format string, args ...any) {
	l.broken = append(l.broken, fmt.Sprintf(format, args...))
}

// call notes what a call that succeeds promises about messages.
func (l *life) call(after fate, f func() error, ids ...ID) bool {
	for _, id := range ids {
		l.fates[id] = unsaid
	}
	if err := f(); err != nil {
		l.failed = append(l.failed, err)
		return false
	}
	for _, id := range ids {
		l.fates[id] = after
	}
	return true
}

// some is content of one text, so that it need not be made for each life.
func some(size int) []byte { return all[:size] }

var all = content(8*chunkSize, 1)

func (l *life) accept(text []byte, ids ...ID) {
	b := l.s.NewBody()
	defer b.Discard()
	if !l.call(there, func() error { _, err := b.Write(text); return err }) {
		return
	}
	var list []Incoming
	for _, id := range ids {
		l.texts[id] = text
		list = append(list, Incoming{ID: id, Body: b, Envelope: id[:], Recipients: 2})
	}
	l.call(there, func() error { return l.s.Accept(list...) }, ids...)
}

// settle takes an entry out of the queue; at the last one the message is gone.
func (l *life) settle(e Settlement) {
	if e.Requeue == nil {
		e.Ends = ended(Delivered)
	}
	was := l.fates[e.ID]
	var finished []bool
	if l.call(unsaid, func() (err error) { finished, err = l.s.Settle(e); return err }, e.ID) {
		l.fates[e.ID] = was
		if finished[0] {
			l.fates[e.ID] = gone
		}
	}
}

// look reads everything that must be there.
func (l *life) look() {
	for id, f := range l.fates {
		_, err := l.s.Load(id)
		if err == nil && f == there {
			var all bytes.Buffer
			var r *BodyReader
			if r, err = l.s.OpenBody(id); err == nil {
				if _, err = r.WriteTo(&all); err == nil && !bytes.Equal(all.Bytes(), l.texts[id]) {
					l.wrong("message %x has another body", id)
				}
				_ = r.Close()
			}
		}
		switch {
		case f == there && errors.Is(err, ErrNotFound):
			l.wrong("message %x is lost", id)
		case f == gone && err == nil:
			l.wrong("message %x came back", id)
		}
	}
}

// live is accept, plan, deliver, delete, with what the store does besides: logs
// that end, tables that are written and merged.
func (l *life) live() {
	id := func(n byte) ID { return ID{1, n} }
	l.accept(some(3000), id(1))
	l.accept(some(2*chunkSize+5), id(2))
	l.accept(some(100), id(3), id(4))
	l.accept(nil, id(5))
	for n := byte(1); n <= 4; n++ {
		l.call(there, func() error { return l.s.Plan(id(n), []byte("plan"), []Entry{{"a", 1, nil}, {"b", 1, nil}}, nil) })
	}
	l.settle(Settlement{ID: id(1), Queue: "a", Due: 1, Outcomes: []OutcomeRecord{{1, []byte("later")}}, Requeue: &Entry{"a", 2, nil}})
	l.accept(some(8*chunkSize), id(6)) // more than a memtable
	l.settle(Settlement{ID: id(1), Queue: "a", Due: 2})
	l.settle(Settlement{ID: id(3), Queue: "a", Due: 1})
	l.settle(Settlement{ID: id(3), Queue: "b", Due: 1})
	l.call(there, func() error { return l.s.SetAside(id(4), nil, Entry{"a", 1, nil}) }, id(4))
	l.call(there, func() error { _, _, err := l.s.Release(id(4)); return err }, id(4))
	l.look()
	l.call(gone, func() error { return l.s.Remove(id(2)) }, id(2))
	l.accept(some(5000), id(7))
}

// goOn is a short life on what an earlier one left.
func (l *life) goOn() {
	l.look()
	l.accept(some(700), ID{2, byte(len(l.texts))})
	if id := (ID{1, 6}); l.fates[id] != gone {
		l.call(gone, func() error { return l.s.Remove(id) }, id)
	}
	l.settle(Settlement{ID: ID{1, 4}, Queue: "a", Due: 1})
	l.settle(Settlement{ID: ID{1, 4}, Queue: "b", Due: 1})
}

// lives goes through the whole story on a disk: a life, an orderly end, two more
// lives on what is left. An Open that fails ends it.
func (l *life) lives(fs vfs.FS) {
	for n := range byte(3) {
		before := l.disk.hit.Load() == nil
		s, err := Open("data/spool", Options{FS: fs, MemTable: 2 << 20, again: time.Millisecond, Recipients: countTags, tune: func(p *pebble.Options) {
			p.L0CompactionThreshold = 1 // tables are merged as soon as there are two
			p.CacheSize = 1 << 20
		}})
		l.opening = l.opening || before && l.disk.hit.Load() != nil
		if err != nil {
			l.failed = append(l.failed, err)
			return
		}
		l.s = s
		if n == 0 {
			l.live()
		} else {
			l.goOn()
		}
		select {
		case <-s.Failed():
			// Nothing may be promised from here on.
			l.call(there, func() error { return s.Accept(Incoming{ID: ID{9, n}, Body: s.NewBody()}) }, ID{9, n})
			if l.fates[ID{9, n}] == there {
				l.wrong("a spool that failed accepts")
			}
		default:
		}
		for s.disk.waiting.Load() > 0 { // an end while there is no room is another story
			runtime.Gosched()
		}
		before = l.disk.hit.Load() == nil
		err = s.Close()
		l.ending = l.ending || before && l.disk.hit.Load() != nil
		if err != nil {
			l.failed = append(l.failed, err)
			return
		}
	}
}

// after opens what the disk has kept if the power fails now, and holds it against
// what was promised.
func (l *life) after(t *testing.T, disk *vfs.MemFS, what string) {
	t.Helper()
	l.told.fates[ID{}] = gone
	im := image{what, disk.CrashClone(vfs.CrashCloneCfg{}), l.told}
	checkImage(t, im)
	for _, b := range l.broken {
		t.Errorf("%s: %s", what, b)
	}
}

var each = flag.Bool("each", false, "let disks fail at each operation, also for good")

// batch is how many lives one process has: each may leave some MB behind.
const batch = 40

// everyOperation lives on disks of which each fails at another operation, until
// one is so late that nothing fails. The race detector sees one in stride of them; of
// faults that stay, one in three is seen, unless each is asked for. judge sees each life.
func everyOperation(t *testing.T, times int64, fault error, concerns func(errorfs.Op) bool, judge func(t *testing.T, l *life)) {
	t.Helper()
	stride := int64(stride)
	if times > 1 && !*each {
		stride *= 3 // the first fault of a life is like that of a disk that fails once
	}
	from, err := strconv.ParseInt(os.Getenv(failedDiskProcess), 10, 64)
	if err != nil {
		t.Parallel() // the children use one core each
		for from = 0; inChild(t, from); from += batch * stride {
		}
		return
	}
	kinds := map[errorfs.OpKind]int{}
	for at := from; at < from+batch*stride; at += stride {
		disk, f := vfs.NewCrashableMem(), newFaulty(at, times, fault, concerns)
		l := &life{told: told{map[ID]fate{}, map[ID][]byte{}, map[ID]string{}}, disk: f}
		l.lives(errorfs.Wrap(disk, f))
		op := f.hit.Load()
		if op == nil {
			if at < 50 || len(l.failed) > 0 {
				t.Errorf("after %d operations nothing failed; errors of the healthy life: %v", at, l.failed)
			}
			t.Logf("kinds of operation: %v; %s%d", kinds, lastOperation, at)
			return
		}
		kinds[op.Kind]++
		what := fmt.Sprintf("operation %d (kind %d, %s) failed with %v", at, op.Kind, op.Path, fault)
		l.after(t, disk, what)
		judge(t, l)
		if t.Failed() {
			t.Fatalf("%s; errors: %v", what, l.failed)
		}
	}
	t.Logf("kinds of operation: %v", kinds)
}

const lastOperation = "nothing fails from operation "

// inChild runs the test, from an operation on, in a process of its own: a failed
// store leaves goroutines behind. It says whether there is more to do.
func inChild(t *testing.T, from int64) (more bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m", fmt.Sprintf("-each=%v", *each))
	child.Env = append(os.Environ(), fmt.Sprint(failedDiskProcess, "=", from))
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("from operation %d on: %v\n%s", from, err, out)
	}
	t.Logf("from operation %d on:\n%s", from, out)
	return !strings.Contains(string(out), lastOperation)
}

// Any one operation of the disk fails once: the process lives, no call hangs, and
// what was promised is there after the next start. When it was a sync of the log,
// nothing is accepted until then.
func TestEveryOperationFailsOnce(t *testing.T) {
	everyOperation(t, 1, syscall.EIO, anyOperation, func(t *testing.T, l *life) {
		t.Helper()
		op := l.disk.hit.Load()
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpFileWrite:
			if strings.HasSuffix(op.Path, ".log") && !l.opening && !errors.Is(errors.Join(l.failed...), ErrFailed) {
				t.Errorf("the log failed, and nobody heard of it")
			}
		}
	})
}

// The disk dies at any one operation: everything fails from there on.
func TestDiskDiesAtEveryOperation(t *testing.T) {
	everyOperation(t, 1<<40, syscall.EIO, anyOperation, func(t *testing.T, l *life) {
		t.Helper()
		if len(l.failed) == 0 && !l.ending {
			t.Error("the disk is dead and nobody noticed")
		}
	})
}

// The disk is full at any one operation, and some more, and then has room: all
// calls succeed in the end, or were refused with ErrFull, and the spool works on.
func TestDiskFullAtEveryOperation(t *testing.T) {
	everyOperation(t, 3, syscall.ENOSPC, needsRoom, func(t *testing.T, l *life) {
		t.Helper()
		for _, err := range l.failed {
			// Of what was refused there is nothing to be found. An end does not wait for room.
			if !errors.Is(err, ErrFull) && !errors.Is(err, ErrNotFound) && !l.ending {
				t.Errorf("a full disk is met as %v", err)
			}
		}
	})
}
