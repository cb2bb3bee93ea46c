package queue

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/store/spool"
)

// group is the targets of a message that share a queue.
type group struct {
	key     Key
	name    string
	targets []int // indexes into the plan
}

// plan commits what the categorizer made of a message and queues it.
func (r *Runner) plan(it item, p Plan) error {
	groups, targets := r.group(it.env, &p)
	reports, err := r.reportFailures(it, p.Failed)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		if err = r.c.Store.Remove(spool.ID(it.id), reports...); err == nil {
			r.announce(it.env, p)
		}
	} else {
		err = r.queue(it, p, targets, groups, reports)
	}
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return nil // removed by an administrator in the meantime
	case errors.Is(err, spool.ErrInvalid):
		// The spool has a plan already: its queues have the message.
		r.log.Error("plan_refused", zap.Stringer("id", it.id), zap.Error(err))
		return nil
	case err != nil:
		return err
	}
	r.inMu.Lock()
	r.intake.resolved(r.now())
	r.inMu.Unlock()
	r.accepted(reports, it.id)
	return nil
}

// group sorts the targets into queues. Targets whose queue could not be named go
// to p.Failed.
func (r *Runner) group(env *mail.Envelope, p *Plan) ([]group, []mail.Target) {
	class := mail.Class{Priority: env.Priority, System: env.System, Size: mail.SizeBound(env.Size, r.c.SizeLimits())}
	var groups []group
	targets := make([]mail.Target, 0, len(p.Targets))
	seen := map[mail.Destination]int{} // class and visited are the message's, so this tells its queues apart
	for _, t := range p.Targets {
		if t.Destination.Place == mail.PlaceForeign && t.Destination.Connector.IsZero() {
			t.Destination.Connector = env.Connector
		}
		g, ok := seen[t.Destination]
		if !ok {
			key := KeyOf(t.Destination, class, env.Visited)
			name := key.Name()
			if len(name) > maxName {
				p.Failed = append(p.Failed, Failure{t, mail.Fail(mail.StatusBadSyntax, fmt.Sprintf("the address is too long: %d octets", len(t.Destination.Domain)))})
				continue
			}
			g = len(groups)
			seen[t.Destination] = g
			groups = append(groups, group{key: key, name: name})
		}
		groups[g].targets = append(groups[g].targets, len(targets))
		targets = append(targets, t)
	}
	return groups, targets
}

func (r *Runner) reportFailures(it item, failed []Failure) ([]spool.Incoming, error) {
	if len(failed) == 0 {
		return nil, nil
	}
	var sel selection
	for i := range failed {
		if failed[i].Outcome.At.IsZero() {
			failed[i].Outcome.At = r.c.Now()
		}
		sel.add(failed[i].Target, failed[i].Outcome)
	}
	return r.c.Reporter.Report(ReportFailure, it.env, sel.targets, sel.outcomes, &content{r.c.Store, spool.ID(it.id), it.env.Size})
}

// queue writes the plan and makes it known to the scheduler. Names are reserved
// before the plan is written: see the package documentation.
func (r *Runner) queue(it item, p Plan, targets []mail.Target, groups []group, reports []spool.Incoming) error {
	now := r.now()
	entries := make([]spool.Entry, len(groups))
	refs := make([]Ref, len(groups))
	for i, g := range groups {
		t := tag{created: it.env.Created.UnixMilli(), multi: len(groups) > 1, targets: g.targets}
		if len(groups) == 1 {
			t.targets = nil
		}
		refs[i] = Ref{ID: it.id, Due: now, Created: t.created, Multi: t.multi, Tag: t.encode()}
		entries[i] = spool.Entry{Queue: g.name, Due: now, Tag: refs[i].Tag}
	}
	hops, hot := r.reserve(it, groups)
	err := r.c.Store.Plan(spool.ID(it.id), codec.EncodePlan(targets), entries, reports...)
	if err == nil {
		if hot {
			r.cache.put(it.id, &message{it.env, targets})
		}
		// Before a connection can take the message, so that the events are in order.
		r.announce(it.env, p)
		r.announceRoutes(it.env, targets, groups, hops)
	}
	r.do(func(now int64) {
		for i, g := range groups {
			if err != nil {
				r.sched.Abandon(g.name, it.id, now)
			} else {
				r.sched.Commit(g.name, refs[i], now)
			}
		}
	})
	return err
}

// reserve gives the hop of each group's queue, and says whether one of the links
// may take the message now, so that it is worth keeping in memory.
func (r *Runner) reserve(it item, groups []group) (hops []mail.Hop, hot bool) {
	r.do(func(now int64) {
		for _, g := range groups {
			k := g.key
			if !r.sched.Has(g.name) {
				r.sched.AddQueue(k, r.c.Router.Hop(k.Destination, k.Class, k.Visited), false, now)
			}
			r.sched.Reserve(g.name, it.id)
			hop, serving := r.sched.Hop(g.name, now)
			hops, hot = append(hops, hop), hot || serving
		}
	})
	return hops, hot
}

func (r *Runner) announceRoutes(env *mail.Envelope, targets []mail.Target, groups []group, hops []mail.Hop) {
	now := r.c.Now()
	for i, g := range groups {
		e := eventOf(env, mail.EventRoute, "ROUTING", now)
		e.Peer, e.Connector, e.Detail, e.Table = hops[i].Name, hops[i].ConnectorName, hops[i].Reason, hops[i].TableVersion
		e.Recipients = make([]string, 0, len(g.targets))
		for _, t := range g.targets {
			e.Recipients = append(e.Recipients, addressOf(targets[t]))
		}
		r.c.Events(e)
	}
}

// announce tells of the categorizer's work and of the recipients that failed in it.
func (r *Runner) announce(env *mail.Envelope, p Plan) {
	for _, e := range p.Events {
		r.c.Events(e)
	}
	for _, f := range p.Failed {
		e := eventOf(env, mail.EventFail, "CATEGORIZER", f.Outcome.At)
		e.Recipients = []string{addressOf(f.Target)}
		e.Status, e.Detail = f.Outcome.Status.String(), f.Outcome.Text
		r.c.Events(e)
	}
}
