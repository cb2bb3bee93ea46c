package admin

import (
	"cmp"
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/node/verify"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Get shows one server's record, with the name of who accuses it.
func (l *linkStateService) Get(_ context.Context, req *linkstatev1.GetRequest) (*linkstatev1.GetResponse, error) {
	table := l.s.cfg.Node.LinkState()
	for _, e := range table.GetEntries() {
		if e.GetServer() == req.GetServer() {
			return &linkstatev1.GetResponse{Node: table.GetNode(), Entry: e, Accuser: verify.Accuser(table, e.GetRecord())}, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "server: %s has no record of a server called %q; `postroadctl linkstate list` shows those it has, "+
		"`postroadctl get Server` those of the directory", table.GetNode(), req.GetServer())
}

// Diff asks both nodes for their tables.
func (l *linkStateService) Diff(ctx context.Context, req *linkstatev1.DiffRequest) (*linkstatev1.DiffResponse, error) {
	a, err := l.table(ctx, req.GetNodeA())
	if err != nil {
		return nil, err
	}
	b, err := l.table(ctx, req.GetNodeB())
	if err != nil {
		return nil, err
	}
	return &linkstatev1.DiffResponse{
		NodeA: a.GetNode(), NodeB: b.GetNode(), DigestA: a.GetDigest(), DigestB: b.GetDigest(), Differences: verify.Diff(a, b),
	}, nil
}

func (l *linkStateService) table(ctx context.Context, node string) (*linkstatev1.ListResponse, error) {
	own := l.s.cfg.Node.LinkState()
	if node == own.GetNode() {
		return own, nil
	}
	to, ok := l.s.peers.named(node)
	if !ok {
		return nil, status.Errorf(codes.NotFound, "node: no Server is called %q; `postroadctl get Server` lists them", node)
	}
	return passOn(ctx, l.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*linkstatev1.ListResponse, error) {
		return linkstatev1.NewLinkStateServiceClient(c).List(ctx, &linkstatev1.ListRequest{})
	})
}

// settleWithin is how long nodes may differ: news takes a moment to reach all.
const settleWithin = 3 * time.Second

// Validate joins what all nodes say with what this one makes of the map. Nodes
// that differ are asked again: only a difference that lasts is one.
func (l *linkStateService) Validate(ctx context.Context, _ *linkstatev1.ValidateRequest) (*linkstatev1.ValidateResponse, error) {
	patience := cmp.Or(l.s.cfg.SettleWithin, settleWithin)
	deadline := time.Now().Add(patience)
	for {
		table, err := l.List(ctx, &linkstatev1.ListRequest{AllNodes: true})
		if err != nil {
			return nil, err
		}
		if !verify.Agree(table.GetNodes()) && time.Now().Before(deadline) && pause(ctx, patience/6) {
			continue
		}
		traffic, _ := l.s.traffic(ctx) // who is silent is told by the checks
		checks := append(verify.Nodes(table.GetNodes()), verify.Neighbours(table.GetNode(), table.GetNeighbours()))
		return &linkstatev1.ValidateResponse{Node: table.GetNode(), Checks: append(checks, l.s.cfg.Node.Checks(traffic)...)}, nil
	}
}

// pause returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
