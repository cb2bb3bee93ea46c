package pipeline

import (
	"cmp"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/queue"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// Freezes are what stops queues to come on this node: standing freezes, and outbound mail
// that is disabled.
func (p *Pipeline) Freezes() (list []*queuev1.StandingFreeze) {
	for _, s := range p.queues.Standing() {
		list = append(list, &queuev1.StandingFreeze{
			Node: p.cfg.Self.Name, By: s.Note.By, Reason: s.Note.Reason, SinceUnixMs: s.Note.At, Queues: int64(s.Queues), Messages: s.Messages,
			Like: &queuev1.Likeness{Kind: s.Like.Kind, Destination: s.Like.Destination, NextHop: s.Like.NextHop, Connector: s.Like.Connector},
		})
	}
	if stop := p.queues.Outbound(); stop != nil {
		queues, messages := p.leaving()
		list = append(list, &queuev1.StandingFreeze{Node: p.cfg.Self.Name, By: stop.By, Reason: stop.Reason, SinceUnixMs: stop.At,
			Queues: queues, Messages: messages, Like: &queuev1.Likeness{Kind: "outbound"}})
	}
	return list
}

// leaving counts what waits for a way out of the server.
func (p *Pipeline) leaving() (queues, messages int64) {
	for _, q := range p.queues.List() {
		if q.Remote {
			queues++
			messages += q.Messages
		}
	}
	return queues, messages
}

// Outbound stops everything that leaves this server, or lets it go again.
func (p *Pipeline) Outbound(req *queuev1.OutboundRequest, who string) (*queuev1.OutboundResult, error) {
	if req.GetDisable() && req.GetReason() == "" {
		return nil, fmt.Errorf("reason: to disable outbound mail needs one, for the log and for those who look at the queues")
	}
	res := &queuev1.OutboundResult{Node: p.cfg.Self.Name, Disabled: req.GetDisable(), WasDisabled: p.queues.Outbound() != nil}
	res.Queues, res.Messages = p.leaving()
	if req.GetDryRun() || !req.GetDisable() && !res.GetWasDisabled() {
		return res, nil
	}
	var note *queue.Note
	if req.GetDisable() {
		n := queue.NoteOf(who, req.GetReason(), time.Now())
		note = &n
	}
	if err := p.queues.SetOutbound(note); err != nil {
		return nil, err
	}
	p.cfg.Logger.Named("queue").Info("outbound_changed", zap.Bool("disabled", req.GetDisable()), zap.String("who", who),
		zap.String("reason", req.GetReason()), zap.Int64("queues_touched", res.GetQueues()), zap.Int64("messages", res.GetMessages()))
	return res, nil
}

// Stopped is what stands against delivery on this node.
type Stopped struct {
	Queues   int              // frozen as a whole
	Messages map[string]int64 // held one by one: by "hand", or by a rule's name
	Outbound bool             // disabled
}

// Stopped counts what an administrator or a rule holds back.
func (p *Pipeline) Stopped() Stopped {
	s := Stopped{Messages: map[string]int64{queue.HoldByHand: 0}, Outbound: p.queues.Outbound() != nil}
	var held map[string]int64
	s.Queues, held = p.queues.Stopped()
	for hold, n := range held {
		s.Messages[cmp.Or(queue.RuleOf(hold), hold)] += n
	}
	return s
}
