package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"
)

// boundSaved is how often the counts of reports go to disk: what a killed node
// forgets of them.
const boundSaved = 10 * time.Second

// restore goes on with the counts of the last run: who floods a forged sender with
// reports gets no new allowance by a restart. A file that cannot be read is no reason
// not to start.
func (r *reporter) restore(now time.Time) {
	b, err := os.ReadFile(r.counts)
	if err == nil {
		err = r.bound.Restore(b, now)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("report_counts_unreadable", zap.String("path", r.counts), zap.Error(err), zap.String("cure", "none needed: counting begins anew"))
	}
}

// run saves the counts until ctx ends; save does it once more when the last report
// is written.
func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(boundSaved)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.save(now)
		}
	}
}

func (r *reporter) save(now time.Time) {
	b, err := r.bound.File(now)
	if b == nil && err == nil {
		return
	}
	if err == nil {
		err = replace(r.counts, b)
	}
	if err != nil {
		r.bound.Unsaved()
		r.log.Warn("report_counts_not_saved", zap.String("path", r.counts), zap.Error(err))
	}
}
