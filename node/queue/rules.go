package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
)

// Rule is a standing order: it holds for what comes into the queues and for what
// waits in them when the rule comes.
type Rule struct {
	Name string
	// Order is VerbFreeze with the rule's own Hold, VerbDelete or VerbRedirect;
	// its Match must say which recipients are meant, its notes why.
	Order Order
	// Until is when the rule ends, Unix ms; 0: when it is taken away.
	Until int64
}

// rulebook is the rules of a runner, the first that matches counts.
type rulebook struct {
	mu     sync.RWMutex
	list   []Rule
	change chan struct{}
}

// over says whether the rule has ended.
func (r *Rule) over(now int64) bool { return r.Until != 0 && now >= r.Until }

func holdsOf(rules []Rule) map[string]int64 {
	holds := map[string]int64{}
	for _, rule := range rules {
		if rule.Order.Verb == VerbFreeze {
			holds[rule.Order.Hold] = rule.Until
		}
	}
	return holds
}

// Over says whether the rule has ended by itself.
func (r *Rule) Over(now time.Time) bool { return r.over(now.UnixMilli()) }

// Rules are those in use.
func (r *Runner) Rules() []Rule {
	r.rules.mu.RLock()
	defer r.rules.mu.RUnlock()
	return r.rules.list
}

// SetRules replaces the rules. What a rule held that is not among them goes on;
// what waits is held against the new ones in the background.
func (r *Runner) SetRules(list []Rule) {
	r.rules.mu.Lock()
	defer r.rules.mu.Unlock()
	r.rules.list = list
	r.applyRules()
}

// applyRules has the scheduler know those in use, and what waits held against them. The
// rulebook must be locked, so that it is the last word that counts.
func (r *Runner) applyRules() {
	holds := holdsOf(r.rules.list)
	r.do(func(now int64) { r.sched.SetRules(holds, now) })
	signal(r.rules.change)
}

// ruleFor is the first rule that means a recipient and makes a difference. The
// rulebook must be locked.
func (r *Runner) ruleFor(it Item) *Rule {
	now := r.now()
	for i := range r.rules.list {
		rule := &r.rules.list[i]
		switch o := &rule.Order; {
		case rule.over(now) || !o.Match(it):
		case o.Verb == VerbFreeze && it.Exempt:
		case o.Verb == VerbRedirect && r.refuses(o, it.Key) != nil:
		default:
			return rule
		}
	}
	return nil
}

// ruled gives the queue for a recipient as the rules will have it, and the rule
// that says so. The rulebook must be locked.
func (r *Runner) ruled(key Key, env *mail.Envelope, t mail.Target) (Key, *Rule) {
	if len(r.rules.list) == 0 || env.System && env.Null() {
		return key, nil // a report about what a rule returned must not meet the rule again
	}
	hop := r.hop(key)
	rule := r.ruleFor(Item{Key: key, Hop: hop, Envelope: env, Target: t, Recipients: []string{addressOf(t)}, Errors: []string{""}, Created: env.Begins().UnixMilli(),
		Queue: Info{NextHop: hop.Name, Connector: hop.ConnectorName, Kind: kindOf(key.Destination, hop), State: Ready, Destination: key.Destination}})
	if rule == nil {
		return key, nil
	}
	return rule.Order.to(key), rule
}

// bounced is the outcome of recipients that a rule returns.
func bounced(rule *Rule) mail.Outcome {
	text := "refused by rule " + rule.Name
	if why := rule.Order.Note.Reason; why != "" {
		text += ": " + why
	}
	return mail.Fail(rule.Order.Status, text)
}

// announceRules tells of what rules did to a message that came in.
func (r *Runner) announceRules(env *mail.Envelope, targets []mail.Target, groups []group) {
	for _, g := range groups {
		if g.rule == nil {
			continue
		}
		kind := mail.EventFreeze
		if g.rule.Order.Verb == VerbRedirect {
			kind = mail.EventRedirect
		}
		e := eventOf(env, kind, "ADMIN", r.c.Now())
		e.Detail = join("rule "+g.rule.Name, g.rule.Order.Note.Reason)
		for _, i := range g.targets {
			e.Recipients = append(e.Recipients, addressOf(targets[i]))
		}
		r.c.Events(e)
	}
}

// ruleEnded lets a message go whose rule has ended, or is there no more. Another
// rule may want it then.
func (r *Runner) ruleEnded(e Effect, key Key, t tag) {
	now, ended := r.now(), RuleOf(key.Hold)
	key.Hold = ""
	s := r.move(e.Queue, e.Ref, key, thawed(t, now), e.Ref.Due)
	if s == nil {
		return
	}
	r.judge(s)
	if m, err := r.load(e.Ref.ID); err == nil {
		ev := eventOf(m.env, mail.EventThaw, "ADMIN", r.c.Now())
		ev.Detail = "rule " + ended + ", which held it, has ended"
		if targets, err := targetsOf(e.Ref, len(m.targets)); err == nil {
			ev.Recipients = shown(m, targets)
		}
		s.events = []mail.Event{ev}
	}
	r.submit([]*settled{s})
}

// rulesLoop holds what waits against the rules, after each change of them.
func (r *Runner) rulesLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.rules.change:
		}
		r.rules.mu.RLock()
		list := r.rules.list
		r.rules.mu.RUnlock()
		for i := range list {
			r.sweepRule(ctx, &list[i])
		}
	}
}

// inForce says whether a rule has not been taken away: that is when many wait, and each is
// looked at, and when what is in flight comes back.
func (r *Runner) inForce(name string) bool {
	return slices.ContainsFunc(r.Rules(), func(rule Rule) bool { return rule.Name == name })
}

// waiting says whether the rule is for a recipient that waits.
func (r *Rule) waiting(it Item) bool {
	switch {
	case it.Envelope.System && it.Envelope.Null():
		return false
	case it.Key.Hold != "":
		return false // who holds it, by hand or by a rule before this one, goes first
	case r.Order.Verb == VerbFreeze && it.Exempt:
		return false
	}
	return r.Order.Match(it)
}

// judge holds a message that is let go against the rules: they may have come while it was
// held. They have their say before a connection can take it.
func (r *Runner) judge(s *settled) {
	r.rules.mu.RLock()
	list := r.rules.list
	r.rules.mu.RUnlock()
	if len(list) == 0 {
		return
	}
	r.do(func(now int64) {
		q := r.sched.queues[s.to]
		if q == nil {
			return
		}
		info := r.sched.info(q, now)
		for i := range list {
			rule := &list[i]
			if rule.over(now) {
				continue
			}
			o := rule.Order
			o.Match = func(it Item) bool { it.Queue = info; return rule.waiting(it) }
			r.sched.Order(s.to, *s.next, &o, now)
		}
	})
}

func (r *Runner) sweepRule(ctx context.Context, rule *Rule) {
	if rule.over(r.now()) {
		return
	}
	o := rule.Order
	tally, err := r.Act(ctx, Selection{ByRule: true, Match: func(it Item) bool { return rule.waiting(it) && r.inForce(rule.Name) }}, o, false)
	if err != nil && ctx.Err() == nil {
		r.log.Error("rule_not_applied", zap.String("rule", rule.Name), zap.Error(err))
	}
	if tally.Messages > 0 {
		r.log.Info("rule_applied", zap.String("rule", rule.Name), zap.Stringer("action", o.Verb), zap.Int("messages", tally.Messages), zap.Int64("bytes", tally.Octets))
	}
}
