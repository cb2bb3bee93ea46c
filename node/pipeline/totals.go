package pipeline

import (
	"time"

	"github.com/postroad/postroad/linkstate"
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
