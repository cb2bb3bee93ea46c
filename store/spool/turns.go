package spool

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// turns lets mergings of tables begin; it implements pebble.CompactionScheduler.
// None begins before begin: Pebble's Open waits for those under way, and one that
// meets something unreadable stands still for ever.
//
// Its lock comes after Pebble's, so it is never held while Pebble is called.
type turns struct {
	db pebble.DBForCompaction

	mu            sync.Mutex
	asked         *sync.Cond // asking is false again
	begun, ended  bool
	asking, again bool
	running       int
}

func newTurns() *turns {
	t := &turns{}
	t.asked = sync.NewCond(&t.mu)
	return t
}

// begin opens the gate.
func (t *turns) begin() {
	t.mu.Lock()
	t.begun = true
	t.mu.Unlock()
	t.UpdateGetAllowedWithoutPermission()
}

// Register implements pebble.CompactionScheduler.
func (t *turns) Register(_ int, db pebble.DBForCompaction) { t.db = db }

// Unregister implements pebble.CompactionScheduler: Pebble is not called any more.
func (t *turns) Unregister() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for t.asking {
		t.asked.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (t *turns) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.free() {
		t.again = true // the place may be only that of an ask under way, which Pebble said no to before
		return false, nil
	}
	t.running++
	return true, t
}

// free says whether one more may begin.
func (t *turns) free() bool {
	return t.begun && !t.ended && t.running < t.db.GetAllowedWithoutPermission()
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. Pebble
// calls it with its lock held, so it asks in a goroutine.
func (t *turns) UpdateGetAllowedWithoutPermission() { go t.ask() }

// ask has Pebble begin what it waits to begin. One asks at a time, and whoever comes
// meanwhile has it ask again.
func (t *turns) ask() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asking {
		t.again = true
		return
	}
	t.asking = true
	for t.again = true; t.again && t.free(); {
		t.again = false
		t.running++
		t.mu.Unlock()
		began := t.db.Schedule(t)
		t.mu.Lock()
		if began {
			t.again = true
		} else {
			t.running--
		}
	}
	t.asking = false
	t.asked.Broadcast()
}

// Started implements pebble.CompactionGrantHandle.
func (t *turns) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (t *turns) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (t *turns) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (t *turns) Done() {
	t.mu.Lock()
	t.running--
	t.mu.Unlock()
	t.ask()
}
