package admin

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

type topologyService struct {
	topologyv1.UnimplementedTopologyServiceServer
	s *Server
}

func (t *topologyService) Show(context.Context, *topologyv1.ShowRequest) (*topologyv1.ShowResponse, error) {
	return t.s.cfg.Node.Topology(), nil
}

// Explain passes the question on to the node whose view is wanted.
func (t *topologyService) Explain(ctx context.Context, req *topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error) {
	if to, err := t.elsewhere(req.GetFrom()); err != nil {
		return nil, err
	} else if to.Name != "" {
		return passOn(ctx, t.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*topologyv1.ExplainResponse, error) {
			return topologyv1.NewTopologyServiceClient(c).Explain(ctx, req)
		})
	}
	resp, err := t.s.cfg.Node.Explain(req)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	return resp, nil
}

// History passes the question on to the node whose table is meant.
func (t *topologyService) History(ctx context.Context, req *topologyv1.HistoryRequest) (*topologyv1.HistoryResponse, error) {
	if to, err := t.elsewhere(req.GetFrom()); err != nil {
		return nil, err
	} else if to.Name != "" {
		return passOn(ctx, t.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*topologyv1.HistoryResponse, error) {
			return topologyv1.NewTopologyServiceClient(c).History(ctx, req)
		})
	}
	return t.s.cfg.Node.History(int(req.GetLimit())), nil
}

func (t *topologyService) WhatIf(_ context.Context, req *topologyv1.WhatIfRequest) (*topologyv1.WhatIfResponse, error) {
	resp, err := t.s.cfg.Node.WhatIf(req)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	return resp, nil
}

// elsewhere is the node that a question is for; without a name if it is this one.
func (t *topologyService) elsewhere(from string) (Peer, error) {
	if from == "" || from == t.s.cfg.Node.Status().GetName() {
		return Peer{}, nil
	}
	to, ok := t.s.peers.named(from)
	if !ok {
		return Peer{}, status.Errorf(codes.NotFound, "from: no Server is called %q; `postroadctl get Server` lists them", from)
	}
	return to, nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
