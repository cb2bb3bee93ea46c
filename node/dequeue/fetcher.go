package dequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
)

const (
	// again is when a provider that could not be asked is asked again, tries how
	// often before the next time by the clock.
	again = 5 * time.Minute
	tries = 3
	// pause keeps deliveries from asking for each message.
	pause = time.Minute
)

// ErrBusy: the provider is being asked at this moment.
var ErrBusy = errors.New("it is being fetched at this moment")

// Config of a Fetcher. All functions are needed.
type Config struct {
	// Tasks gives those of this node, at this moment; others do the rest.
	Tasks func() []Task
	// Ask asks, and waits until all mail of a turned connection has come.
	Ask func(context.Context, Task) Report
	// Told gets each report. It is called by many goroutines.
	Told func(Report)
	// Now is the clock; time.Now fits.
	Now func() time.Time
}

// Fetcher asks providers. It is safe for many goroutines.
type Fetcher struct {
	cfg Config
	ctx context.Context // of everything that is under way
	end context.CancelFunc

	mu    sync.Mutex
	under sync.WaitGroup
	state map[mail.GUID]*state // of connectors that were asked for
}

// state of one connector.
type state struct {
	busy   bool
	last   time.Time // when it was asked
	failed int       // how often in a row
	retry  time.Time
}

// New builds a Fetcher; nothing is asked before Run, Now or Delivered.
func New(c Config) *Fetcher {
	f := &Fetcher{cfg: c, state: map[mail.GUID]*state{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	return f
}

// Run asks by the clock until ctx ends, then ends and waits for what is under way.
func (f *Fetcher) Run(ctx context.Context) error {
	defer f.stop()
	for served := (time.Time{}); ; {
		now := f.cfg.Now()
		at := now.Truncate(time.Minute).Add(time.Minute)
		if at.Equal(served) { // the clock is slowed down, and is not there yet
			at = at.Add(time.Minute)
		}
		next := time.NewTimer(at.Sub(now))
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
		f.minute(at)
		served = at
	}
}

func (f *Fetcher) stop() {
	f.mu.Lock() // no Add after Wait
	f.end()
	f.mu.Unlock()
	f.under.Wait()
}

// minute begins what is due, and forgets connectors that are gone.
func (f *Fetcher) minute(at time.Time) {
	tasks := f.cfg.Tasks()
	known := make(map[mail.GUID]bool, len(tasks))
	for _, t := range tasks {
		known[t.Connector] = true
		if t.Due(at) || f.retries(t.Connector, at) {
			f.begin(t)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for c, s := range f.state {
		if !known[c] && !s.busy {
			delete(f.state, c)
		}
	}
}

func (f *Fetcher) retries(c mail.GUID, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state[c]
	// One that is further away than it ever was is one of before the clock was set back.
	return s != nil && !s.retry.IsZero() && (!at.Before(s.retry) || s.retry.Sub(at) > again)
}

// begin asks in the background, if nobody does yet.
func (f *Fetcher) begin(t Task) {
	if f.enter(t.Connector) == nil {
		go f.ask(f.ctx, t)
	}
}

// enter marks a connector as being asked for.
func (f *Fetcher) enter(c mail.GUID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ctx.Err(); err != nil {
		return err
	}
	s := f.state[c]
	if s == nil {
		s = &state{}
		f.state[c] = s
	}
	if s.busy {
		return ErrBusy
	}
	s.busy, s.last, s.retry = true, f.cfg.Now(), time.Time{}
	f.under.Add(1)
	return nil
}

func (f *Fetcher) ask(ctx context.Context, t Task) Report {
	defer f.under.Done()
	r := f.cfg.Ask(ctx, t)
	r.Task = t
	f.mu.Lock()
	s := f.state[t.Connector]
	s.busy = false
	if r.Err == nil {
		s.failed = 0
	} else if s.failed++; s.failed <= tries && t.Interval > 0 {
		s.retry = f.cfg.Now().Truncate(time.Minute).Add(again)
	}
	f.mu.Unlock()
	f.cfg.Told(r)
	return r
}

// Delivered says that mail was delivered over the connector.
func (f *Fetcher) Delivered(connector mail.GUID) {
	for _, t := range f.cfg.Tasks() {
		if t.Connector == connector && t.WithDelivery && !f.lately(connector) {
			f.begin(t)
		}
	}
}

func (f *Fetcher) lately(c mail.GUID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state[c]
	if s == nil {
		return false
	}
	since := f.cfg.Now().Sub(s.last)
	return since >= 0 && since < pause // what is still to come was before the clock was set back
}

// Now asks at once, whatever the clock says, and waits for the end, or for that of
// ctx: what has begun goes on. The error says why there is no report.
func (f *Fetcher) Now(ctx context.Context, t Task) (Report, error) {
	if err := f.enter(t.Connector); err != nil {
		return Report{}, fmt.Errorf("connector %s: %w", t.Name, err)
	}
	done := make(chan Report, 1)
	go func() { done <- f.ask(f.ctx, t) }()
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		return Report{}, fmt.Errorf("connector %s: %w", t.Name, ErrBusy)
	}
}
