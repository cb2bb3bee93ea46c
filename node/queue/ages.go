package queue

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/store/spool"
)

const (
	// agesEvery is how often what is on disk only is looked through for the oldest message
	// of each queue; less often if that takes long: agesShare of the time at most.
	agesEvery = time.Minute
	agesShare = 50
)

// ages has when the oldest message of each queue that is longer than its window was created
// (Unix ms), beyond the window too. A message that was deferred lies behind younger ones, so
// only looking at all tells.
type ages struct {
	mu sync.Mutex
	of map[string]int64
}

func (a *ages) set(of map[string]int64) {
	a.mu.Lock()
	a.of = of
	a.mu.Unlock()
}

// age corrects what the window says of a queue that is longer.
func (a *ages) age(q *Info, now time.Time) {
	a.mu.Lock()
	created := a.of[q.name]
	a.mu.Unlock()
	if created != 0 && q.more {
		q.OldestAge = max(q.OldestAge, now.Sub(time.UnixMilli(created)))
	}
}

func (r *Runner) agesLoop(ctx context.Context) {
	for wait := agesEvery; ; { // not at once: a start has better to do
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		begun := time.Now()
		of, err := r.oldest(ctx)
		if err == nil {
			r.ages.set(of)
		} else if ctx.Err() == nil {
			r.log.Warn("ages_unknown", zap.Error(err)) // the windows tell what they know
		}
		wait = max(agesEvery, agesShare*time.Since(begun))
	}
}

// oldest reads the entries of the queues that are longer than their windows.
func (r *Runner) oldest(ctx context.Context) (map[string]int64, error) {
	r.mu.Lock()
	queues := r.sched.List(r.now())
	r.mu.Unlock()
	of := map[string]int64{}
	const page = 1000
	for i := range queues {
		name, least := queues[i].name, int64(0)
		for after, more := (spool.Position{}), queues[i].more; more; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			list, err := r.c.Store.Entries(name, after, page)
			if err != nil {
				return nil, err
			}
			for _, e := range list {
				after = spool.Position{Due: e.Due, ID: e.ID}
				if t, err := decodeTag(e.Tag, false); err == nil && (least == 0 || t.created < least) {
					least = t.created
				}
			}
			more = len(list) == page
		}
		if least != 0 {
			of[name] = least
		}
	}
	return of, nil
}
