package pipeline

import (
	"errors"

	"github.com/postroad/postroad/node/queue"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// force makes the queues try now that a request speaks of; with nothing named, all whose
// links wait after a failure.
func (p *Pipeline) force(req *queuev1.ActRequest, like queue.Likeness, res *queuev1.ActResult) error {
	var meant []queue.Info
	switch err := error(nil); {
	case req.GetOnMessages():
		return errors.New("retry: a connection is forced for queues; name queues")
	case like != (queue.Likeness{}) && (len(req.GetQueues()) > 0 || len(req.GetMessages()) > 0 || req.GetFilter() != ""):
		return errors.New("like: name no queues, messages or filter beside")
	case like != (queue.Likeness{}):
		meant = p.queues.Alike(like)
	case len(req.GetQueues()) == 0 && req.GetFilter() == "" && len(req.GetMessages()) == 0:
		f := p.queues.Retry(nil, req.GetDryRun())
		res.Links, res.Queues, res.Messages = int64(f.Links), int64(f.Queues), f.Messages
		return nil
	default:
		if meant, err = p.queuesMeant(req); err != nil {
			return err
		}
		_, res.Unknown = p.queues.QueueNames(req.GetQueues())
	}
	ids := []string{}
	for _, q := range meant {
		if why := stuck(q); why == "" {
			ids = append(ids, q.ID)
		} else if len(req.GetQueues()) > 0 { // what a filter means besides is left out in silence
			stay(res, q.ID, why)
		}
	}
	for _, id := range req.GetQueues() {
		switch id {
		case queue.IDPoison:
			ids = append(ids, id)
		case queue.IDQuarantine:
			stay(res, id, "what is in it was set aside; `queue quarantine release` puts it back")
		}
	}
	f := p.queues.Retry(ids, req.GetDryRun())
	res.Links, res.Queues, res.Messages = int64(f.Links), int64(f.Queues), f.Messages
	return nil
}

// stuck is why forcing a connection changes nothing for a queue; "": it may.
func stuck(q queue.Info) string {
	switch {
	case q.State == queue.Frozen:
		return "it is frozen, and waits for " + q.WaitingFor
	case q.Messages > 0 && (q.Kind == queue.KindUnreachable || q.Kind == queue.KindReroute):
		return "there is no connection to force: it waits for " + q.WaitingFor
	}
	return ""
}
