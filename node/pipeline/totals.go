package pipeline

import (
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/queue"
)

// Totals sums up the queues of one kind.
type Totals struct {
	Messages int64
	Oldest   time.Duration
}

// QueueTotals sums up the queues by kind.
func (p *Pipeline) QueueTotals() map[string]Totals {
	all := make(map[string]Totals)
	for _, q := range p.queues.List() {
		t := all[q.Kind]
		t.Messages += q.Messages
		t.Oldest = max(t.Oldest, q.OldestAge)
		all[q.Kind] = t
	}
	return all
}

// OutboundConnections says how the connections to other hosts stand.
func (p *Pipeline) OutboundConnections() queue.Connections { return p.queues.Connections() }

// Stalls says how often the watchdog of the queues restarted something, by kind.
func (p *Pipeline) Stalls() map[string]int64 {
	all := make(map[string]int64)
	for _, k := range queue.StallKinds() {
		all[string(k)] = p.queues.Stalls(k)
	}
	return all
}

// TableVersion is the version of the routing table in use.
func (p *Pipeline) TableVersion() uint64 { return p.version.Load() }

// LinksDown counts the bridgeheads that say that a connector of theirs is down.
func (p *Pipeline) LinksDown() int {
	n := 0
	for _, r := range p.links.Table().All() {
		for _, k := range r.Connectors {
			if k.Down {
				n++
			}
		}
	}
	return n
}

// Diverged counts the neighbours whose link state stays another than this node's.
func (p *Pipeline) Diverged() int { return p.links.Diverged() }

// GossipSent counts the octets of link state that this node has sent, by kind of frame.
func (p *Pipeline) GossipSent() map[string]int64 { return p.links.Sent() }

// ServersDown counts the servers that are not known to live.
func (p *Pipeline) ServersDown() int {
	n := 0
	for _, r := range p.links.Table().All() {
		if r.Status != linkstate.Alive {
			n++
		}
	}
	return n
}
