package gossip

import (
	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
)

// noteDivergence is the alarm that link state does not reach a neighbour, or that
// it does not take it: until then the two only look as if they agreed. mu is held.
func (r *Runner) noteDivergence(d linkstate.Diverged) {
	n := r.neighbours[d.Peer]
	if n == nil {
		return
	}
	n.diverged = d.Since
	if d.Since.IsZero() {
		r.log.Info("linkstate_converged", r.server("peer", d.Peer))
		return
	}
	r.log.Warn("linkstate_diverged", r.server("peer", d.Peer), zap.Time("since", d.Since), zap.String("cure",
		"compare with `postroadctl linkstate diff` and the directory revisions with `postroadctl linkstate validate`"))
}

// Diverged counts the neighbours whose table stays another than this node's.
func (r *Runner) Diverged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := 0
	for _, n := range r.neighbours {
		if !n.diverged.IsZero() {
			count++
		}
	}
	return count
}
