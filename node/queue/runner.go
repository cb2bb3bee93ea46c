package queue

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// Runner performs what the scheduler decides. Its methods may be called from
// many goroutines.
type Runner struct {
	c     Config
	log   *zap.Logger
	cache *cache

	mu    sync.Mutex // guards what follows
	sched *Scheduler
	feeds map[ConnID]*feed
	links []Effect   // EffectLink, to be told in order
	quiet *sync.Cond // broadcast when something in flight ended
	armed int64      // when the clock will ring; 0: not
	seen  observed

	inMu   sync.Mutex
	intake *intake

	ctlMu sync.Mutex // guards ctl and its way to disk
	ctl   stopOrders
	// restored: ctl was read from the disk, or cannot be (ctlErr).
	restored bool
	ctlErr   error
	early    atomic.Int32 // how many ctl.Early has
	kept     given        // the orders of ctl.Given

	rules rulebook
	ages  ages

	unread unread

	// asideMu keeps a release from coming between the spool's word that a message is set
	// aside and the scheduler's: what it put back would then be taken out.
	asideMu sync.Mutex

	settleMu sync.Mutex
	settling []*settled // what the next commit takes

	// Each of these has room for one: it says "look again".
	work, ring, commit, told, rerouted, sized chan struct{}

	watch watch

	disk chan struct{} // slots of those who read the spool for the scheduler
	wg   sync.WaitGroup
	// serving ends when connections are to be broken.
	serving context.Context
	abort   context.CancelFunc
}

// diskReaders bounds how many fill queues or handle overdue messages at a time.
const diskReaders = 8

// New builds a Runner; Run starts it.
func New(c Config) *Runner {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.DirectoryRetry <= 0 {
		c.DirectoryRetry = time.Second
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Events == nil {
		c.Events = func(mail.Event) {}
	}
	if c.Links == nil {
		c.Links = func(mail.GUID, bool, string) {}
	}
	if c.Describe == nil {
		c.Describe = mail.Destination.String
	}
	if c.SizeLimits == nil {
		c.SizeLimits = func() []int64 { return nil }
	}
	r := &Runner{
		c: c, log: c.Logger, cache: newCache(c.Limits.fill().Cached),
		sched: NewScheduler(c.senders()), feeds: map[ConnID]*feed{},
		intake: newIntake(maxIntake),
		work:   make(chan struct{}, 1), ring: make(chan struct{}, 1), commit: make(chan struct{}, 1),
		told: make(chan struct{}, 1), rerouted: make(chan struct{}, 1), sized: make(chan struct{}, 1),
		disk: make(chan struct{}, diskReaders),
	}
	r.quiet = sync.NewCond(&r.mu)
	r.seen.began, r.seen.said = time.Now(), r.now()
	r.kept.news = make(chan struct{}, 1)
	r.rules.list, r.rules.change = c.Rules, make(chan struct{}, 1)
	r.serving, r.abort = context.WithCancel(context.Background())
	return r
}

// signal says "look again" to whoever waits on c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *Runner) now() int64 { return r.c.Now().UnixMilli() }

// Run reads what the spool holds and moves mail until ctx ends; then it drains.
// It returns nil after a clean end. A Runner runs once.
func (r *Runner) Run(ctx context.Context) error {
	defer r.abort()
	if err := r.recover(); err != nil {
		return err
	}
	// What serves the connections lives until they are gone; what brings in more
	// ends with ctx.
	base, stop := context.WithCancel(context.Background())
	defer stop()
	var service, supply sync.WaitGroup
	service.Go(func() { r.commitLoop(base) })
	service.Go(func() { r.tellLoop(base) })
	service.Go(func() { r.forgetLoop(base) })
	supply.Go(func() { r.clockLoop(ctx) })
	supply.Go(func() { r.rerouteLoop(ctx) })
	supply.Go(func() { r.watchLoop(ctx) })
	supply.Go(func() { r.rulesLoop(ctx) })
	supply.Go(func() { r.sizesLoop(ctx) })
	supply.Go(func() { r.agesLoop(ctx) })
	supply.Go(func() { r.noticeLoop(ctx) })
	supply.Go(func() { r.retryHealed(ctx) })
	for range r.c.Workers {
		supply.Go(func() { r.worker(ctx) })
	}
	r.c.Router.Subscribe(func() { signal(r.rerouted) })
	signal(r.rerouted) // the table may have changed since recover asked

	<-ctx.Done()
	supply.Wait()
	limit, cancel := context.WithTimeout(context.Background(), r.c.DrainTimeout)
	defer cancel()
	err := r.Drain(limit)
	r.abort()
	r.leave()
	stop()
	service.Wait()
	return err
}

// recover makes the queues of the spool known, and the messages that have no
// plan. It reads no message.
func (r *Runner) recover() error {
	r.do(func(now int64) { r.sched.began = now })
	if err := r.restore(); err != nil {
		return err
	}
	r.rules.mu.Lock()
	r.applyRules() // before the first queue: what they hold must not be taken for free
	r.rules.mu.Unlock()
	heads, err := r.c.Store.Queues()
	if err != nil {
		return err
	}
	resumed, err := r.resume()
	if err != nil {
		return err
	}
	for _, h := range heads {
		key, err := ParseName(h.Queue)
		if err != nil {
			r.log.Error("queue_name_unreadable", zap.String("queue", h.Queue), zap.Error(err),
				zap.String("cure", "its messages stay in the spool; start the version that wrote them"))
			continue
		}
		hop := r.hop(key)
		r.do(func(now int64) {
			r.sched.AddQueue(key, hop, true, now)
			// In one step: no connection may take the message before.
			for _, o := range resumed[h.Queue] {
				r.sched.Order(h.Queue, o.ref, o.order, now)
			}
		})
	}
	r.addFrozen()
	n, err := r.rescan()
	if err == nil && len(heads)+n > 0 {
		r.log.Info("queues_recovered", zap.Int("queues", len(heads)), zap.Int("unplanned", n))
	}
	return err
}

// clockLoop calls Tick when the scheduler asked for it.
func (r *Runner) clockLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.mu.Lock()
		next := r.sched.Next()
		r.armed = next
		r.mu.Unlock()
		wait := time.Hour
		if next != 0 {
			wait = time.Duration(next-r.now()) * time.Millisecond
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-r.ring:
		case <-timer.C:
			r.do(r.sched.Tick)
		}
	}
}

