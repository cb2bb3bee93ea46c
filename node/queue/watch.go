package queue

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// watchEvery is the time between two looks of the watchdog.
const watchEvery = time.Minute

// slowCommit is how long (ms) a commit may take before what is in flight is taken
// to wait for it.
const slowCommit = int64(10 * time.Second / time.Millisecond)

// leaveAfter is how long connections that were broken at the end may take.
const leaveAfter = 10 * time.Second

// watch is what the runner keeps for the watchdog.
type watch struct {
	commit                     atomic.Int64 // when the present commit began, Unix ms; 0: none
	connections, links, queues atomic.Int64
}

func (w *watch) count(k StallKind) *atomic.Int64 {
	switch k {
	case StallConnection:
		return &w.connections
	case StallLink:
		return &w.links
	}
	return &w.queues
}

// Stalls is how often the watchdog restarted something of that kind.
func (r *Runner) Stalls(k StallKind) int64 { return r.watch.count(k).Load() }

func (r *Runner) watchLoop(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			r.look()
		}
	}
}

func (r *Runner) look() {
	began := r.watch.commit.Load()
	var found []Stall
	r.do(func(now int64) {
		for id, f := range r.feeds {
			if f.beat.Swap(false) {
				r.sched.Heard(id, now)
			}
		}
		found = r.sched.Watch(began != 0 && now-began > slowCommit, now)
	})
	for _, s := range found {
		r.watch.count(s.Kind).Add(1)
		r.log.Error("queue_stalled", zap.String("kind", string(s.Kind)), zap.String("next_hop", s.NextHop), zap.String("queue", s.Queue),
			zap.String("reason", s.Reason), zap.String("cure", "it was restarted; if it comes again, report it with this log"))
	}
}

// leave waits for what was broken at the end, and gives up what does not end: a
// node must be able to stop.
func (r *Runner) leave() {
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	t := time.NewTimer(leaveAfter)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	r.mu.Lock()
	var left []*feed
	for _, f := range r.feeds {
		left = append(left, f)
	}
	r.mu.Unlock()
	for _, f := range left {
		r.log.Error("connection_abandoned", zap.String("next_hop", f.hop.Name))
		f.conclude(Ending{Err: "the server stopped"})
	}
	<-done
}
