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
	return anyAnswer(ctx, p.routes.Probes(connector, server), p.agent.Probe)
}

// headStart is how long a host may be silent before the next one is tried beside it: a
// host without power answers nothing at all, and waiting for it would leave no
// time for the others.
const headStart = time.Second

// anyAnswer probes hops in their order until one answers; none at all is an
// answer too: a drop directory, delivery by DNS.
func anyAnswer(ctx context.Context, hops []mail.Hop, probe func(context.Context, mail.Hop) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	type answer struct {
		hop int
		err error
	}
	answers := make(chan answer, len(hops))
	failed := make([]string, len(hops))
	next := time.NewTimer(headStart)
	defer next.Stop()
	for begun, open := 0, 0; begun < len(hops) || open > 0; {
		if begun < len(hops) {
			i := begun
			begun, open = begun+1, open+1
			probes.Go(func() { answers <- answer{i, probe(ctx, hops[i])} })
			next.Reset(headStart)
		}
		for waiting := true; waiting && open > 0; {
			select {
			case a := <-answers:
				if a.err == nil {
					return nil
				}
				failed[a.hop], open = reasonAt(hops[a.hop], a.err), open-1
				waiting = begun == len(hops)
			case <-next.C:
				waiting = begun == len(hops)
			}
		}
	}
	if len(hops) == 0 {
		return nil
	}
	return errors.New(strings.Join(failed, "; ")) // one line: it goes into tables and logs
}

// reasonAt is short, for it becomes a link's reason: the error names the host by
// its address, so only what a node is called is missing.
func reasonAt(h mail.Hop, err error) string {
	if h.Kind == mail.HopNode {
		return h.Name + ": " + err.Error()
	}
	return err.Error()
}

// probeWithin bounds the probes after one failed connection.
const probeWithin = 10 * time.Second

// linkResult tells link state what became of a connection for mail.
func (p *Pipeline) linkResult(connector mail.GUID, ok bool, reason string) {
	several := len(p.routes.Probes(connector, mail.GUID{})) > 1
	p.inquiries.result(p.ctx, connector, ok, several, reason)
}

// inquiries judge connectors by connections for mail. That one of several remote
// bridgeheads did not answer says nothing about the others, so then the
// connector is probed, once at a time, and the answer counts.
type inquiries struct {
	probe  func(ctx context.Context, connector mail.GUID) error
	report func(connector mail.GUID, ok bool, reason string)

	mu   sync.Mutex
	open map[mail.GUID]bool // false: a connection has worked since, and the answer says nothing
	wg   sync.WaitGroup
}

// result takes the result of one connection; probes under way end with ctx and
// then say nothing.
func (q *inquiries) result(ctx context.Context, connector mail.GUID, ok, several bool, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, asked := q.open[connector]
	if asked {
		q.open[connector] = !ok
	}
	if ok || !several {
		q.report(connector, ok, reason)
		return
	}
	if asked {
		return
	}
	if q.open == nil {
		q.open = make(map[mail.GUID]bool)
	}
	q.open[connector] = true
	q.wg.Go(func() {
		within, cancel := context.WithTimeout(ctx, probeWithin)
		defer cancel()
		err := q.probe(within, connector)
		q.mu.Lock()
		defer q.mu.Unlock()
		counts := q.open[connector]
		delete(q.open, connector)
		if counts && ctx.Err() == nil {
			q.report(connector, err == nil, reason)
		}
	})
}
