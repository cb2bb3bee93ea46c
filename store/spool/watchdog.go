package spool

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A disk may answer neither well nor with an error: its cable is out, its controller or
// the server behind it is gone, and the kernel waits. Nobody can call off what waits
// there. So each operation is noted with its begin (watched.go), and a watchdog
// looks at those under way. One that lasts too long is told of; one that lasts longer than
// the limit is given up, and with it the disk (failure.go).
//
// Time is counted in ticks of the watchdog: an operation reads no clock, and a process that
// was stopped, or a machine that slept, has not waited for its disk meanwhile.

const (
	// tick is the watchdog's step.
	tick = time.Second
	// slowTicks is when an operation is worth a line in the log; the next ones come when
	// it has lasted twice as long each time.
	slowTicks = 5
	// defaultDiskTimeout is Options.DiskTimeout when it is zero.
	defaultDiskTimeout = 5 * time.Minute
	// watchSlots is how many operations are noted at the same time.
	watchSlots = 256
)

// operation is a kind of operation of a file system.
type operation uint32

const (
	opCreate operation = iota
	opOpen
	opOpenFolder
	opLink
	opRename
	opRemove
	opMakeFolder
	opLock
	opUnlock
	opList
	opStat
	opFreeSpace
	opRead
	opWrite
	opReserve
	opSync
	opClose
)

// String is its name in the log.
func (o operation) String() string {
	return [...]string{"create", "open", "open folder", "link", "rename", "remove", "make folder", "lock", "unlock", "list",
		"stat", "measure free space", "read", "write", "reserve room", "sync", "close"}[o]
}

// slot notes one operation. It is as large as a cache line, so that operations that run
// at the same time do not slow each other down.
type slot struct {
	since atomic.Int64 // the tick in which it began; 0: there is none; taken: it is being noted
	kind  atomic.Uint32
	file  atomic.Pointer[string]
	_     [40]byte
}

// taken is no tick: nothing else in the slot can be read yet.
const taken = -1

// end notes that the operation returned.
func (s *slot) end() { s.since.Store(0) }

// wait is an operation that lasts.
type wait struct {
	kind operation
	file string
	took time.Duration // at least
}

// watchdog watches the operations of one disk.
type watchdog struct {
	limit  int64 // ticks
	giveUp func(error)
	log    *zap.Logger

	now   atomic.Int64 // ticks, from 1
	slots [watchSlots]slot
	spill slot // of operations beyond; nobody looks at it
	// longest is how many ticks the oldest operation under way has lasted.
	longest atomic.Int64

	telling atomic.Bool // a line is being written
	late    atomic.Bool // slow operations were told of, and not yet that they ended
	tell    [watchSlots]struct{ since, next int64 }

	// given is closed when the disk was given up.
	given    chan struct{}
	stopped  chan struct{}
	stopOnce sync.Once
}

// newWatchdog makes one that gives the disk up after limit.
func newWatchdog(limit time.Duration, giveUp func(error), log *zap.Logger) *watchdog {
	if limit == 0 {
		limit = defaultDiskTimeout
	}
	w := &watchdog{limit: max(1, int64((limit+tick-1)/tick)), giveUp: giveUp, log: log, given: make(chan struct{}), stopped: make(chan struct{})}
	w.now.Store(1)
	return w
}

// run watches until stop, or until it has given the disk up. ticks is the clock.
func (w *watchdog) run(ticks <-chan time.Time) {
	for {
		select {
		case <-ticks:
		case <-w.stopped:
			return
		}
		dead, slow := w.look()
		w.report(slow)
		if dead != nil {
			close(w.given)
			w.giveUp(fmt.Errorf("the disk does not answer: %s of %s has lasted %v, and nobody can tell what became of it", dead.kind, dead.file, dead.took))
			return
		}
	}
}

// start runs it by the system's clock.
func (w *watchdog) start() {
	t := time.NewTicker(tick)
	go func() {
		defer t.Stop()
		w.run(t.C)
	}()
}

func (w *watchdog) stop() { w.stopOnce.Do(func() { close(w.stopped) }) }

// begin notes an operation; the caller ends it. Beyond watchSlots of them one is not
// noted: those that are suffice to tell that the disk is dead.
func (w *watchdog) begin(kind operation, file *string) *slot {
	now, first := w.now.Load(), rand.Uint32()
	for n := range uint32(watchSlots) {
		s := &w.slots[(first+n)%watchSlots]
		if s.since.Load() == 0 && s.since.CompareAndSwap(0, taken) {
			s.kind.Store(uint32(kind))
			s.file.Store(file)
			s.since.Store(now)
			return s
		}
	}
	return &w.spill
}

// look makes a tick pass: it gives an operation that has reached the limit, and those
// that must be told of.
func (w *watchdog) look() (dead *wait, slow []wait) {
	now := w.now.Add(1)
	var longest int64
	for i := range w.slots {
		s, told := &w.slots[i], &w.tell[i]
		since := s.since.Load()
		if since <= 0 {
			continue
		}
		// It may have begun just before a tick.
		lasted := now - since - 1
		longest = max(longest, lasted)
		if lasted < slowTicks && lasted < w.limit {
			continue
		}
		if told.since != since {
			told.since, told.next = since, slowTicks
		}
		x := wait{operation(s.kind.Load()), *s.file.Load(), time.Duration(lasted) * tick}
		if s.since.Load() != since {
			continue // it returned just now
		}
		if lasted >= told.next {
			told.next = 2 * lasted
			slow = append(slow, x)
		}
		if lasted >= w.limit && dead == nil {
			dead = &x
		}
	}
	w.longest.Store(longest)
	return dead, slow
}

// report writes lines on slow operations, and one when there are none any more. The log may
// be on the same disk, so nobody waits for it.
func (w *watchdog) report(slow []wait) {
	over := len(slow) == 0 && w.longest.Load() < slowTicks && w.late.Load()
	if len(slow) == 0 && !over || !w.telling.CompareAndSwap(false, true) {
		return
	}
	w.late.Store(!over)
	go func() {
		defer w.telling.Store(false)
		if over {
			w.log.Info("spool_disk_answers")
		}
		for _, x := range slow {
			w.log.Warn("spool_disk_slow", zap.Stringer("operation", x.kind), zap.String("file", x.file), zap.Duration("took", x.took),
				zap.String("cure", fmt.Sprintf("look at the disk; after %v without an answer the node ends", time.Duration(w.limit)*tick)))
		}
	}()
}

// waited is how long the oldest operation under way has lasted, in whole ticks.
func (w *watchdog) waited() time.Duration { return time.Duration(w.longest.Load()) * tick }
