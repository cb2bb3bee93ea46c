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
	if from := req.GetFrom(); from != "" && from != t.s.cfg.Node.Status().GetName() {
		to, ok := t.s.peers.named(from)
		if !ok {
			return nil, status.Errorf(codes.NotFound, "from: no Server is called %q; `postroadctl get Server` lists them", from)
		}
		return one(ctx, t.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*topologyv1.ExplainResponse, error) {
			return topologyv1.NewTopologyServiceClient(c).Explain(ctx, req)
		})
	}
	resp, err := t.s.cfg.Node.Explain(req)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	return resp, nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
