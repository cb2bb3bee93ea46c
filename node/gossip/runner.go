package gossip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Runner is one node's part in the gossip. Its methods are safe for concurrent use.
type Runner struct {
	linkstatev1.UnimplementedGossipServiceServer

	conf     Config
	log      *zap.Logger
	protocol uint32 // highest that this node speaks

	table atomic.Pointer[linkstate.Table]

	mu         sync.Mutex
	machine    *linkstate.Machine
	neighbours map[linkstate.GUID]*neighbour
	addresses  map[mail.GUID]string
	carriers   map[mail.GUID]Carrier
	keepalive  time.Duration
	running    context.Context // nil before Run and after it
	// sessions counts goroutines that Run has to wait for; Add only under mu and
	// while running.
	sessions sync.WaitGroup

	changed chan struct{} // one slot each: the latest state is read when served
	persist chan struct{}
	retimed chan struct{}
	probes  chan struct{} // one slot for each probe that runs

	subscribers subscribers
	sent        sent
}

// New builds a runner and restores the persisted table, so that Table answers
// from yesterday's map at once. A state file that cannot be read is set aside,
// not an error: the neighbours know more than it did.
func New(c Config) (*Runner, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	r := &Runner{
		conf:       c,
		log:        c.Logger,
		protocol:   linkstate.Protocol,
		machine:    c.machine(),
		neighbours: make(map[linkstate.GUID]*neighbour),
		keepalive:  linkstate.DefaultKeepalive,
		changed:    make(chan struct{}, 1),
		persist:    make(chan struct{}, 1),
		retimed:    make(chan struct{}, 1),
		probes:     make(chan struct{}, maxProbes),
	}
	saved, err := loadState(c.StatePath)
	if err != nil {
		r.log.Warn("linkstate_restore_failed", zap.String("path", c.StatePath), zap.Error(err))
		if err := setAside(c.StatePath); err != nil {
			return nil, fmt.Errorf("link state file %s is damaged and cannot be set aside: %w", c.StatePath, err)
		}
	}
	now := c.Now()
	r.perform(r.machine.Restore(saved.records, max(now.Sub(saved.at), 0), now))
	r.table.Store(r.machine.Table())
	return r, nil
}

// ErrStopped: the runner is not running (any more).
var ErrStopped = errors.New("gossip is not running")

// Run gossips until the context ends, then closes all streams and saves the
// table. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.running = ctx
	for _, n := range r.neighbours {
		r.startDialer(n)
	}
	r.mu.Unlock()

	stopServing := r.serve()
	var loops sync.WaitGroup
	loops.Go(func() { r.notifyLoop(ctx) })
	loops.Go(func() { r.persistLoop(ctx) })
	r.tickLoop(ctx)

	r.mu.Lock()
	r.running = nil
	for _, n := range r.neighbours {
		n.stop(ErrStopped)
	}
	r.mu.Unlock()
	err := stopServing()
	r.sessions.Wait()
	loops.Wait()
	return errors.Join(err, r.save())
}

// step runs one input through the machine and performs what comes of it.
func (r *Runner) step(input func(m *linkstate.Machine, now time.Time) []linkstate.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stepLocked(input)
}

func (r *Runner) stepLocked(input func(m *linkstate.Machine, now time.Time) []linkstate.Effect) {
	r.perform(input(r.machine, r.conf.Now()))
}

// perform is called with mu held.
func (r *Runner) perform(effects []linkstate.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case linkstate.Connect:
			r.addNeighbour(e.Peer)
		case linkstate.Disconnect:
			r.removeNeighbour(e.Peer)
		case linkstate.Reset:
			if n := r.neighbours[e.Peer]; n != nil {
				n.drop(errors.New(e.Reason), r.conf.Now())
			}
		case linkstate.Send:
			if n := r.neighbours[e.Peer]; n != nil && n.session != nil {
				n.session.out.put(e.Frame)
			}
		case linkstate.Probe:
			r.startProbe(e)
		case linkstate.Diverged:
			r.noteDivergence(e)
		case linkstate.Woke:
			r.log.Warn("node_stood_still", zap.Duration("for", e.After.Round(time.Millisecond)), zap.String("cure",
				"the process was stopped, or its host suspended or starved; others may have declared this server down meanwhile"))
		case linkstate.Changed:
			r.table.Store(r.machine.Table())
			signal(r.changed)
		case linkstate.Persist:
			signal(r.persist)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is waiting already
	}
}

func (r *Runner) tickLoop(ctx context.Context) {
	for {
		r.mu.Lock()
		timer := time.NewTimer(r.machine.TickInterval())
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.retimed:
			timer.Stop()
		case <-timer.C:
			r.step((*linkstate.Machine).Tick)
		}
	}
}

// Table is the newest snapshot; never nil.
func (r *Runner) Table() *linkstate.Table { return r.table.Load() }

// SetMembers takes over what the directory says: the servers and connectors,
// the timings, and at which "host:port" each server's gossip is reached.
func (r *Runner) SetMembers(m linkstate.Members, t linkstate.Timings, addresses map[mail.GUID]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses = addresses
	r.keepalive = t.Keepalive
	if r.keepalive <= 0 {
		r.keepalive = linkstate.DefaultKeepalive
	}
	r.stepLocked(func(machine *linkstate.Machine, now time.Time) []linkstate.Effect {
		return machine.Configure(m, t, now)
	})
	for guid, n := range r.neighbours {
		n.setAddress(addresses[mail.GUID(guid)])
	}
	signal(r.retimed)
}

// ReportLink tells what became of a connection that was made for mail over a
// connector. reason says what failed; the organisation gets the gist of it, the log
// all, when the connector goes down for it.
func (r *Runner) ReportLink(connector mail.GUID, ok bool, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.isDown(connector)
	r.stepLocked(func(m *linkstate.Machine, now time.Time) []linkstate.Effect {
		return m.LinkResult(linkstate.GUID(connector), ok, reason, now)
	})
	if !before && r.isDown(connector) {
		r.log.Warn("connector_failed", r.connector(linkstate.GUID(connector)), zap.String("reason", reason))
	}
}

// isDown: this server says so; mu is held.
func (r *Runner) isDown(connector mail.GUID) bool {
	s, _ := connectorOf(r.machine.Table().Get(linkstate.GUID(r.conf.Self)), linkstate.GUID(connector))
	return s.Down
}

// SetWaiting names the connectors that wait now, for their schedule to open or for
// the far end to call; all others are open. A connector that waits is not probed,
// and not down for it.
func (r *Runner) SetWaiting(connectors []mail.GUID) {
	list := make([]linkstate.GUID, len(connectors))
	for i, c := range connectors {
		list[i] = linkstate.GUID(c)
	}
	r.step(func(m *linkstate.Machine, now time.Time) []linkstate.Effect { return m.SetWaiting(list, now) })
}

// SetDrain publishes how far this server withdraws from transport.
func (r *Runner) SetDrain(d linkstate.Drain) {
	r.step(func(m *linkstate.Machine, now time.Time) []linkstate.Effect { return m.SetDrain(d, now) })
}
