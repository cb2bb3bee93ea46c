package queue

import "slices"

// Forced is what a forced connection touches.
type Forced struct {
	Links    int   // that waited for their next try, their schedule, or to be asked
	Queues   int   // that wait
	Messages int64 // in them; of [IDPoison], those that are tried again
}

// Retry forces connections for queues, by their IDs; nil: for all that wait after a failure. Those that are named
// go out though their connector is shut; directory lookups are tried now, and what is set aside in [IDPoison]
// is tried again. dry: it only tells what would be touched. Frozen queues stay as they are.
func (r *Runner) Retry(ids []string, dry bool) (f Forced) {
	var names []string
	if ids != nil {
		names, _ = r.QueueNames(ids)
		if names == nil {
			names = []string{}
		}
	}
	r.do(func(now int64) {
		var waited []string
		f.Links, waited = r.sched.Retry(names, dry, now)
		f.Queues, f.Messages = len(waited), r.weigh(waited)
	})
	if slices.Contains(ids, IDPoison) {
		f.add(r.retryCrashed(dry))
	}
	if ids == nil || slices.Contains(ids, IDDirectory) {
		f.add(r.retryLookups(dry))
	}
	return f
}

// weigh says how many messages are in these queues, also beyond their windows. Who opens queues
// weighs them in the same step: their mail may be gone a moment later.
func (r *Runner) weigh(queues []string) (messages int64) {
	for _, name := range queues {
		messages += r.c.Store.Weigh(name).Entries
	}
	return messages
}

func (f *Forced) add(messages int) {
	if messages > 0 {
		f.Queues, f.Messages = f.Queues+1, f.Messages+int64(messages)
	}
}

// retryLookups has the directory asked now for what waits for it, and says how many
// messages that is.
func (r *Runner) retryLookups(dry bool) (n int) {
	now := r.now()
	r.inMu.Lock()
	n = r.intake.hurry(dry, now)
	r.inMu.Unlock()
	signal(r.work)
	return n
}
