package pipeline

import (
	"fmt"
	"slices"
	"time"

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
			Node: p.cfg.Self.Name, Id: q.ID, Kind: q.Kind, Destination: p.destination(q), NextHop: q.NextHop, Connector: q.Connector,
			State: queueState(q.State), Messages: q.Messages, OldestAgeMs: q.OldestAge.Milliseconds(), WaitingFor: q.WaitingFor,
			LastError: q.LastError, LastAttemptUnixMs: unixMS(q.LastAttempt), NextAttemptUnixMs: unixMS(q.NextAttempt),
			Class: q.Class, Connections: int32(q.Connections),
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

// Messages lists waiting messages.
func (p *Pipeline) Messages(id string, limit int) ([]*queuev1.Message, error) {
	if err := p.known(id); err != nil {
		return nil, err
	}
	list, err := p.queues.Messages(id, limit)
	if err != nil {
		return nil, err
	}
	out := make([]*queuev1.Message, len(list))
	for i, m := range list {
		out[i] = &queuev1.Message{
			Node: p.cfg.Self.Name, QueueId: m.ID.String(), OriginId: m.Origin.String(), MessageId: m.MessageID, Sender: m.Sender,
			Recipients: m.Recipients, Size: m.Size, ReceivedUnixMs: m.Received.UnixMilli(), Queue: m.Queue,
			Attempts: int32(m.Attempts), LastError: m.LastError,
		}
	}
	return out, nil
}

// Retry makes waiting links try now.
func (p *Pipeline) Retry(id string) (int, error) {
	if err := p.known(id); err != nil {
		return 0, err
	}
	return p.queues.Retry(id), nil
}

// known refuses a queue that is not here: each node has queues of its own, and
// nothing done to none of them looks like success.
func (p *Pipeline) known(id string) error {
	if id == "" || slices.ContainsFunc(p.queues.List(), func(q queue.Info) bool { return q.ID == id }) {
		return nil
	}
	return fmt.Errorf("queue: %s has no queue %q; `postroadctl queue list` shows the queues of all nodes, ask the one that has it", p.cfg.Self.Name, id)
}
