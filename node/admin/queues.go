package admin

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/filter"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

type queueService struct {
	queuev1.UnimplementedQueueServiceServer
	s *Server
}

// client asks a node's queues.
func (*queueService) client(c grpc.ClientConnInterface) queuev1.QueueServiceClient {
	return queuev1.NewQueueServiceClient(c)
}

// elsewhere is the node that a question is for; without a name if it is this one.
func (q *queueService) elsewhere(node string) (Peer, error) {
	if node == "" || node == q.s.cfg.Node.Status().GetName() {
		return Peer{}, nil
	}
	to, ok := q.s.peers.named(node)
	if !ok {
		return Peer{}, status.Errorf(codes.NotFound, "node: no Server is called %q; `postroadctl get Server` lists them", node)
	}
	return to, nil
}

// parse reads a filter, nil if there is none.
func parse(s filter.Subject, text string) (*filter.Filter, error) {
	if text == "" {
		return nil, nil
	}
	f, err := filter.Parse(s, text)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return f, nil
}

// queueError is why a node could not answer for its messages.
func queueError(err error) error {
	var syntax *filter.SyntaxError
	if errors.As(err, &syntax) {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return status.Error(codes.NotFound, err.Error())
}

func (q *queueService) Quarantine(_ context.Context, req *queuev1.QuarantineRequest) (*queuev1.QuarantineResponse, error) {
	if req.GetAll() == (len(req.GetMessages()) > 0) {
		return nil, status.Error(codes.InvalidArgument, "name the messages, or say all of them")
	}
	return q.s.cfg.Node.Quarantine(req), nil
}

func (q *queueService) Retry(_ context.Context, req *queuev1.RetryRequest) (*queuev1.RetryResponse, error) {
	n, err := q.s.cfg.Node.Retry(req.GetQueue())
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "%v", err)
	}
	return &queuev1.RetryResponse{Links: int32(n)}, nil
}
