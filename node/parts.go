package node

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// parts are what a running node consists of, in the order in which they were
// started. They are stopped in the opposite order, each fully before the next.
type parts struct {
	log    *zap.Logger
	failed chan error // the first part that ended by itself with an error

	mu   sync.Mutex
	list []part
	// ports close what listens; unlike the rest they do not touch the disk.
	portsMu sync.Mutex
	ports   []func()
	// ending is what is being stopped, or "boot".
	ending atomic.Value
}

type part struct {
	name string
	stop func()
}

func newParts(log *zap.Logger) *parts {
	return &parts{log: log, failed: make(chan error, 1)}
}

// run starts a part that works until its context ends.
func (p *parts) run(name string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil && ctx.Err() == nil {
			select {
			case p.failed <- fmt.Errorf("%s: %w", name, err):
			default:
			}
		}
	}()
	p.add(name, func() { cancel(); <-done })
}

// add notes what stopping a part takes.
func (p *parts) add(name string, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, part{name, stop})
}

// port notes how something ends to listen. It may be called beside the stop of its part.
func (p *parts) port(end func()) {
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	p.ports = append(p.ports, end)
}

// closePorts closes what listens yet. A thread that waits in the kernel for a dead disk
// keeps its process from vanishing, and the kernel would go on to greet clients for it.
func (p *parts) closePorts() {
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	var all sync.WaitGroup
	for _, end := range p.ports {
		all.Go(end)
	}
	all.Wait()
}

func (p *parts) stopAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.list) > 0 {
		last := p.list[len(p.list)-1]
		p.list = p.list[:len(p.list)-1]
		p.ending.Store(last.name)
		p.log.Debug("stopping", zap.String("part", last.name))
		last.stop()
	}
}

// boot runs start until it is done, ctx ends, or a part fails; in the last two
// cases start's context ends, and it has that long to return. It gives the error to
// end with; nil with done false means that ctx ended.
func (p *parts) boot(ctx context.Context, limit time.Duration, start func(context.Context) error) (done bool, err error) {
	booting, give := context.WithCancel(ctx)
	defer give()
	booted := make(chan error, 1)
	go func() { booted <- start(booting) }()
	select {
	case err := <-booted:
		if err != nil && ctx.Err() != nil {
			return false, nil // told to stop while booting
		}
		return err == nil, err
	case <-ctx.Done():
	case err = <-p.failed:
		give()
	}
	p.ending.Store("boot")
	if late := p.await(limit, func() { <-booted }); late != nil {
		return false, late
	}
	return false, err
}

// lastLimit is how long the last line of a node, and closing its ports, may take.
const lastLimit = 5 * time.Second

// await runs what ends a node of which something may hang: on a disk or a
// network file system that does not answer. What has not ended in time is left
// behind, and the process must end.
func (p *parts) await(limit time.Duration, f func()) error {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	part, told := fmt.Sprint(p.ending.Load()), make(chan struct{})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.closePorts()
	}()
	go func() {
		defer close(told)
		p.log.Error("stop_overdue", zap.String("part", part), zap.Duration("waited", limit), zap.ByteString("goroutines", stacks))
	}()
	last := make(chan struct{})
	time.AfterFunc(lastLimit, func() { close(last) })
	for _, done := range []chan struct{}{told, closed} {
		select {
		case <-done:
		case <-last:
		}
	}
	return &overdueError{part, limit}
}

// overdueError says that a node did not stop.
type overdueError struct {
	part   string
	waited time.Duration
}

// Error names the part.
func (e *overdueError) Error() string {
	return fmt.Sprintf("%s did not stop within %v; the process ends without it (nothing acknowledged is lost)", e.part, e.waited)
}
