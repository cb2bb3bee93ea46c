package pipeline

import (
	"time"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/queue"
)

// meantQueue is a queue as a filter sees it.
type meantQueue struct {
	p *Pipeline
	q *queue.Info
}

// Text implements filter.Record.
func (m meantQueue) Text(f filter.Field) ([]string, bool) {
	q := m.q
	switch f {
	case filter.Node:
		return []string{m.p.cfg.Self.Name}, true
	case filter.Queue:
		return []string{q.ID}, true
	case filter.Kind:
		return []string{q.Kind}, true
	case filter.Destination:
		return filter.DestinationTexts(m.p.destination(*q)), true
	case filter.NextHop:
		return []string{q.NextHop}, true
	case filter.Connector:
		return []string{q.Connector}, true
	case filter.State:
		return []string{q.Word()}, true
	case filter.Error:
		return []string{q.LastError}, true
	case filter.Class:
		return []string{q.Class}, true
	case filter.Reason:
		return []string{q.WaitingFor}, true
	}
	return nil, false
}

// Number implements filter.Record.
func (m meantQueue) Number(f filter.Field) (int64, bool) {
	switch f {
	case filter.Count:
		return m.q.Messages, true
	case filter.Bytes:
		return m.q.Bytes, true
	case filter.Oldest:
		return m.q.OldestAge.Milliseconds(), true
	}
	return 0, false
}

// meantMessage is a waiting message as a filter sees it, with the recipients that
// it has in a queue, or with one of them.
type meantMessage struct {
	meantQueue
	it  *queue.Item
	to  []string
	err []string
	now time.Time
}

// Text implements filter.Record.
func (m meantMessage) Text(f filter.Field) ([]string, bool) {
	env := m.it.Envelope
	switch f {
	case filter.Sender:
		return []string{env.From.String()}, true
	case filter.Recipient:
		return m.to, true
	case filter.State:
		if m.it.Attempts > 0 && m.it.Due > m.now.UnixMilli() {
			return []string{queue.Retry.String()}, true
		}
	case filter.Priority:
		return []string{env.Priority.String()}, true
	case filter.MessageID:
		return []string{env.MessageID}, true
	case filter.Error:
		return m.err, true
	}
	return m.meantQueue.Text(f)
}

// Number implements filter.Record.
func (m meantMessage) Number(f filter.Field) (int64, bool) {
	switch f {
	case filter.Size:
		return m.it.Envelope.Size, true
	case filter.Age:
		return m.now.UnixMilli() - m.it.Created, true
	case filter.Attempts:
		return int64(m.it.Attempts), true
	}
	return 0, false
}

// matcher is a filter of messages as the queues ask for it; nil means all. A
// recipient is meant if the message is, and so it is with this recipient alone:
// what `queue messages` does not show is not touched.
func (p *Pipeline) matcher(f *filter.Filter) func(queue.Item) bool {
	if f == nil {
		return nil
	}
	return func(it queue.Item) bool {
		m := meantMessage{meantQueue{p, &it.Queue}, &it, it.Recipients, it.Errors, time.Now()}
		if !f.Match(m) {
			return false
		}
		m.to, m.err = []string{it.Recipient()}, []string{it.LastErr}
		return f.Match(m)
	}
}
