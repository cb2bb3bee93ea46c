package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/filter"
	"github.com/postroad/postroad/node/mail"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// maxPage bounds a page of messages: the answer of one call has room for 4 MiB.
const maxPage = 1000

// Messages pages through the messages of this node, of another, or of all in one
// order: by when their node accepted them.
func (q *queueService) Messages(ctx context.Context, req *queuev1.MessagesRequest) (*queuev1.MessagesResponse, error) {
	f, err := parse(filter.Messages, req.GetFilter())
	if err != nil {
		return nil, err
	}
	question := digest("messages", req.GetQueue(), f.String())
	after, err := openToken(req.GetPageToken(), question)
	if err != nil {
		return nil, err
	}
	to, err := q.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	limit := int(req.GetLimit())
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, maxPage)
	one := &queuev1.MessagesRequest{Queue: req.GetQueue(), Limit: int32(limit), Filter: req.GetFilter(), PageToken: req.GetPageToken()}
	if to.Name != "" {
		return passOn(ctx, q.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.MessagesResponse, error) {
			return q.client(c).Messages(ctx, one)
		})
	}
	here, unread := q.s.cfg.Node.Messages(&queuev1.MessagesRequest{Queue: req.GetQueue(), Limit: int32(limit), Filter: req.GetFilter(), PageToken: after})
	pages := pages{}
	if unread == nil {
		pages.add(here)
	} else if unread = queueError(unread, req.GetQueue()); !req.GetAllNodes() {
		return nil, unread
	}
	var missing map[string]string
	if req.GetAllNodes() {
		var answers map[string]*queuev1.MessagesResponse
		answers, missing = all(ctx, q.s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.MessagesResponse, error) {
			resp, err := q.client(c).Messages(ctx, one)
			if status.Code(err) == codes.NotFound {
				return nil, nil // a queue is on one node, mostly
			}
			return resp, err
		})
		if unread != nil && status.Code(unread) != codes.NotFound {
			missing[q.s.cfg.Node.Status().GetName()] = status.Convert(unread).Message()
		}
		for _, a := range answers {
			if a == nil {
				continue
			}
			if a.NextPageToken, err = openToken(a.GetNextPageToken(), question); err != nil {
				return nil, err
			}
			pages.add(a)
		}
		if pages.nodes == 0 && len(missing) == 0 {
			return nil, status.Errorf(codes.NotFound, "queue: no node has a queue %q; `postroadctl queue list` shows them", req.GetQueue())
		}
	}
	resp := pages.merge(limit)
	resp.Missing = missing
	if resp.NextPageToken != "" {
		resp.LookedUntilUnixMs = accepted(resp.NextPageToken)
		resp.NextPageToken = sealToken(resp.NextPageToken, question)
	}
	return resp, nil
}

// accepted is when the message at a place was accepted.
func accepted(place string) int64 {
	id, err := mail.ParseID(place[:min(26, len(place))])
	if err != nil {
		return 0
	}
	return id.Time().UnixMilli()
}

// pages is the same page of several nodes; tokens are places.
type pages struct {
	nodes  int
	rows   []*queuev1.Message
	until  string // the place up to which every node has looked; "": to the end
	looked int64
}

func (p *pages) add(r *queuev1.MessagesResponse) {
	p.nodes++
	p.looked += r.GetLookedAt()
	p.rows = append(p.rows, r.GetMessages()...)
	if next := r.GetNextPageToken(); next != "" && (p.until == "" || next < p.until) {
		p.until = next
	}
}

func placeOf(m *queuev1.Message) string { return m.GetQueueId() + "." + m.GetQueue() }

// merge puts the nodes' rows in order. Rows beyond what the slowest node has looked at
// are left to the next page, or one of that node would be missed.
func (p *pages) merge(limit int) *queuev1.MessagesResponse {
	slices.SortFunc(p.rows, func(a, b *queuev1.Message) int { return cmp.Compare(placeOf(a), placeOf(b)) })
	resp := &queuev1.MessagesResponse{Messages: p.rows, NextPageToken: p.until, LookedAt: p.looked}
	if p.until != "" {
		resp.Messages = slices.DeleteFunc(resp.Messages, func(m *queuev1.Message) bool { return placeOf(m) > p.until })
	}
	if len(resp.Messages) > limit {
		resp.Messages = resp.Messages[:limit]
		resp.NextPageToken = placeOf(resp.Messages[limit-1])
	}
	return resp
}

// shapeWithin is how long a node may take to count what it has.
const shapeWithin = 30 * time.Second

// Shape adds up the nodes' counts.
func (q *queueService) Shape(ctx context.Context, req *queuev1.ShapeRequest) (*queuev1.ShapeResponse, error) {
	switch req.GetBy() {
	case "", "destination", "sender-domain":
	default:
		return nil, status.Errorf(codes.InvalidArgument, "by %q: must be destination or sender-domain", req.GetBy())
	}
	to, err := q.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	ctx = patient(ctx, shapeWithin)
	one := &queuev1.ShapeRequest{By: req.GetBy()}
	ask := func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.ShapeResponse, error) {
		return q.client(c).Shape(ctx, one)
	}
	if to.Name != "" {
		return passOn(ctx, q.s.peers, to, ask)
	}
	var others map[string]*queuev1.ShapeResponse
	var missing map[string]string
	done := make(chan struct{})
	go func() {
		defer close(done)
		if req.GetAllNodes() {
			others, missing = all(ctx, q.s.peers, ask)
		}
	}()
	resp, err := q.s.cfg.Node.Shape(ctx, req.GetBy())
	<-done
	if err != nil {
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	sum(resp, others)
	resp.Missing = missing
	return resp, nil
}

// sum adds the others' counts to one's own and puts the greatest first.
func sum(resp *queuev1.ShapeResponse, others map[string]*queuev1.ShapeResponse) {
	rows := make(map[string]*queuev1.ShapeRow, len(resp.GetRows()))
	for _, r := range resp.GetRows() {
		rows[r.GetName()] = r
	}
	for _, o := range others {
		plus(resp.Total, o.GetTotal())
		for _, r := range o.GetRows() {
			if have := rows[r.GetName()]; have != nil {
				plus(have, r)
				continue
			}
			rows[r.GetName()] = r
			resp.Rows = append(resp.Rows, r)
		}
	}
	slices.SortFunc(resp.Rows, func(a, b *queuev1.ShapeRow) int {
		return cmp.Or(cmp.Compare(b.GetTotal(), a.GetTotal()), cmp.Compare(a.GetName(), b.GetName()))
	})
}

func plus(to, from *queuev1.ShapeRow) {
	to.Total += from.GetTotal()
	for i, n := range from.GetCounts() {
		if i < len(to.Counts) {
			to.Counts[i] += n
		}
	}
}
