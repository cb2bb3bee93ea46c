package admin

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// dequeueWithin bounds the wait for mail that comes on a turned connection; the fetch
// itself ends with the question.
const dequeueWithin = 30 * time.Minute

// Dequeue fetches mail at once, at the bridgehead whose turn it is.
func (q *queueService) Dequeue(ctx context.Context, req *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
	resp, node, err := q.s.cfg.Node.Dequeue(ctx, req.GetConnector())
	switch {
	case err != nil:
		return nil, status.Errorf(codes.FailedPrecondition, "%v", err)
	case resp != nil:
		return resp, nil
	case node == "":
		return nil, status.Errorf(codes.NotFound, "SMTPConnector/%s does not exist", req.GetConnector())
	case req.GetPassedOn():
		return nil, status.Errorf(codes.FailedPrecondition, "it is the turn of %s, as this node sees it; nodes differ, ask again in a moment", node)
	}
	to, ok := q.s.peers.named(node)
	if !ok {
		return nil, status.Errorf(codes.Unavailable, "it is the turn of %s, whose address is not known", node)
	}
	return passOnWithin(ctx, q.s.peers, to, dequeueWithin, func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.DequeueResponse, error) {
		return queuev1.NewQueueServiceClient(c).Dequeue(ctx, &queuev1.DequeueRequest{Connector: req.GetConnector(), PassedOn: true})
	})
}
