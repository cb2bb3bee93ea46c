package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/postroad/postroad/node/categorize"
	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
)

// categorizer is package categorize as the queues ask for it.
type categorizer struct{ c *categorize.Categorizer }

func (a categorizer) Resolve(e *mail.Envelope) (queue.Plan, error) {
	r, err := a.c.Resolve(e)
	if err != nil {
		return queue.Plan{}, err
	}
	plan := queue.Plan{Targets: r.Targets, Events: r.Events, Sender: r.Sender, Expanded: r.Expanded}
	for _, f := range r.Failed {
		plan.Failed = append(plan.Failed, queue.Failure{Target: f.Target(), Outcome: f.Outcome})
	}
	return plan, nil
}

// agent is package deliver as the queues ask for it: a refusal for good of a
// whole hop is told apart from a connection that failed.
type agent struct {
	a *deliver.Agent
	// delivered is told of each message that was delivered.
	delivered func(mail.Hop)
}

func (a agent) Serve(ctx context.Context, hop mail.Hop, feed mail.Feed) error {
	return verdict(a.a.Serve(ctx, hop, noticed{Feed: feed, delivered: func() { a.delivered(hop) }}))
}

// noticed is a feed of which deliveries are told.
type noticed struct {
	mail.Feed
	delivered func()
}

// Done implements mail.Feed.
func (n noticed) Done(t *mail.Transaction, outcomes []mail.Outcome) {
	n.Feed.Done(t, outcomes)
	if slices.ContainsFunc(outcomes, func(o mail.Outcome) bool { return o.Result == mail.Delivered }) {
		n.delivered()
	}
}

func verdict(err error) error {
	var c *deliver.ConnectError
	if errors.As(err, &c) && !c.Temporary {
		return &queue.RejectError{Outcome: c.Outcome}
	}
	return err
}
