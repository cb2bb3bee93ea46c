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
// a snapshot without waiting for anybody, but for Dequeue and Resolve.
type Node interface {
	Status() *nodev1.StatusResponse
	Topology() *topologyv1.ShowResponse
	// Explain answers for this node's own view.
	Explain(*topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error)
	// Resolve says what DNS names for a domain, by the name servers of a virtual server
	// ("": of the one that sends where no connector names one). It may wait for DNS.
	Resolve(ctx context.Context, domain, virtualServer string) (*topologyv1.ResolveResponse, error)
	// History lists the last changes of the routing table, newest first; 0: all.
	History(limit int) *topologyv1.HistoryResponse
	// WhatIf weighs what would change with the traffic of the nodes.
	WhatIf(*topologyv1.WhatIfRequest, []*topologyv1.TrafficResponse) (*topologyv1.WhatIfResponse, error)
	Traffic() *topologyv1.TrafficResponse
	LinkState() *linkstatev1.ListResponse
	// SubscribeLinks has f called after the link state table changed, until cancel.
	// f does not block.
	SubscribeLinks(f func()) (cancel func())
	// Checks judges the map as this node sees it, and the load of the nodes.
	Checks([]*topologyv1.TrafficResponse) []*linkstatev1.Check
	Queues() []*queuev1.Queue
	// Freezes are those that hold for queues to come.
	Freezes() []*queuev1.StandingFreeze
	// Messages gives a page of this node's messages, in order of their queue_id and,
	// below it, queue. Page tokens are "QUEUE_ID.QUEUE" of the place that was looked at
	// last; as texts they sort as the places do. The error is a *filter.SyntaxError, or
	// says that there is no such queue.
	Messages(*queuev1.MessagesRequest) (*queuev1.MessagesResponse, error)
	// Shape counts this node's messages by age, for each destination or sender's
	// domain. It reads them all.
	Shape(ctx context.Context, by string) (*queuev1.ShapeResponse, error)
	// Retry makes waiting links try now; "" means all. It returns how many. The error
	// says that there is no such queue.
	Retry(queue string) (int, error)
	// Show says of one message when it will leave each queue that it is in; nothing of
	// one that is not here.
	Show(message string) ([]*queuev1.Outlook, error)
	// Quarantine releases or deletes messages that were set aside.
	Quarantine(*queuev1.QuarantineRequest) *queuev1.QuarantineResponse
	// Dequeue asks the provider of a connector for mail, and waits for it; node alone is
	// given back where that is another bridgehead's turn, and nothing for a connector
	// that does not exist.
	Dequeue(ctx context.Context, connector string) (resp *queuev1.DequeueResponse, node string, err error)
	// Act and Outbound change what is given out; who is for the logs. An error means
	// that the request is wrong and nothing was done.
	Act(ctx context.Context, req *queuev1.ActRequest, who string) (*queuev1.ActResult, error)
	Outbound(req *queuev1.OutboundRequest, who string) (*queuev1.OutboundResult, error)
	Find(*trackingv1.FindRequest) ([]*trackingv1.Event, error)
	// Ledger is what this node counted.
	Ledger() *nodev1.NodeLedger
	// Objects says what this node made of objects of the directory; "" means all.
	Objects(kind, name string) []*nodev1.ObjectStatus
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
