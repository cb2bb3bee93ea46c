package spool

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestReserveHasHysteresis(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	s := opened(t, vfs.NewMem(), func(o *Options) {
		o.Free = func() (uint64, error) { return free.Load(), nil }
		o.MinFree = 100_000
	})
	s.space.every = 0
	for i, step := range []struct {
		free uint64
		full bool
	}{{400_000, false}, {101_000, false}, {99_999, true}, {124_999, true}, {126_000, false}, {1 << 40, false}} {
		free.Store(step.free)
		if got := s.Free(); got != step.free {
			t.Errorf("step %d: %d free, want %d", i, got, step.free)
		}
		b := body(t, s, []byte("x"))
		err := s.Accept(Incoming{ID: ID{byte(i + 1)}, Body: b})
		if errors.Is(err, ErrFull) != step.full || err != nil && !step.full {
			t.Errorf("step %d, %d free: %v, want full %v", i, step.free, err, step.full)
		}
		b.Discard()
	}
}

func TestFullRefusesNewMailOnly(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	s := opened(t, vfs.NewMem(), func(o *Options) { o.Free = func() (uint64, error) { return free.Load(), nil } })
	s.space.every = 0
	accept(t, s, ID{1}, []byte("x"))
	small := body(t, s, []byte("y"))
	free.Store(1000)
	if _, err := s.NewBody().Write(content(chunkSize+1, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("a body streams in: %v", err)
	}
	if err := s.Accept(Incoming{ID: ID{2}, Body: small}); !errors.Is(err, ErrFull) {
		t.Errorf("accepted: %v", err)
	}
	plan(t, s, ID{1}, Entry{Queue: "q", Due: 1})
	if got := settle(t, s, Settlement{ID: ID{1}, Queue: "q", Due: 1}); !got[0] {
		t.Error("what is in cannot leave")
	}
	free.Store(1 << 40)
	if err := s.Accept(Incoming{ID: ID{2}, Body: small}); err != nil {
		t.Errorf("with room again, the same body: %v", err)
	}
}

func TestWrittenOctetsCountBetweenMeasurements(t *testing.T) {
	s := opened(t, vfs.NewMem(), func(o *Options) {
		o.Free = func() (uint64, error) { return defaultMinFree*5/4 + 20_000, nil }
	})
	s.space.every = time.Hour
	s.space.left.Store(defaultMinFree + 20_000)
	accept(t, s, ID{1}, content(15_000, 1))
	b := body(t, s, content(15_000, 2))
	if err := s.Accept(Incoming{ID: ID{2}, Body: b}); !errors.Is(err, ErrFull) {
		t.Errorf("accepted beyond the reserve: %v", err)
	}
	b.Discard()
}

// gate is a disk that is full while it is shut.
type gate struct{ shut, hit atomic.Bool }

func (g *gate) String() string { return "full while shut" }

func (g *gate) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpReuseForWrite:
		if g.shut.Load() {
			g.hit.Store(true)
			return syscall.ENOSPC
		}
	}
	return nil
}

// A disk that fills up under a running write: the write waits, other calls get
// ErrFull at once, and with room again everything goes on.
func TestFullDiskIsADelay(t *testing.T) {
	g := &gate{}
	s, err := Open("data/spool", Options{FS: errorfs.Wrap(vfs.NewMem(), g), MemTable: 2 << 20, again: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, ID{1}, []byte("before"))
	g.shut.Store(true)
	caught := body(t, s, []byte("caught"))
	done := make(chan error)
	go func() { done <- s.Accept(Incoming{ID: ID{2}, Body: caught}) }()
	for s.admitInside() == nil {
		select {
		case err := <-done:
			t.Fatalf("accepted on a full disk: %v", err)
		default:
		}
	}
	if !g.hit.Load() || s.Free() != 0 {
		t.Errorf("%d octets are free on a full disk", s.Free())
	}
	refused := body(t, s, []byte("refused"))
	if err := s.Accept(Incoming{ID: ID{3}, Body: refused}); !errors.Is(err, ErrFull) {
		t.Errorf("accepted on a full disk: %v", err)
	}
	if err := s.Plan(ID{1}, nil, []Entry{{Queue: "q", Due: 1}}, nil); !errors.Is(err, ErrFull) {
		t.Errorf("planned on a full disk: %v", err)
	}
	g.shut.Store(false)
	if err := <-done; err != nil {
		t.Errorf("the caught one: %v", err)
	}
	for errors.Is(s.admitInside(), ErrFull) { // the last waiting write may be another's
	}
	if err := s.Accept(Incoming{ID: ID{3}, Body: refused}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	// Through a few memtables and tables, too.
	for i := range 8 {
		accept(t, s, ID{9, byte(i)}, content(chunkSize*2, uint64(i)))
	}
	audit(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// broken fails writes of log files from when it is set, for another reason
// than space.
type broken struct{ on atomic.Bool }

func (b *broken) String() string { return "input/output error" }

func (b *broken) MaybeError(op errorfs.Op) error {
	if b.on.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
		return syscall.EIO
	}
	return nil
}

// A disk that fails: no call reports success, none hangs, the process lives,
// and the next one finds everything that was acknowledged.
func TestFailedDisk(t *testing.T) {
	if os.Getenv(failedDiskProcess) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestFailedDisk$", "-test.v")
		child.Env = append(os.Environ(), failedDiskProcess+"=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFailedDisk") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	disk, b := vfs.NewCrashableMem(), &broken{}
	s, err := Open("data/spool", Options{FS: errorfs.Wrap(disk, b)})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, ID{1}, []byte("acknowledged"))
	plan(t, s, ID{1}, Entry{Queue: "q", Due: 1})
	b.on.Store(true)
	if err := s.Accept(Incoming{ID: ID{2}, Body: body(t, s, []byte("not"))}); !errors.Is(err, ErrFailed) {
		t.Fatalf("accepted: %v", err)
	}
	select {
	case <-s.Failed():
	default:
		t.Error("Failed is not closed")
	}
	b.on.Store(false)
	if _, err := s.Settle(Settlement{ID: ID{1}, Queue: "q", Due: 1}); !errors.Is(err, ErrFailed) {
		t.Errorf("settled after a failure: %v", err)
	}
	if err := s.Plan(ID{1}, nil, []Entry{{Queue: "q", Due: 1}}, nil); !errors.Is(err, ErrFailed) {
		t.Errorf("planned after a failure: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrFailed) {
		t.Errorf("closed: %v", err)
	}
	next := opened(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	if got := string(readBody(t, next, ID{1})); got != "acknowledged" {
		t.Errorf("read %q", got)
	}
	if _, err := next.Load(ID{2}); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
}

func TestDiskUsageIsAskedOfTheFolder(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "spool"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.DiskFree == 0 || st.DiskUsed == 0 {
		t.Errorf("stats %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
