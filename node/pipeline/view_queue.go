package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// Queues lists this node's queues.
func (p *Pipeline) Queues() []*queuev1.Queue {
	list := p.queues.List()
	out := make([]*queuev1.Queue, len(list))
	for i, q := range list {
		out[i] = &queuev1.Queue{
			Node: p.cfg.Self.Name, Id: q.ID, Kind: q.Kind, Destination: p.destination(q), NextHop: q.NextHop, Connector: q.Connector, VirtualServer: q.VirtualServer,
			State: queueState(q.State), Messages: q.Messages, OldestAgeMs: q.OldestAge.Milliseconds(), WaitingFor: q.WaitingFor,
			LastError: q.LastError, LastAttemptUnixMs: unixMS(q.LastAttempt), NextAttemptUnixMs: unixMS(q.NextAttempt),
			Class: q.Class, Connections: int32(q.Connections), ConnectionWindow: int32(q.Window), Bytes: q.Bytes, LastHost: q.LastHost,
			FrozenBy: q.Frozen.By, FrozenReason: q.Frozen.Reason, FrozenUnixMs: q.Frozen.At,
			FrozenAs: q.Like,
		}
	}
	return out
}

// queuedOver counts the messages that wait on this node for each connector.
func (p *Pipeline) queuedOver() map[string]int64 {
	over := make(map[string]int64)
	for _, q := range p.queues.List() {
		if q.Connector != "" {
			over[q.Connector] += q.Messages
		}
	}
	return over
}

// destination names what the queue leads to by names that people gave.
func (p *Pipeline) destination(q queue.Info) string {
	conf := p.cfg.Catalog.Config()
	d := q.Destination
	switch {
	case d == (mail.Destination{}) && q.Kind != queue.KindLocal:
		return ""
	case d.Place == mail.PlaceLocal:
		return "local"
	case d.Place == mail.PlaceServer:
		return serverName(conf, d.Server)
	case d.Connector.IsZero():
		return d.Type + ":" + d.Domain
	}
	return d.Type + ":" + d.Domain + " over " + connectorName(conf, d.Connector)
}

func queueState(s queue.State) queuev1.State {
	switch s {
	case queue.Active:
		return queuev1.State_STATE_ACTIVE
	case queue.Ready:
		return queuev1.State_STATE_READY
	case queue.Retry:
		return queuev1.State_STATE_RETRY
	case queue.Scheduled:
		return queuev1.State_STATE_SCHEDULED
	case queue.Remote:
		return queuev1.State_STATE_REMOTE
	case queue.Frozen:
		return queuev1.State_STATE_FROZEN
	}
	return queuev1.State_STATE_UNSPECIFIED
}

func unixMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// searchBudget is how long a page of messages may take a node, so that a question
// to all of them is answered at once, however many messages there are.
const searchBudget = 120 * time.Millisecond

// Messages implements admin.Node.
func (p *Pipeline) Messages(req *queuev1.MessagesRequest) (*queuev1.MessagesResponse, error) {
	s := queue.Search{
		Queue: req.GetQueue(), Limit: int(req.GetLimit()), Budget: searchBudget,
		Node: p.cfg.Self.Name, Destination: p.destination,
	}
	var err error
	if req.GetFilter() != "" {
		if s.Filter, err = filter.Parse(filter.Messages, req.GetFilter()); err != nil {
			return nil, err
		}
	}
	if req.GetPageToken() != "" {
		if s.After, err = queue.ParseCursor(req.GetPageToken()); err != nil {
			return nil, fmt.Errorf("page token: %w", err)
		}
	} else if err := p.known(s.Queue); err != nil { // it may run empty between pages
		return nil, err
	}
	found, err := p.queues.Find(s)
	if err != nil {
		return nil, err
	}
	resp := &queuev1.MessagesResponse{LookedAt: int64(found.Looked)}
	if found.Next != nil {
		resp.NextPageToken = found.Next.String()
	}
	for i := range found.Messages {
		resp.Messages = append(resp.Messages, p.message(&found.Messages[i]))
	}
	return resp, nil
}

func (p *Pipeline) message(m *queue.Message) *queuev1.Message {
	return &queuev1.Message{
		Node: p.cfg.Self.Name, QueueId: m.ID.String(), OriginId: m.Origin.String(), MessageId: m.MessageID, Sender: m.Sender,
		Recipients: m.Recipients, Size: m.Size, ReceivedUnixMs: unixMS(m.Received), Queue: m.Queue,
		Attempts: int32(m.Attempts), LastError: m.LastError,
		State: m.State, Priority: m.Priority.String(), NextHop: m.NextHop, Connector: m.Connector, VirtualServer: m.VirtualServer, Destination: m.Destination,
		Kind: m.Kind, NextAttemptUnixMs: unixMS(m.NextAttempt), CreatedUnixMs: unixMS(m.Created),
		Hold: m.Hold, FrozenBy: m.Frozen.By, FrozenReason: m.Frozen.Reason, FrozenUnixMs: m.Frozen.At,
	}
}

// Shape implements admin.Node.
func (p *Pipeline) Shape(ctx context.Context, by string) (*queuev1.ShapeResponse, error) {
	var shape map[string]*queue.Ages
	var err error
	if by == "sender-domain" {
		shape, err = p.queues.ShapeOfSenders(ctx)
	} else {
		shape, err = p.queues.Shape(ctx, func(q queue.Info) string {
			if d := p.destination(q); d != "" {
				return d
			}
			return q.Kind
		})
	}
	if err != nil {
		return nil, err
	}
	resp := &queuev1.ShapeResponse{Total: &queuev1.ShapeRow{Name: "TOTAL", Counts: make([]int64, len(queue.Ages{}))}}
	for _, m := range queue.ShapeMinutes() {
		resp.Minutes = append(resp.Minutes, int32(m))
	}
	for name, ages := range shape {
		if name == "" {
			name = "<>"
		}
		row := &queuev1.ShapeRow{Name: name, Counts: ages[:]}
		for i, n := range ages {
			row.Total += n
			resp.Total.Counts[i] += n
		}
		resp.Total.Total += row.Total
		resp.Rows = append(resp.Rows, row)
	}
	return resp, nil
}

// Retry makes waiting links try now.
func (p *Pipeline) Retry(id string) (int, error) {
	if err := p.known(id); err != nil {
		return 0, err
	}
	var ids []string
	if id != "" {
		ids = []string{id}
	}
	f := p.queues.Retry(ids, false)
	if id == queue.IDPoison {
		return int(f.Messages), nil
	}
	return f.Links, nil
}

// known refuses a queue that is not here: each node has queues of its own, and
// nothing done to none of them looks like success.
func (p *Pipeline) known(id string) error {
	if id == "" || slices.ContainsFunc(p.queues.List(), func(q queue.Info) bool { return q.ID == id || q.Is([]string{id}) }) {
		return nil
	}
	return fmt.Errorf("queue: %s has no queue %q; `postroadctl queue list` shows the queues of all nodes, ask the one that has it", p.cfg.Self.Name, id)
}
