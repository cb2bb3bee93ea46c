package spool

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// asked is a store that is asked what it waits to merge. The first time it waits for
// nothing, and something comes up just as it says so.
type asked struct {
	pebble.DBForCompaction
	t       *turns
	waiting bool
	times   int
}

func (a *asked) GetAllowedWithoutPermission() int { return 1 }

func (a *asked) Schedule(pebble.CompactionGrantHandle) bool {
	a.times++
	if a.waiting {
		a.waiting = false
		return true
	}
	if ok, _ := a.t.TrySchedule(); a.times == 1 && !ok {
		a.waiting = true // Pebble asks no more for this one: it was told to wait
	}
	return false
}

// A merging that comes up while the store says that it waits for none begins all the same.
func TestMergingThatComesUpWhileAsked(t *testing.T) {
	turns := newTurns()
	a := &asked{t: turns}
	turns.Register(1, a)
	turns.mu.Lock()
	turns.begun = true
	turns.mu.Unlock()
	turns.ask()
	if a.waiting || a.times != 2 {
		t.Errorf("asked %d times; waiting for ever: %v", a.times, a.waiting)
	}
}