func (r *Runner) rerouteLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.rerouted:
		}
		r.do(func(now int64) {
			moved := r.sched.Reroute(r.hop, now)
			r.sched.Doubt(r.c.Router.Gone, now)
			if moved > 0 {
				r.log.Info("queues_rerouted", zap.Int("queues", moved))
			}
		})
		signal(r.sized)
	}
}

// tellLoop tells link state, in order.
func (r *Runner) tellLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.told:
		}
		r.mu.Lock()
		links := r.links
		r.links = nil
		r.mu.Unlock()
		for _, e := range links {
			if !e.OK {
				r.log.Warn("link_failed", zap.String("connector", e.Hop.ConnectorName), zap.String("next_hop", e.Hop.Name), zap.String("reason", e.Reason))
			}
			r.c.Links(e.Connector, e.OK, e.Reason)
		}
	}
}

// Drain stops giving out mail and waits until nothing is in flight, or ctx ends;
// then its error is returned. What has not begun stays queued.
func (r *Runner) Drain(ctx context.Context) error {
	r.do(func(int64) { r.sched.Close() })
	stop := context.AfterFunc(ctx, r.wakeDrain)
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.feeds) > 0 || r.sched.InFlight() > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.quiet.Wait()
	}
	return nil
}

func (r *Runner) wakeDrain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet.Broadcast()
}

// Trigger gives out the mail of the queues that match, over links that wait for
// that or for their schedule; it returns how many queues there are, and how many
// messages in them.
func (r *Runner) Trigger(match func(Key, mail.Hop) bool) (queues int, messages int64) {
	r.do(func(now int64) {
		names := r.sched.Trigger(match, now)
		queues, messages = len(names), r.weigh(names)
	})
	return queues, messages
}
