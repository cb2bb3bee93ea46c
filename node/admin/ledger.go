package admin

import (
	"context"

	"google.golang.org/grpc"

	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
)

// Ledger gives the ledgers of this node, or of all.
func (n *nodeService) Ledger(ctx context.Context, req *nodev1.LedgerRequest) (*nodev1.LedgerResponse, error) {
	own := n.s.cfg.Node.Ledger()
	ledgers := map[string]*nodev1.NodeLedger{own.GetNode(): own}
	resp := &nodev1.LedgerResponse{}
	if req.GetAllNodes() {
		var answers map[string]*nodev1.LedgerResponse
		answers, resp.Missing = all(ctx, n.s.peers, func(ctx context.Context, c grpc.ClientConnInterface) (*nodev1.LedgerResponse, error) {
			return nodev1.NewNodeServiceClient(c).Ledger(ctx, &nodev1.LedgerRequest{})
		})
		for name, a := range answers {
			for _, l := range a.GetNodes() {
				ledgers[name] = l
			}
		}
	}
	for _, name := range sortedNames(ledgers) {
		resp.Nodes = append(resp.Nodes, ledgers[name])
	}
	return resp, nil
}
