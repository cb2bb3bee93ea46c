package resolve

import (
	"context"
	"time"
)

// flight is a question on its way, for all who ask it meanwhile: a thousand messages
// to one domain are one question. It has a context of its own, so that nobody's
// giving up costs the others their answer; when the last one has given up, it ends.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	askers int // guarded by Resolver.flying

	// Set before done is closed.
	answer answer
	err    *Error
}

// join gives the kept answer, or the flight that will bring it. The cache is looked
// at under the same lock as the flights: an answer is kept before its flight ends, so
// nobody falls between them and asks again.
func (r *Resolver) join(key question, now time.Time) (answer, *flight) {
	r.flying.Lock()
	defer r.flying.Unlock()
	if a, ok := r.cache.get(key, now); ok {
		r.hits.Add(1)
		return a, nil
	}
	if f := r.flights[key]; f != nil {
		f.askers++
		r.shared.Add(1)
		return answer{}, f
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{done: make(chan struct{}), cancel: cancel, askers: 1}
	r.flights[key] = f
	go r.fly(ctx, key, f, now)
	return answer{}, f
}

func (r *Resolver) fly(ctx context.Context, key question, f *flight, now time.Time) {
	defer f.cancel()
	f.answer, f.err = r.askFor(ctx, key, now)
	if f.err != nil {
		r.failed.Add(1)
	} else {
		r.answered.Add(1)
		if len(f.answer.records) <= maxKept {
			r.cache.put(key, f.answer, now)
		}
	}
	r.flying.Lock()
	if r.flights[key] == f {
		delete(r.flights, key)
	}
	r.flying.Unlock()
	close(f.done)
}

// leave gives a flight up. One that nobody waits for any more is ended, and not joined.
func (r *Resolver) leave(key question, f *flight) {
	r.flying.Lock()
	defer r.flying.Unlock()
	if f.askers--; f.askers > 0 {
		return
	}
	f.cancel()
	if r.flights[key] == f {
		delete(r.flights, key)
	}
}
