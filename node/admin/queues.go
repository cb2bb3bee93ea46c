package admin

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

type queueService struct {
	queuev1.UnimplementedQueueServiceServer
	s *Server
}

func (q *queueService) List(ctx context.Context, req *queuev1.ListRequest) (*queuev1.ListResponse, error) {
	resp := &queuev1.ListResponse{Queues: q.s.cfg.Node.Queues()}
	if !req.GetAllNodes() {
		return resp, nil
	}
	answers, missing := all(ctx, q.s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.ListResponse, error) {
		return queuev1.NewQueueServiceClient(c).List(ctx, &queuev1.ListRequest{})
	})
	for _, a := range answers {
		resp.Queues = append(resp.Queues, a.GetQueues()...)
	}
	slices.SortStableFunc(resp.Queues, func(a, b *queuev1.Queue) int { return cmp.Compare(a.GetNode(), b.GetNode()) })
	resp.Missing = missing
	return resp, nil
}

func (q *queueService) Messages(_ context.Context, req *queuev1.MessagesRequest) (*queuev1.MessagesResponse, error) {
	limit := int(req.GetLimit())
	if limit <= 0 {
		limit = 100
	}
	m, err := q.s.cfg.Node.Messages(req.GetQueue(), limit)
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "%v", err)
	}
	return &queuev1.MessagesResponse{Messages: m}, nil
}

func (q *queueService) Retry(_ context.Context, req *queuev1.RetryRequest) (*queuev1.RetryResponse, error) {
	n, err := q.s.cfg.Node.Retry(req.GetQueue())
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "%v", err)
	}
	return &queuev1.RetryResponse{Links: int32(n)}, nil
}
