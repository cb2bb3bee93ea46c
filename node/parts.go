package node

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"
)

// parts are what a running node consists of, in the order in which they were
// started. They are stopped in the opposite order, each fully before the next.
type parts struct {
	log    *zap.Logger
	failed chan error // the first part that ended by itself with an error

	mu   sync.Mutex
	list []part
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

func (p *parts) stopAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.list) > 0 {
		last := p.list[len(p.list)-1]
		p.list = p.list[:len(p.list)-1]
		p.log.Debug("stopping", zap.String("part", last.name))
		last.stop()
	}
}
