package admin

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

type topologyService struct {
	topologyv1.UnimplementedTopologyServiceServer
	s *Server
}

// Show adds up queues and load of all nodes, where that is asked.
func (t *topologyService) Show(ctx context.Context, req *topologyv1.ShowRequest) (*topologyv1.ShowResponse, error) {
	m := t.s.cfg.Node.Topology()
	if !req.GetAllNodes() {
		addUp(m, []*topologyv1.TrafficResponse{t.s.cfg.Node.Traffic()})
		return m, nil
	}
	var of []*topologyv1.TrafficResponse
	of, m.Missing = t.s.traffic(ctx)
	addUp(m, of)
	return m, nil
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

// resolveWithin is how long another node may ask DNS: two rounds over a few silent servers.
const resolveWithin = 30 * time.Second

// Resolve passes the question on to the node whose DNS is meant.
func (t *topologyService) Resolve(ctx context.Context, req *topologyv1.ResolveRequest) (*topologyv1.ResolveResponse, error) {
	if req.GetDomain() == "" {
		return nil, status.Error(codes.InvalidArgument, "domain: is missing; write the part after the @")
	}
	if to, err := t.elsewhere(req.GetFrom()); err != nil {
		return nil, err
	} else if to.Name != "" {
		return passOnWithin(ctx, t.s.peers, to, resolveWithin, func(ctx context.Context, c grpc.ClientConnInterface) (*topologyv1.ResolveResponse, error) {
			return topologyv1.NewTopologyServiceClient(c).Resolve(ctx, req)
		})
	}
	resp, err := t.s.cfg.Node.Resolve(ctx, req.GetDomain(), req.GetVirtualServer())
	if err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "%v", err)
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

// WhatIf weighs the changes with the load of all nodes.
func (t *topologyService) WhatIf(ctx context.Context, req *topologyv1.WhatIfRequest) (*topologyv1.WhatIfResponse, error) {
	of, missing := t.s.traffic(ctx)
	resp, err := t.s.cfg.Node.WhatIf(req, of)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	resp.Missing = missing
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
