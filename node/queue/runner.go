package queue

import (
	"context"

	"github.com/postroad/postroad/node/mail"
)

// Runner performs what the scheduler decides. Its methods may be called from
// many goroutines.
type Runner struct {
	conf Config
}

// New builds a Runner; Run starts it.
func New(c Config) *Runner { return &Runner{conf: c} }

// Run reads what the spool holds and moves mail until ctx ends; then it drains.
// It returns nil after a clean end.
func (r *Runner) Run(ctx context.Context) error { return nil }

// Enqueue takes over a message that was accepted durably. It does not block on
// delivery; env must not be changed after.
func (r *Runner) Enqueue(id mail.ID, env *mail.Envelope) {}

// Drain stops giving out mail and waits until nothing is in flight, or ctx ends.
func (r *Runner) Drain(ctx context.Context) error { return nil }

// SetClock changes the retry clock; it holds from the next failure on.
func (r *Runner) SetClock(c Clock) {}

// List tells of all queues: first those that are always there, then the others
// by destination.
func (r *Runner) List() []Info { return nil }

// Messages lists the first messages of a queue by its ID, or of all queues
// (""); at most limit.
func (r *Runner) Messages(queue string, limit int) ([]Message, error) { return nil, nil }

// Retry makes the links of a queue ("": all) try now and returns how many waited.
func (r *Runner) Retry(queue string) int { return 0 }
