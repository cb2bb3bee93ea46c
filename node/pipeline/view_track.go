package pipeline

import (
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/track"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// Find searches this node's tracking log.
func (p *Pipeline) Find(req *trackingv1.FindRequest) ([]*trackingv1.Event, error) {
	q := track.Query{Message: req.GetMessage(), Sender: req.GetSender(), Recipient: req.GetRecipient(), Limit: int(req.GetLimit())}
	if us := req.GetSinceUnixUs(); us > 0 {
		q.Since = time.UnixMicro(us)
	}
	found, err := p.cfg.Tracking.Find(q)
	if err != nil {
		return nil, err
	}
	out := make([]*trackingv1.Event, len(found.Events))
	for i, e := range found.Events {
		out[i] = p.trackingEvent(e)
	}
	return out, nil
}

func (p *Pipeline) trackingEvent(e mail.Event) *trackingv1.Event {
	return &trackingv1.Event{
		TimeUnixUs: e.At.UnixMicro(), Node: p.cfg.Self.Name, Kind: trackingv1.EventKind(e.Kind), Source: e.Source,
		QueueId: idText(e.ID), OriginId: idText(e.Origin), MessageId: e.MessageID, Sender: e.Sender, Recipients: e.Recipients,
		Peer: e.Peer, Connector: e.Connector, Status: e.Status, Detail: e.Detail, Size: e.Size, TableVersion: e.Table, LinkedId: idText(e.Linked),
	}
}

func idText(id mail.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
