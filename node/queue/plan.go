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
	rule    *Rule // that holds or redirects them; nil: none
}

// way tells the groups of a message apart while they are made.
type way struct {
	dest mail.Destination
	rule *Rule
}

// plan commits what the categorizer made of a message and queues it.
func (r *Runner) plan(it item, p Plan) error {
	// No rule changes between the choice of a queue and the message standing in it.
	r.rules.mu.RLock()
	defer r.rules.mu.RUnlock()
	groups, targets := r.group(it.env, &p)
	reports, err := r.reportFailures(it, p.Failed)
	if err != nil {
		return err
	}
	reports = append(reports, r.reportExpanded(it, p.Expanded)...)
	if len(targets) == 0 {
		if err = r.c.Store.End(spool.ID(it.id), spool.Merged, planned(it.env, 0, p.Failed), reports...); err == nil {
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
	class := mail.Class{Priority: env.Priority, System: env.System, Size: mail.SizeBound(env.Size, r.c.SizeLimits()), Sender: p.Sender, RequireTLS: env.RequireTLS && !env.Null()}
	held := env.HoldUntil.After(r.c.Now())
	sent := r.sent(env.ID)
	var groups []group
	targets := make([]mail.Target, 0, len(p.Targets))
	// Class and visited are the message's, so these tell its queues apart.
	keys := map[mail.Destination]Key{}
	seen, named := map[way]int{}, map[string]int{}
	for _, t := range p.Targets {
		if t.Destination.Place == mail.PlaceForeign && t.Destination.Connector.IsZero() {
			t.Destination.Connector = env.Connector
		}
		key, ok := keys[t.Destination]
		if !ok {
			class.Bucket = 0
			class.Bucket = r.c.Router.Bucket(t.Destination, class, env.Visited, env.Origin)
			key = KeyOf(t.Destination, class, env.Visited)
			key.Held = held
			keys[t.Destination] = key
		}
		key, rule := r.ruled(key, env, t)
		if rule != nil && rule.Order.Verb == VerbDelete {
			p.Failed = append(p.Failed, Failure{t, bounced(rule)})
			continue
		}
		to := way{t.Destination, rule}
		g, ok := seen[to]
		if !ok {
			if sent != nil {
				key, rule = r.sentOn(sent, env, t, key, rule)
			}
			name := key.Name()
			if len(name) > maxName {
				p.Failed = append(p.Failed, Failure{t, mail.Fail(mail.StatusBadSyntax, fmt.Sprintf("the address is too long: %d octets", len(t.Destination.Domain)))})
				continue
			}
			// What a rule and an administrator sent the same way shares a queue.
			if g, ok = named[name]; !ok {
				g = len(groups)
				named[name] = g
				groups = append(groups, group{key: key, name: name, rule: rule})
			}
			seen[to] = g
		}
		groups[g].targets = append(groups[g].targets, len(targets))
		targets = append(targets, t)
	}
	return groups, targets
}

// sentOn gives the queue for a recipient of a message that an administrator sent another way;
// his word is above a rule that redirects. Where it cannot be, that is told.
func (r *Runner) sentOn(s *redirection, env *mail.Envelope, t mail.Target, key Key, rule *Rule) (Key, *Rule) {
	to, err := s.redirect(r, key)
	if err == nil {
		if rule != nil && rule.Order.Verb == VerbRedirect {
			rule = nil
		}
		return to, rule
	}
	r.log.Warn("redirect_refused", zap.Stringer("id", env.ID), zap.String("to", s.To.Name), zap.String("who", s.Note.By), zap.Error(err))
	e := eventOf(env, mail.EventRedirect, "ADMIN", r.c.Now())
	e.Recipients, e.Detail = []string{addressOf(t)}, "not to "+s.To.Name+": "+err.Error()
	r.c.Events(e)
	return key, rule
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
	c := &content{store: r.c.Store, id: spool.ID(it.id), size: it.env.Size}
	list, err := r.write(ReportFailure, it.env, sel.targets, sel.outcomes, c)
	if why := c.damage.Load(); err != nil && why != nil {
		err = *why
	}
	return list, err
}

// reportExpanded tells of groups that were replaced by their members (RFC 3461
// section 5.2.7). Mail does not wait for a receipt.
func (r *Runner) reportExpanded(it item, groups []mail.Target) []spool.Incoming {
	if len(groups) == 0 {
		return nil
	}
	var sel selection
	for _, t := range groups {
		sel.add(t, mail.Outcome{Result: mail.Delivered, Status: mail.StatusOK, At: r.c.Now(), Text: "expanded into its members"})
	}
	list, err := r.write(ReportExpanded, it.env, sel.targets, sel.outcomes, &content{store: r.c.Store, id: spool.ID(it.id), size: it.env.Size})
	if err != nil {
		r.log.Error("success_report_dropped", zap.Stringer("id", it.id), zap.Error(err))
	}
	return list
}

// queue writes the plan and makes it known to the scheduler. Names are reserved
// before the plan is written: see the package documentation.
func (r *Runner) queue(it item, p Plan, targets []mail.Target, groups []group, reports []spool.Incoming) error {
	due := r.now()
	if groups[0].key.Held {
		due = it.env.HoldUntil.UnixMilli()
	}
	entries := make([]spool.Entry, len(groups))
	refs := make([]Ref, len(groups))
	for i, g := range groups {
		t := tag{created: r.begins(it.env), multi: len(groups) > 1, targets: g.targets, notified: it.env.Notified}
		// RFC 2852 section 4.1.4: one notice. If the time was over when the message
		// came here, the server before has sent it.
		if by := it.env.DeliverBy; !by.IsZero() && (by.Return || by.Deadline.After(it.env.Received)) {
			t.by, t.byReturn = by.Deadline.UnixMilli(), by.Return
		}
		if len(groups) == 1 {
			t.targets = nil
		}
		if g.key.Hold != "" {
			t.note = &Note{By: g.rule.Order.Note.By, Reason: g.rule.Order.Note.Reason, At: due}
		}
		refs[i] = refOf(it.id, due, t, t.encode())
		entries[i] = spool.Entry{Queue: g.name, Due: due, Tag: refs[i].Tag}
	}
	hops, reserved, hot := r.reserve(it, groups)
	err := r.c.Store.Plan(spool.ID(it.id), codec.EncodePlan(targets), entries, planned(it.env, len(targets), p.Failed), reports...)
	if err == nil {
		if hot {
			r.cache.put(it.id, &message{it.env, targets})
		}
		// Before a connection can take the message, so that the events are in order.
		r.announce(it.env, p)
		r.announceRoutes(it.env, targets, groups, hops)
		r.announceRules(it.env, targets, groups)
	}
	r.do(func(now int64) {
		for i, g := range groups {
			switch {
			case err == nil:
				r.sched.Commit(g.name, refs[i], now)
			case reserved[i]:
				// Not what another worker reserved: a message that is listed from
				// the spool while it is announced is worked on twice.
				r.sched.Abandon(g.name, it.id, now)
			}
		}
	})
	return err
}

// reserve gives the hop of each group's queue and whether the reservation is
// ours, and says whether one of the links may take the message now, so that it is
// worth keeping in memory.
func (r *Runner) reserve(it item, groups []group) (hops []mail.Hop, reserved []bool, hot bool) {
	r.do(func(now int64) {
		for _, g := range groups {
			k := g.key
			if !r.sched.Has(g.name) {
				r.sched.AddQueue(k, r.hop(k), false, now)
			}
			reserved = append(reserved, r.sched.Reserve(g.name, it.id))
			hop, serving := r.sched.Hop(g.name, now)
			hops, hot = append(hops, hop), hot || serving
		}
	})
	return hops, reserved, hot
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
