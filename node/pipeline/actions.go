package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	"github.com/postroad/postroad/store/directory"
)

// acted counts the messages that administrators touched, by what they did.
type acted [queue.VerbRetry + 1]atomic.Int64

// Act carries out what an administrator wants done on this node; who is the name
// that goes into logs and tracking. An error means that the request is wrong and
// nothing was done.
func (p *Pipeline) Act(ctx context.Context, req *queuev1.ActRequest, who string) (*queuev1.ActResult, error) {
	o, err := p.orderOf(req, who)
	if err != nil {
		return nil, err
	}
	like := likenessOf(req.GetLike())
	if o.Verb != queue.VerbRetry && len(req.GetQueues()) == 0 && len(req.GetMessages()) == 0 && req.GetFilter() == "" && like == (queue.Likeness{}) {
		return nil, fmt.Errorf("nothing is named: give queues, messages or a filter")
	}
	res := &queuev1.ActResult{Node: p.cfg.Self.Name}
	if o.Verb == queue.VerbRetry {
		err = p.force(req, like, res)
	} else if like != (queue.Likeness{}) {
		err = p.actOnAlike(req, like, o, res)
	} else if !req.GetOnMessages() && (o.Verb == queue.VerbFreeze || o.Verb == queue.VerbThaw) {
		err = p.actOnQueues(req, o, res)
	} else {
		err = p.actOnMessages(ctx, req, o, res)
	}
	if err != nil {
		return nil, err
	}
	if !req.GetDryRun() {
		p.acted[o.Verb].Add(res.GetMessages())
		p.cfg.Logger.Named("queue").Info("queue_action", zap.Stringer("action", o.Verb), zap.String("who", who), zap.String("reason", req.GetReason()),
			zap.Strings("queues", req.GetQueues()), zap.Strings("ids", req.GetMessages()), zap.String("filter", req.GetFilter()), zap.Stringer("like", like), zap.String("to", req.GetTo()),
			zap.Bool("report", req.GetReport()), zap.Int64("queues_touched", res.GetQueues()), zap.Int64("messages", res.GetMessages()),
			zap.Int64("bytes", res.GetBytes()), zap.Int64("later", res.GetLater()), zap.Int64("untold", res.GetUntold()), zap.Int64("links", res.GetLinks()), zap.String("error", res.GetError()))
	}
	return res, nil
}

// orderOf checks what is to be done.
func (p *Pipeline) orderOf(req *queuev1.ActRequest, who string) (queue.Order, error) {
	o := queue.Order{Note: queue.NoteOf(who, req.GetReason(), time.Now())}
	switch req.GetAction() {
	case queuev1.Action_ACTION_FREEZE:
		o.Verb, o.Hold = queue.VerbFreeze, queue.HoldByHand
	case queuev1.Action_ACTION_THAW:
		o.Verb = queue.VerbThaw
	case queuev1.Action_ACTION_DELETE:
		o.Verb, o.Report, o.Status = queue.VerbDelete, req.GetReport(), mail.StatusNotAccepting // the book, table 2
	case queuev1.Action_ACTION_REDIRECT:
		o.Verb = queue.VerbRedirect
		way, err := p.way(req.GetTo())
		if err != nil {
			return o, err
		}
		o.To = way
	case queuev1.Action_ACTION_RETRY:
		o.Verb = queue.VerbRetry
	default:
		return o, fmt.Errorf("action: must be freeze, thaw, delete, redirect or retry")
	}
	if req.GetReason() == "" && (o.Verb == queue.VerbDelete || o.Verb == queue.VerbRedirect) {
		return o, fmt.Errorf("reason: %s needs one, for the log", o.Verb)
	}
	return o, nil
}

// way reads where mail is to be sent.
func (p *Pipeline) way(to string) (queue.Way, error) {
	if to == "auto" {
		return queue.Way{Name: "the way of the map"}, nil
	}
	if name, ok := strings.CutPrefix(to, directory.ConnectorPrefix); ok {
		g, found := connectorNamed(p.cfg.Catalog.Config(), name)
		if !found {
			return queue.Way{}, fmt.Errorf("to: no connector is called %q; `postroadctl topology show` lists them", name)
		}
		return queue.Way{Connector: g, Name: name}, nil
	}
	if _, found := connectorNamed(p.cfg.Catalog.Config(), to); found {
		return queue.Way{}, fmt.Errorf("to: %s is the name of a connector; write connector:%s, or the host with its port", to, to)
	}
	host, err := directory.HostPort(to)
	if err != nil {
		return queue.Way{}, fmt.Errorf("to: %w, or auto", err)
	}
	if p.routes.Self(host) {
		return queue.Way{}, fmt.Errorf("to: %s is this server itself: the mail would come back; name another host, or auto for the way of the map", to)
	}
	return queue.Way{Host: host, Name: host}, nil
}

