package admin

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/grpc"

	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

// Objects gathers what the nodes made of the objects that concern them.
func (n *nodeService) Objects(ctx context.Context, req *nodev1.ObjectsRequest) (*nodev1.ObjectsResponse, error) {
	resp := &nodev1.ObjectsResponse{Objects: n.s.cfg.Node.Objects(req.GetKind(), req.GetName())}
	if !req.GetAllNodes() {
		return resp, nil
	}
	answers, missing := all(ctx, n.s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*nodev1.ObjectsResponse, error) {
		return nodev1.NewNodeServiceClient(c).Objects(ctx, &nodev1.ObjectsRequest{Kind: req.GetKind(), Name: req.GetName()})
	})
	for _, a := range answers {
		resp.Objects = append(resp.Objects, a.GetObjects()...)
	}
	slices.SortFunc(resp.Objects, func(a, b *nodev1.ObjectStatus) int {
		return cmp.Or(cmp.Compare(a.GetNode(), b.GetNode()), cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	resp.Missing = missing
	return resp, nil
}
