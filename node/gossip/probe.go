package gossip

import (
	"context"

	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
)

// startProbe runs the injected probe and feeds the result back, always, unless
// the runner stops; mu is held.
func (r *Runner) startProbe(p linkstate.Probe) {
	if r.running == nil {
		return
	}
	ctx := r.running
	r.sessions.Go(func() {
		select {
		case r.probes <- struct{}{}:
			defer func() { <-r.probes }()
		case <-ctx.Done():
			return
		}
		err := r.probe(ctx, p)
		if ctx.Err() != nil {
			return
		}
		reason := ""
		if err != nil {
			reason = err.Error()
		}
		r.log.Debug("link_probed", r.connector(p.Connector), zap.Error(err))
		r.ReportLink(mail.GUID(p.Connector), err == nil, reason)
	})
}

func (r *Runner) probe(ctx context.Context, p linkstate.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, r.conf.ProbeTimeout)
	defer cancel()
	return r.conf.Probe(ctx, mail.GUID(p.Connector), mail.GUID(p.Server))
}