// connectorNamed finds a connector of any kind by its name.
func connectorNamed(conf *directory.Configuration, name string) (mail.GUID, bool) {
	if c, ok := conf.SMTPConnector(name); ok {
		return mail.GUID(c.GUID), true
	}
	if c, ok := conf.RoutingGroupConnector(name); ok {
		return mail.GUID(c.GUID), true
	}
	c, ok := conf.ForeignConnector(name)
	return mail.GUID(c.GUID), ok
}

// actOnQueues freezes or thaws whole queues.
func (p *Pipeline) actOnQueues(req *queuev1.ActRequest, o queue.Order, res *queuev1.ActResult) error {
	meant, err := p.queuesMeant(req)
	if err != nil {
		return err
	}
	kinds := p.kindsMeant(req, o, res)
	var ids, stages []string
	alike := 0
	for _, q := range meant {
		switch {
		case o.Verb == queue.VerbFreeze && !slices.Contains(req.GetQueues(), q.ID) && slices.ContainsFunc(kinds, func(id string) bool { return q.Is([]string{id}) }):
			alike++ // it is frozen with its kind
		case q.Whole != (o.Verb == queue.VerbThaw):
			if q.Like != "" && o.Verb == queue.VerbThaw && slices.ContainsFunc(req.GetQueues(), func(id string) bool { return id == q.ID }) {
				stay(res, q.ID, q.WaitingFor)
			}
			continue // it is so already
		case queue.IsStage(q.ID):
			stages = append(stages, q.ID)
		default:
			ids = append(ids, q.ID)
		}
		res.Messages += q.Messages
	}
	var names []string
	if len(ids) > 0 {
		names, _ = p.queues.QueueNames(ids)
	}
	_, res.Unknown = p.queues.QueueNames(req.GetQueues())
	res.Queues = int64(len(names) + len(stages) + max(alike, len(kinds)))
	if req.GetDryRun() || len(names)+len(stages)+len(kinds) == 0 {
		return nil
	}
	return p.stopOrGo(names, stages, kinds, o, res)
}

// stopOrGo freezes or thaws queues, stages before routing, and kinds of queues.
func (p *Pipeline) stopOrGo(names, stages, kinds []string, o queue.Order, res *queuev1.ActResult) error {
	done := 0
	var failed error
	note := func(n int, err error) {
		done += n
		failed = errors.Join(failed, err)
	}
	freeze := o.Verb == queue.VerbFreeze
	for _, kind := range kinds {
		var changed bool
		var err error
		if freeze {
			changed, err = p.queues.FreezeLike(queue.Likeness{Kind: kind}, o.Note)
		} else {
			changed, err = p.queues.ThawLike(queue.Likeness{Kind: kind})
		}
		if note(0, err); changed {
			done++
		}
	}
	if len(stages) > 0 {
		if freeze {
			note(p.queues.FreezeStages(stages, o.Note))
		} else {
			note(p.queues.ThawStages(stages))
		}
	}
	if len(names) > 0 {
		if freeze {
			note(p.queues.FreezeQueues(names, o.Note))
		} else {
			note(p.queues.ThawQueues(names))
		}
	}
	res.Queues = max(int64(done), res.Queues)
	if failed != nil {
		res.Error = failed.Error()
	}
	return nil
}

// kindsMeant are the kinds of queues that are named as a whole: freezing them holds for
// those to come.
func (p *Pipeline) kindsMeant(req *queuev1.ActRequest, o queue.Order, res *queuev1.ActResult) (kinds []string) {
	for _, id := range req.GetQueues() {
		switch id {
		case queue.IDLocal, queue.IDDeferred:
			stands := slices.ContainsFunc(p.queues.Standing(), func(s queue.StandingInfo) bool { return s.Like == queue.Likeness{Kind: id} })
			if stands == (o.Verb == queue.VerbThaw) {
				kinds = append(kinds, id)
			}
		case queue.IDPoison, queue.IDQuarantine:
			stay(res, id, "what is in it is not tried by itself; `queue quarantine` and `queue retry poison` are for it")
		}
	}
	return kinds
}

func stay(res *queuev1.ActResult, id, why string) {
	if res.Stays == nil {
		res.Stays = map[string]string{}
	}
	res.Stays[id] = why
}

func likenessOf(l *queuev1.Likeness) queue.Likeness {
	return queue.Likeness{Kind: l.GetKind(), Destination: l.GetDestination(), NextHop: l.GetNextHop(), Connector: l.GetConnector()}
}

