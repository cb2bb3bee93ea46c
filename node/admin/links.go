package admin

import (
	"context"

	"google.golang.org/grpc"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

type linkStateService struct {
	linkstatev1.UnimplementedLinkStateServiceServer
	s *Server
}

// List shows the table; with all nodes asked, equal digests mean that they
// agree on every link.
func (l *linkStateService) List(ctx context.Context, req *linkstatev1.ListRequest) (*linkstatev1.ListResponse, error) {
	resp := l.s.cfg.Node.LinkState()
	if !req.GetAllNodes() {
		return resp, nil
	}
	nodes, missing := l.s.statuses(ctx)
	for _, n := range nodes {
		resp.Nodes = append(resp.Nodes, &linkstatev1.NodeDigest{
			Node: n.GetName(), Digest: n.GetLinkStateDigest(),
			DirectoryRevision: n.GetDirectoryRevision(), CatalogAgeMs: n.GetCatalogAgeMs(),
			LedgerImbalance: n.GetLedgerImbalance(),
		})
	}
	for _, name := range sortedNames(missing) {
		resp.Nodes = append(resp.Nodes, &linkstatev1.NodeDigest{Node: name, Error: missing[name]})
	}
	return resp, nil
}

type nodeService struct {
	nodev1.UnimplementedNodeServiceServer
	s *Server
}

func (n *nodeService) Status(context.Context, *nodev1.StatusRequest) (*nodev1.StatusResponse, error) {
	return n.s.cfg.Node.Status(), nil
}

func (n *nodeService) Nodes(ctx context.Context, _ *nodev1.NodesRequest) (*nodev1.NodesResponse, error) {
	nodes, missing := n.s.statuses(ctx)
	return &nodev1.NodesResponse{Nodes: nodes, Missing: missing}, nil
}

// statuses asks every node, this one included, for its status.
func (s *Server) statuses(ctx context.Context) ([]*nodev1.StatusResponse, map[string]string) {
	answers, missing := all(ctx, s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*nodev1.StatusResponse, error) {
		return nodev1.NewNodeServiceClient(c).Status(ctx, &nodev1.StatusRequest{})
	})
	own := s.cfg.Node.Status()
	answers[own.GetName()] = own
	nodes := make([]*nodev1.StatusResponse, 0, len(answers))
	for _, name := range sortedNames(answers) {
		nodes = append(nodes, answers[name])
	}
	return nodes, missing
}
