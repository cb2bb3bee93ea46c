package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/postroad/postroad/filter"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// List pages through the queues in an order that does not change while queues come
// and go: by node, kind and destination.
func (q *queueService) List(ctx context.Context, req *queuev1.ListRequest) (*queuev1.ListResponse, error) {
	f, err := parse(filter.Queues, req.GetFilter())
	if err != nil {
		return nil, err
	}
	search := digest("queues", f.String())
	after, err := openToken(req.GetPageToken(), search)
	if err != nil {
		return nil, err
	}
	to, err := q.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	one := &queuev1.ListRequest{Filter: req.GetFilter(), PageToken: req.GetPageToken(), PageSize: req.GetPageSize()}
	if to.Name != "" {
		return passOn(ctx, q.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.ListResponse, error) {
			return q.client(c).List(ctx, one)
		})
	}
	resp := &queuev1.ListResponse{Queues: q.s.cfg.Node.Queues()}
	if after == "" {
		resp.Freezes = q.s.cfg.Node.Freezes()
	}
	resp.Queues = slices.DeleteFunc(resp.Queues, func(q *queuev1.Queue) bool { return !f.Match(listed{q}) })
	more := false
	if req.GetAllNodes() {
		var answers map[string]*queuev1.ListResponse
		answers, resp.Missing = all(ctx, q.s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.ListResponse, error) {
			return q.client(c).List(ctx, one)
		})
		for _, a := range answers {
			resp.Queues = append(resp.Queues, a.GetQueues()...)
			resp.Freezes = append(resp.Freezes, a.GetFreezes()...)
			more = more || a.GetNextPageToken() != ""
		}
	}
	slices.SortStableFunc(resp.Freezes, func(a, b *queuev1.StandingFreeze) int { return cmp.Compare(a.GetNode(), b.GetNode()) })
	places := make(map[*queuev1.Queue]string, len(resp.Queues))
	for _, q := range resp.Queues {
		places[q] = listPlace(q)
	}
	slices.SortFunc(resp.Queues, func(a, b *queuev1.Queue) int { return cmp.Compare(places[a], places[b]) })
	if after != "" {
		resp.Queues = slices.DeleteFunc(resp.Queues, func(q *queuev1.Queue) bool { return places[q] <= after })
	}
	// A node that has more gave a whole page, so this page ends before what it kept back;
	// one of another version, which has another order, may have given less.
	if n := min(int(req.GetPageSize()), len(resp.Queues)); n > 0 && (more || len(resp.Queues) > n) {
		resp.Queues = resp.Queues[:n]
		resp.NextPageToken = sealToken(places[resp.Queues[n-1]], search)
	}
	return resp, nil
}

// kinds is the order in which a node's queues are listed; what is not named comes
// last. It is that of a message's way.
func kinds() []string {
	return []string{
		"Pre-submission", "DSN pending submission", "Messages awaiting directory lookup", "Messages waiting to be routed",
		"Final destination currently unreachable", "Local delivery", "Deferred delivery", "Failed message retry",
	}
}

// listPlace is a queue's place in the list, as a text that sorts.
func listPlace(q *queuev1.Queue) string {
	rank := slices.Index(kinds(), q.GetKind())
	if rank < 0 {
		rank = len(kinds())
	}
	return strings.Join([]string{q.GetNode(), fmt.Sprintf("%02d", rank), q.GetDestination(), q.GetId()}, "\x00")
}

// listed is a queue as a filter sees it.
type listed struct{ *queuev1.Queue }

// Text implements filter.Record.
func (l listed) Text(f filter.Field) ([]string, bool) {
	switch f {
	case filter.Node:
		return []string{l.GetNode()}, true
	case filter.Queue:
		return []string{l.GetId()}, true
	case filter.Kind:
		return []string{l.GetKind()}, true
	case filter.Destination:
		return filter.DestinationTexts(l.GetDestination()), true
	case filter.NextHop:
		return []string{l.GetNextHop()}, true
	case filter.Connector:
		return []string{l.GetConnector()}, true
	case filter.State:
		return []string{l.state()}, true
	case filter.Error:
		return []string{l.GetLastError()}, true
	case filter.Class:
		return []string{l.GetClass()}, true
	case filter.Reason:
		return []string{l.GetWaitingFor()}, true
	}
	return nil, false
}

// state is the state in the word that `queue list` shows.
func (l listed) state() string {
	if l.GetState() == queuev1.State_STATE_READY && l.GetMessages() > 0 && l.GetWaitingFor() != "" {
		return "waiting"
	}
	return strings.ToLower(strings.TrimPrefix(l.GetState().String(), "STATE_"))
}

// Number implements filter.Record.
func (l listed) Number(f filter.Field) (int64, bool) {
	switch f {
	case filter.Count:
		return l.GetMessages(), true
	case filter.Bytes:
		return l.GetBytes(), true
	case filter.Oldest:
		return l.GetOldestAgeMs(), true
	}
	return 0, false
}