// actOnAlike freezes or thaws queues that are alike, those to come included.
func (p *Pipeline) actOnAlike(req *queuev1.ActRequest, like queue.Likeness, o queue.Order, res *queuev1.ActResult) error {
	switch {
	case req.GetOnMessages() || o.Verb != queue.VerbFreeze && o.Verb != queue.VerbThaw:
		return fmt.Errorf("like: only whole queues are frozen and thawed so")
	case len(req.GetQueues()) > 0 || len(req.GetMessages()) > 0 || req.GetFilter() != "":
		return fmt.Errorf("like: name no queues, messages or filter beside")
	case like.Kind != "" && like.Kind != queue.IDLocal && like.Kind != queue.IDDeferred:
		return fmt.Errorf("like: kind must be %s or %s", queue.IDLocal, queue.IDDeferred)
	}
	stands := slices.ContainsFunc(p.queues.Standing(), func(s queue.StandingInfo) bool { return s.Like == like })
	if o.Verb == queue.VerbThaw && !stands {
		res.Unknown = append(res.Unknown, like.String())
		return nil
	}
	for _, q := range p.queues.Alike(like) {
		res.Queues++
		res.Messages += q.Messages
	}
	var err error
	switch {
	case req.GetDryRun():
	case o.Verb == queue.VerbFreeze:
		_, err = p.queues.FreezeLike(like, o.Note)
	default:
		_, err = p.queues.ThawLike(like)
	}
	if err != nil {
		res.Error = err.Error()
	}
	return nil
}

// queuesMeant are the queues of destinations that a request speaks of.
func (p *Pipeline) queuesMeant(req *queuev1.ActRequest) ([]queue.Info, error) {
	if len(req.GetMessages()) > 0 {
		return nil, fmt.Errorf("messages: whole queues are meant; name queues, or use `message %s`", strings.ToLower(strings.TrimPrefix(req.GetAction().String(), "ACTION_")))
	}
	var f *filter.Filter
	if req.GetFilter() != "" {
		var err error
		if f, err = filter.Parse(filter.Queues, req.GetFilter()); err != nil {
			return nil, err
		}
	}
	var meant []queue.Info
	for _, q := range p.queues.List() {
		if (q.Is(req.GetQueues()) || freezable(q, req)) && f.Match(meantQueue{p, &q}) {
			meant = append(meant, q)
		}
	}
	return meant, nil
}

// freezable says whether a request means a queue before routing.
func freezable(q queue.Info, req *queuev1.ActRequest) bool {
	return queue.IsStage(q.ID) && q.ID != queue.IDPoison && (len(req.GetQueues()) == 0 || slices.Contains(req.GetQueues(), q.ID))
}

// actOnMessages carries out an order on messages, of queues or by their IDs.
func (p *Pipeline) actOnMessages(ctx context.Context, req *queuev1.ActRequest, o queue.Order, res *queuev1.ActResult) error {
	sel := queue.Selection{Queues: req.GetQueues()}
	if req.GetFilter() != "" {
		f, err := filter.Parse(filter.Messages, req.GetFilter())
		if err != nil {
			return err
		}
		sel.Match = p.matcher(f)
	}
	for _, text := range req.GetMessages() {
		id, err := mail.ParseID(text)
		if err != nil {
			return fmt.Errorf("message %q: this is no queue ID; `postroadctl queue messages` shows them", text)
		}
		sel.IDs = append(sel.IDs, id)
	}
	if len(sel.Queues) > 0 {
		_, res.Unknown = p.queues.QueueNames(sel.Queues)
		if slices.Contains(sel.Queues, queue.IDQuarantine) {
			stay(res, queue.IDQuarantine, "what is in it was set aside; `queue quarantine release` and `delete` are for it")
		}
	}
	t, err := p.queues.Act(ctx, sel, o, req.GetDryRun())
	res.Messages, res.Recipients, res.Bytes, res.Later, res.Untold = int64(t.Messages), int64(t.Recipients), t.Octets, int64(t.Later), int64(t.Untold)
	for why, n := range t.Refused {
		if res.Refused == nil {
			res.Refused = map[string]int64{}
		}
		res.Refused[why] = int64(n)
	}
	for _, id := range t.Unknown {
		res.Unknown = append(res.Unknown, id.String())
	}
	for _, id := range t.Sample {
		res.Sample = append(res.Sample, id.String())
	}
	if err != nil {
		res.Error = err.Error()
	}
	return nil
}

// Acted counts the messages that administrators touched since the start, by what
// they did.
func (p *Pipeline) Acted() map[string]int64 {
	all := map[string]int64{}
	for v := queue.VerbFreeze; v <= queue.VerbRetry; v++ {
		all[v.String()] = p.acted[v].Load()
	}
	return all
}
