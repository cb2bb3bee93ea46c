package pipeline

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/node/mail"
)

// probe asks whether a connector can be used: it greets the remote bridgehead
// that is named, then the others, or the hosts behind the connector, and leaves.
// One answer is enough.
func (p *Pipeline) probe(ctx context.Context, connector, server mail.GUID) error {
	hops := p.routes.Probes(connector, server)
	var failed []string
	for _, h := range hops {
		err := p.agent.Probe(ctx, h)
		if err == nil {
			return nil
		}
		failed = append(failed, h.Name+": "+err.Error())
	}
	if len(failed) == 0 {
		return nil // nothing to greet: a drop directory, delivery by DNS
	}
	return errors.New(strings.Join(failed, "; ")) // one line: it goes into tables and logs
}

// probeWithin bounds the probes after one failed connection.
const probeWithin = 10 * time.Second

// inquiries are the probes under way because a connection for mail failed.
type inquiries struct {
	mu   sync.Mutex
	open map[mail.GUID]bool
	wg   sync.WaitGroup
}

// linkResult tells link state what became of a connection for mail. That one of
// several remote bridgeheads did not answer says nothing about the others, so
// then the connector is probed, and the answer counts.
func (p *Pipeline) linkResult(connector mail.GUID, ok bool, reason string) {
	if ok || len(p.routes.Probes(connector, mail.GUID{})) < 2 {
		p.links.ReportLink(connector, ok, reason)
		return
	}
	q := &p.inquiries
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open[connector] {
		return
	}
	if q.open == nil {
		q.open = make(map[mail.GUID]bool)
	}
	q.open[connector] = true
	q.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, probeWithin)
		defer cancel()
		err := p.probe(ctx, connector, mail.GUID{})
		if p.ctx.Err() == nil {
			p.links.ReportLink(connector, err == nil, reason)
		}
		q.mu.Lock()
		delete(q.open, connector)
		q.mu.Unlock()
	})
}
