package spool

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// One operation lasts longer and longer: it is told of a few times, then the disk is given
// up, once. One that ends before that ends nothing.
func TestWatchdog(t *testing.T) {
	for _, tc := range []struct {
		limit, lasts time.Duration
		told         int  // lines on it
		dead         bool // the disk is given up
	}{
		{0, 4 * time.Second, 0, false},
		{0, 12 * time.Second, 2, false},
		{0, 5*time.Minute - time.Second, 6, false},
		{0, 5*time.Minute + 3*time.Second, 6, true},
		{time.Second, 3 * time.Second, 0, true},
		{20 * time.Second, 19 * time.Second, 2, false},
		{20 * time.Second, 23 * time.Second, 3, true},
		{1500 * time.Millisecond, 5 * time.Second, 0, true},
	} {
		t.Run(fmt.Sprint(tc.limit, tc.lasts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logs := observer.New(zap.InfoLevel)
				var died []string
				w := newWatchdog(tc.limit, func(err error) { died = append(died, err.Error()) }, zap.New(core))
				w.start()
				time.Sleep(tick / 3)
				begun := w.begin(opSync, &[]string{"a.log"}[0])
				var quick sync.WaitGroup
				quick.Go(func() { // others come and go meanwhile
					for range 2000 {
						s := w.begin(opRead, &[]string{"b.sst"}[0])
						time.Sleep(tick / 5)
						s.end()
					}
				})
				time.Sleep(tc.lasts)
				synctest.Wait()
				if tc.dead != (len(died) == 1) || tc.dead && !strings.Contains(died[0], "sync of a.log") {
					t.Errorf("given up: %q", died)
				}
				if got, want := w.waited(), tc.lasts.Truncate(tick); !tc.dead && (got > want || got < want-tick) {
					t.Errorf("the oldest has waited %v, want %v", got, want)
				}
				begun.end()
				time.Sleep(2 * tick)
				synctest.Wait()
				told := logs.FilterMessage("spool_disk_slow").All()
				if len(told) != tc.told {
					t.Errorf("%d lines, want %d: %v", len(told), tc.told, told)
				}
				for _, l := range told {
					if m := l.ContextMap(); m["file"] != "a.log" || m["operation"] != "sync" {
						t.Errorf("told of %v", m)
					}
				}
				if got := logs.FilterMessage("spool_disk_answers").Len() == 1; got != (tc.told > 0 && !tc.dead) {
					t.Errorf("told that the disk answers: %v", got)
				}
				if !tc.dead && w.waited() != 0 {
					t.Errorf("nothing waits, and that for %v", w.waited())
				}
				quick.Wait()
				w.stop()
			})
		})
	}
}

// More operations than can be noted: each returns, and those that are noted still count.
func TestWatchdogWithTooMuchToWatch(t *testing.T) {
	var died error
	w := newWatchdog(3*tick, func(err error) { died = err }, zap.NewNop())
	name := "a.sst"
	var all []*slot
	for range 2 * watchSlots {
		all = append(all, w.begin(opRead, &name))
	}
	for _, s := range all[1:] {
		s.end()
	}
	for n := range 4 {
		if dead, _ := w.look(); (dead != nil) != (n == 3) {
			t.Errorf("tick %d: %v", n, dead)
		}
	}
	if died != nil || w.waited() != 3*tick {
		t.Errorf("%v, waited %v", died, w.waited())
	}
	all[0].end()
	if dead, slow := w.look(); dead != nil || slow != nil || w.waited() != 0 {
		t.Errorf("%v, %v, waited %v", dead, slow, w.waited())
	}
}

// A process that was stopped, or a machine that slept, has missed ticks: what was under
// way has not lasted that long.
func TestStoppedProcessDoesNotAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchdog(0, func(err error) { t.Error(err) }, zap.NewNop())
		name := "a.sst"
		defer w.begin(opRead, &name).end()
		ticks := make(chan time.Time)
		go w.run(ticks)
		defer w.stop()
		ticks <- time.Now()
		time.Sleep(time.Hour)
		ticks <- time.Now()
		synctest.Wait()
		if w.waited() > tick {
			t.Errorf("waited %v", w.waited())
		}
	})
}

// To note an operation allocates nothing.
func TestWatchingAllocatesNothing(t *testing.T) {
	fs := &watched{vfs.NewMem(), newWatchdog(0, nil, zap.NewNop())}
	f, err := fs.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 10)
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Error(err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWatching(b *testing.B) {
	w, name := newWatchdog(0, nil, zap.NewNop()), "a.sst"
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			w.begin(opRead, &name).end()
		}
	})
}

// A goroutine may be stopped for long between taking a slot and noting what it does.
func TestWatchdogLeavesHalfNotedAlone(t *testing.T) {
	w := newWatchdog(tick, func(error) { t.Error("given up") }, zap.NewNop())
	w.slots[0].since.Store(taken)
	for range 10 {
		if dead, slow := w.look(); dead != nil || slow != nil {
			t.Fatalf("dead %v, slow %v", dead, slow)
		}
	}
}
