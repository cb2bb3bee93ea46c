package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// actTimeout is how long one node may take to do what another passes on: it reads
// every message that a filter may mean.
const actTimeout = 2 * time.Minute

func (q *queueService) Act(ctx context.Context, req *queuev1.ActRequest) (*queuev1.ActResponse, error) {
	if err := words(req.GetReason(), req.GetBy()); err != nil {
		return nil, err
	}
	who := q.s.who(ctx, req.GetBy())
	onward := proto.CloneOf(req)
	onward.By, onward.Node, onward.AllNodes = who, "", false
	resp := &queuev1.ActResponse{}
	missing, err := q.spread(ctx, req.GetNode(), req.GetAllNodes(), func() error {
		res, err := q.s.cfg.Node.Act(ctx, req, who)
		if err != nil {
			return status.Errorf(codes.InvalidArgument, "%v", err)
		}
		resp.Results = append(resp.Results, res)
		return nil
	}, func(ctx context.Context, c grpc.ClientConnInterface) (any, error) {
		return queuev1.NewQueueServiceClient(c).Act(ctx, onward)
	}, func(a any) { resp.Results = append(resp.Results, a.(*queuev1.ActResponse).GetResults()...) })
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(resp.Results, func(a, b *queuev1.ActResult) int { return cmp.Compare(a.GetNode(), b.GetNode()) })
	resp.Missing = missing
	return resp, nil
}

func (q *queueService) Outbound(ctx context.Context, req *queuev1.OutboundRequest) (*queuev1.OutboundResponse, error) {
	if err := words(req.GetReason(), req.GetBy()); err != nil {
		return nil, err
	}
	who := q.s.who(ctx, req.GetBy())
	onward := proto.CloneOf(req)
	onward.By, onward.Node, onward.AllNodes = who, "", false
	resp := &queuev1.OutboundResponse{}
	missing, err := q.spread(ctx, req.GetNode(), req.GetAllNodes(), func() error {
		res, err := q.s.cfg.Node.Outbound(req, who)
		if err != nil {
			return status.Errorf(codes.InvalidArgument, "%v", err)
		}
		resp.Results = append(resp.Results, res)
		return nil
	}, func(ctx context.Context, c grpc.ClientConnInterface) (any, error) {
		return queuev1.NewQueueServiceClient(c).Outbound(ctx, onward)
	}, func(a any) { resp.Results = append(resp.Results, a.(*queuev1.OutboundResponse).GetResults()...) })
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(resp.Results, func(a, b *queuev1.OutboundResult) int { return cmp.Compare(a.GetNode(), b.GetNode()) })
	resp.Missing = missing
	return resp, nil
}

func words(reason, by string) error {
	if len(reason) > maxReason || len(by) > maxReason {
		return status.Errorf(codes.InvalidArgument, "reason, by: at most %d octets each", maxReason)
	}
	return nil
}

// spread does something here, on a named node, or here and on all others. What is
// wrong with a request shows here first: then no other node is asked.
func (q *queueService) spread(ctx context.Context, node string, everywhere bool, here func() error,
	ask func(context.Context, grpc.ClientConnInterface) (any, error), add func(any),
) (missing map[string]string, err error) {
	if node != "" && !everywhere && node != q.s.cfg.Node.Status().GetName() {
		to, ok := q.s.acting.named(node)
		if !ok {
			return nil, status.Errorf(codes.NotFound, "no node is called %q; `postroadctl node list` shows them", node)
		}
		a, err := passOn(ctx, q.s.acting, to, ask)
		if err == nil {
			add(a)
		}
		return nil, err
	}
	if err := here(); err != nil {
		return nil, err
	}
	if !everywhere {
		return nil, nil
	}
	answers, missing := all(ctx, q.s.acting, ask)
	for _, a := range answers {
		add(a)
	}
	return missing, nil
}
