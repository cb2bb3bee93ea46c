package pipeline

import (
	"context"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/route"
	"github.com/postroad/postroad/store/directory"
)

// router is package route as the queues ask for it: a hop with the connector's
// schedule and what the messages ask of the channel.
type router struct {
	*route.Route
	config func() *directory.Configuration
}

// Hop implements queue.Router. A table that is older than the configuration returns
// nothing to its sender: mail that was taken because of what is new waits for the next
// table, which is being built.
func (r router) Hop(dest mail.Destination, class mail.Class, visited []mail.GUID) mail.Hop {
	for {
		newest := r.config() == r.Configuration() // before the hop: a later table is as good
		h := r.Gated(dest, class, visited)
		if newest || h.Kind != mail.HopFail {
			return h
		}
		if r.config() != r.Configuration() {
			return mail.Hop{
				Kind: mail.HopUnreachable, Name: "currently unreachable", TableVersion: h.TableVersion,
				Reason: "the routing table of the newest configuration is being built",
			}
		}
	}
}

// runGates tells link state which connectors wait for their schedule, or to be
// asked, until ctx ends: such a one is not down.
func (p *Pipeline) runGates(ctx context.Context) {
	for {
		now := time.Now()
		p.links.SetWaiting(p.routes.Waiting(func(t *mail.Timetable) bool { return t.IsOpen(now) }))
		// Schedules change with the quarters of an hour.
		timer := time.NewTimer(now.Truncate(15 * time.Minute).Add(15 * time.Minute).Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.regate:
			timer.Stop()
		case <-timer.C:
		}
	}
}
