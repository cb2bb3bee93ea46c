package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	"github.com/postroad/postroad/store/directory"
)

// rules are the standing orders of this server, by name. One that cannot be read,
// as of a newer version, is left out; the log says so.
func (p *Pipeline) rules(conf *directory.Configuration) []queue.Rule {
	var list []queue.Rule
	for _, r := range conf.MailRules() {
		if s := r.Spec.GetServers(); len(s) > 0 && !slices.Contains(s, p.cfg.Self.Name) {
			continue
		}
		rule, err := p.rule(r)
		if err != nil {
			p.cfg.Logger.Named("queue").Error("rule_not_applied", zap.String("rule", r.Name), zap.Error(err))
			continue
		}
		list = append(list, rule)
	}
	return list
}

func (p *Pipeline) rule(r directory.MailRule) (queue.Rule, error) {
	f, err := filter.Parse(filter.Messages, r.Spec.GetMatch())
	if err != nil {
		return queue.Rule{}, err
	}
	end, err := directory.RuleEnd(r.Spec)
	if err != nil {
		return queue.Rule{}, err
	}
	rule := queue.Rule{Name: r.Name, Order: queue.Order{Note: queue.Note{By: "rule " + r.Name, Reason: r.Spec.GetReason()}, Match: p.matcher(f)}}
	if !end.IsZero() {
		rule.Until = end.UnixMilli()
	}
	o := &rule.Order
	switch r.Spec.GetAction() {
	case directoryv1.MailRuleAction_MAIL_RULE_ACTION_BOUNCE:
		o.Verb, o.Report, o.Status = queue.VerbDelete, true, mail.StatusNoPermission
	case directoryv1.MailRuleAction_MAIL_RULE_ACTION_REDIRECT:
		o.Verb = queue.VerbRedirect
		o.To, err = p.way(r.Spec.GetTo())
	default:
		// What is not understood waits: it is neither lost nor sent where it should not go.
		o.Verb, o.Hold = queue.VerbFreeze, queue.RuleHold(r.Name)
	}
	return rule, err
}

// applyRules takes over the rules of a new configuration. Unless they, or what they
// name, changed, what waits is not held against them again. It is called from the
// one goroutine that takes over configurations.
func (p *Pipeline) applyRules(conf *directory.Configuration) {
	var mark strings.Builder
	for _, r := range conf.MailRules() {
		fmt.Fprintln(&mark, r.Name, r.Revision)
		if name, ok := strings.CutPrefix(r.Spec.GetTo(), directory.ConnectorPrefix); ok {
			g, _ := connectorNamed(conf, name)
			fmt.Fprintln(&mark, g)
		}
	}
	if now := mark.String(); now != p.ruled {
		p.ruled = now
		p.queues.SetRules(p.rules(conf))
	}
}

// ruleStatus says how many messages rules hold here.
func (p *Pipeline) ruleStatus(name string) []*nodev1.ObjectStatus {
	var all []*nodev1.ObjectStatus
	var held map[string]int64
	for _, r := range p.queues.Rules() {
		if name != "" && r.Name != name {
			continue
		}
		if held == nil {
			_, held = p.queues.Stopped()
		}
		s := &nodev1.ObjectStatus{Node: p.cfg.Self.Name, Kind: directory.KindMailRule, Name: r.Name, State: "in force"}
		switch {
		case r.Over(time.Now()):
			s.State = "ended"
		case r.Order.Verb == queue.VerbFreeze:
			s.State = fmt.Sprintf("holds %d", held[r.Order.Hold])
		}
		all = append(all, s)
	}
	return all
}
