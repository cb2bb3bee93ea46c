package pipeline

import (
	"strings"
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// Bounds of what is told of a Message-ID: so many messages, found in that time.
const (
	shown      = 20
	showBudget = 1500 * time.Millisecond
)

// Show implements admin.Node.
func (p *Pipeline) Show(message string) ([]*queuev1.Outlook, error) {
	ids, err := p.messagesCalled(message)
	if err != nil {
		return nil, err
	}
	var out []*queuev1.Outlook
	for _, id := range ids {
		list, err := p.queues.Outlook(id, p.cfg.Self.Name, p.destination)
		if err != nil {
			return nil, err
		}
		for i := range list {
			out = append(out, p.outlook(&list[i]))
		}
	}
	return out, nil
}

// messagesCalled finds waiting messages by their queue ID, else by the Message-ID.
func (p *Pipeline) messagesCalled(text string) ([]mail.ID, error) {
	if id, err := mail.ParseID(text); err == nil {
		return []mail.ID{id}, nil
	}
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "<"), ">")
	f, err := filter.Parse(filter.Messages, filter.Compare{Field: filter.MessageID, Op: filter.Equal, Text: text}.String())
	if err != nil {
		return nil, err
	}
	found, err := p.queues.Find(queue.Search{Filter: f, Limit: shown, Budget: showBudget, Node: p.cfg.Self.Name, Destination: p.destination})
	var ids []mail.ID
	for _, m := range found.Messages {
		if n := len(ids); n == 0 || ids[n-1] != m.ID {
			ids = append(ids, m.ID)
		}
	}
	return ids, err
}

func (p *Pipeline) outlook(o *queue.Outlook) *queuev1.Outlook {
	m := &queuev1.Outlook{
		Message: p.message(&o.Message), LeavesUnixMs: unixMS(o.Leaves), InFlight: o.InFlight, Ahead: int64(o.Ahead), AheadOpen: o.AheadOpen,
		Beside: int64(o.Beside), Connections: int32(o.Connections), ExpiresUnixMs: unixMS(o.Expires), DelayNoticeUnixMs: unixMS(o.Notice),
		DelayNotified: o.Notified, DeliverByUnixMs: unixMS(o.DeliverBy), RetryAfterMs: o.RetryAfter.Milliseconds(), Class: o.Class,
	}
	for _, b := range o.Blocks {
		m.Blocks = append(m.Blocks, &queuev1.Block{Kind: b.Kind, Text: b.Text, UntilUnixMs: b.Until})
	}
	for _, t := range o.Tried {
		m.Attempts = append(m.Attempts, &queuev1.LastAttempt{
			Recipient: t.Recipient, Attempts: int32(t.Attempts), AtUnixMs: unixMS(t.Last), Status: t.Status.String(), Text: t.Text, Remote: t.Remote,
		})
	}
	return m
}
