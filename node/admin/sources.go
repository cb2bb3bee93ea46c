package admin

import (
	"context"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
	"github.com/postroad/postroad/store/directory"
)

// Node is what the API shows of the node it runs on. Every method answers from
// a snapshot without waiting for anybody.
type Node interface {
	Status() *nodev1.StatusResponse
	Topology() *topologyv1.ShowResponse
	// Explain answers for this node's own view.
	Explain(*topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error)
	// History lists the last changes of the routing table, newest first; 0: all.
	History(limit int) *topologyv1.HistoryResponse
	WhatIf(*topologyv1.WhatIfRequest) (*topologyv1.WhatIfResponse, error)
	LinkState() *linkstatev1.ListResponse
	// Checks judges the map as this node sees it.
	Checks() []*linkstatev1.Check
	Queues() []*queuev1.Queue
	Messages(queue string, limit int) ([]*queuev1.Message, error)
	// Retry makes waiting links try now; "" means all. It returns how many.
	Retry(queue string) (int, error)
	Find(*trackingv1.FindRequest) ([]*trackingv1.Event, error)
	// Peers are the organisation's other nodes by the catalog.
	Peers() []Peer
}

// Peer is another node's admin listener.
type Peer struct{ Name, Address string }

// Directory is the organisation's configuration in etcd.
type Directory interface {
	Apply(ctx context.Context, objs []*directoryv1.Object, dryRun bool) ([]directory.Change, int64, []directory.Problem, error)
	Get(ctx context.Context, kind, name string) (*directoryv1.Object, error)
	List(ctx context.Context, kind string) ([]*directoryv1.Object, int64, error)
	Delete(ctx context.Context, kind, name string, revision int64, dryRun bool) (directory.Change, int64, error)
}

// Catalog answers in the directory's place while etcd does not.
type Catalog interface {
	Objects(kind, name string) (objs []*directoryv1.Object, revision int64, ageMS int64, err error)
}
