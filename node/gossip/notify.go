package gossip

import (
	"context"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// subscribers hear that the table changed.
type subscribers struct {
	mu   sync.Mutex
	next int
	all  []subscriber // in the order they came
}

type subscriber struct {
	id   int
	call func()
}

// Subscribe has f called after the table changed, from one goroutine, until
// cancel is called. Changes in quick succession may be told once. f reads
// [Runner.Table] itself and should be quick.
func (r *Runner) Subscribe(f func()) (cancel func()) {
	s := &r.subscribers
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.all = append(s.all, subscriber{id, f})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = slices.DeleteFunc(s.all, func(x subscriber) bool { return x.id == id })
	}
}

func (s *subscribers) tell() {
	s.mu.Lock()
	all := slices.Clone(s.all)
	s.mu.Unlock()
	for _, x := range all {
		x.call()
	}
}

func (r *Runner) notifyLoop(ctx context.Context) {
	last := &linkstate.Table{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
		}
		now := r.Table()
		r.logChanges(last, now)
		last = now
		r.subscribers.tell()
	}
}

// logChanges writes one line for each server and each connector whose state is
// another one now.
func (r *Runner) logChanges(before, after *linkstate.Table) {
	for _, a := range after.All() {
		b := before.Get(a.Server)
		if a == b {
			continue
		}
		if was := statusOf(b); was != a.Status {
			fields := []zap.Field{r.server("server", a.Server), zap.Stringer("was", was), zap.Uint64("incarnation", a.Incarnation)}
			if a.Accuser != (linkstate.GUID{}) {
				fields = append(fields, r.server("accuser", a.Accuser))
			}
			r.log.Info("server_"+a.Status.String(), fields...)
		}
		for _, c := range a.Connectors {
			if was, _ := connectorOf(b, c.Connector); was.Down != c.Down {
				event := "connector_up"
				if c.Down {
					event = "connector_down"
				}
				r.log.Info(event, r.connector(c.Connector), r.server("bridgehead", a.Server), zap.String("reason", c.Reason))
			}
		}
	}
}

// server and connector are log fields that people can read.
func (r *Runner) server(key string, g linkstate.GUID) zap.Field {
	return zap.String(key, r.conf.Names.Server(mail.GUID(g)))
}

func (r *Runner) connector(g linkstate.GUID) zap.Field {
	return zap.String("connector", r.conf.Names.Connector(mail.GUID(g)))
}

func statusOf(r *linkstate.Record) linkstate.Status {
	if r == nil {
		return 0
	}
	return r.Status
}

func connectorOf(r *linkstate.Record, connector linkstate.GUID) (linkstate.ConnectorState, bool) {
	if r == nil {
		return linkstate.ConnectorState{}, false
	}
	return r.Connector(connector)
}
