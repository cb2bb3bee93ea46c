package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"

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

// queueError is why a node could not answer for its messages: of a queue ("": of all) it
// does not have, unless it could not read them.
func queueError(err error, queue string) error {
	var syntax *filter.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return status.Error(codes.InvalidArgument, err.Error())
	case queue == "":
		return status.Error(codes.Internal, err.Error())
	}
	return status.Error(codes.NotFound, err.Error())
}

func (q *queueService) Quarantine(_ context.Context, req *queuev1.QuarantineRequest) (*queuev1.QuarantineResponse, error) {
	if req.GetAll() == (len(req.GetMessages()) > 0) {
		return nil, status.Error(codes.InvalidArgument, "name the messages, or say all of them")
	}
	return q.s.cfg.Node.Quarantine(req), nil
}

// Retry makes links try now here, on another node, or on all. A queue is on one node,
// mostly: that others do not have it is no failure.
func (q *queueService) Retry(ctx context.Context, req *queuev1.RetryRequest) (*queuev1.RetryResponse, error) {
	to, err := q.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	one := &queuev1.RetryRequest{Queue: req.GetQueue()}
	ask := func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.RetryResponse, error) {
		return q.client(c).Retry(ctx, one)
	}
	if to.Name != "" {
		return passOn(ctx, q.s.peers, to, ask)
	}
	self := q.s.cfg.Node.Status().GetName()
	resp := &queuev1.RetryResponse{LinksOf: map[string]int32{}}
	n, err := q.s.cfg.Node.Retry(req.GetQueue())
	if err == nil {
		resp.LinksOf[self] = int32(n)
	} else if !req.GetAllNodes() {
		return nil, status.Errorf(codes.NotFound, "%v", err)
	}
	if req.GetAllNodes() {
		var answers map[string]*queuev1.RetryResponse
		answers, resp.Missing = all(ctx, q.s.peers, found(ask))
		for name, a := range answers {
			if a != nil {
				resp.LinksOf[name] = a.GetLinks()
			}
		}
		if len(resp.LinksOf) == 0 && len(resp.Missing) == 0 {
			return nil, status.Errorf(codes.NotFound, "queue: no node has a queue %q; `postroadctl queue list` shows them", req.GetQueue())
		}
	}
	for _, n := range resp.LinksOf {
		resp.Links += n
	}
	return resp, nil
}

// found takes it for an answer, nil, that a node does not have what is asked for.
func found[T any](ask func(context.Context, grpc.ClientConnInterface) (*T, error)) func(context.Context, grpc.ClientConnInterface) (*T, error) {
	return func(ctx context.Context, c grpc.ClientConnInterface) (*T, error) {
		a, err := ask(ctx, c)
		if status.Code(err) == codes.NotFound {
			return nil, nil
		}
		return a, err
	}
}

// Show says of one message when it will leave, wherever it is.
func (q *queueService) Show(ctx context.Context, req *queuev1.ShowRequest) (*queuev1.ShowResponse, error) {
	if req.GetMessage() == "" {
		return nil, status.Error(codes.InvalidArgument, "message: must be a queue ID or a Message-ID")
	}
	to, err := q.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	one := &queuev1.ShowRequest{Message: req.GetMessage()}
	ask := func(ctx context.Context, c grpc.ClientConnInterface) (*queuev1.ShowResponse, error) {
		return q.client(c).Show(ctx, one)
	}
	if to.Name != "" {
		return passOn(ctx, q.s.peers, to, ask)
	}
	resp := &queuev1.ShowResponse{}
	if resp.Outlooks, err = q.s.cfg.Node.Show(req.GetMessage()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	if req.GetAllNodes() {
		var answers map[string]*queuev1.ShowResponse
		answers, resp.Missing = all(ctx, q.s.peers, found(ask))
		for _, a := range answers {
			resp.Outlooks = append(resp.Outlooks, a.GetOutlooks()...)
		}
	}
	if len(resp.Outlooks) == 0 && len(resp.Missing) == 0 {
		return nil, status.Errorf(codes.NotFound, "no message %q waits on the nodes that were asked; `postroadctl track follow` tells what became of it", req.GetMessage())
	}
	slices.SortStableFunc(resp.Outlooks, func(a, b *queuev1.Outlook) int {
		return cmp.Or(cmp.Compare(a.GetMessage().GetNode(), b.GetMessage().GetNode()), cmp.Compare(a.GetMessage().GetQueue(), b.GetMessage().GetQueue()))
	})
	return resp, nil
}
