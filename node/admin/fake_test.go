package admin

import (
	"context"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
	"github.com/postroad/postroad/store/directory"
)

// fakeNode answers what these tests ask.
type fakeNode struct {
	Node
	name   string
	digest string
	peers  []Peer
	queues []string
	// events are found by any ID in them, as in the tracking log.
	events  []*trackingv1.Event
	failure error
	limit   int // of the last Messages
	dequeue func(connector string) (*queuev1.DequeueResponse, string, error)

	messages []string
	pace     int

	mu      sync.Mutex // of the table
	table   []*linkstatev1.TableEntry
	changed map[int]func()
}

// learn replaces the link state table.
func (f *fakeNode) learn(table ...*linkstatev1.TableEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table = table
	for _, tell := range f.changed {
		tell()
	}
}

func (f *fakeNode) SubscribeLinks(tell func()) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := len(f.changed)
	if f.changed == nil {
		f.changed = make(map[int]func())
	}
	f.changed[id] = tell
	return func() { f.mu.Lock(); delete(f.changed, id); f.mu.Unlock() }
}

func (f *fakeNode) Status() *nodev1.StatusResponse {
	return &nodev1.StatusResponse{Name: f.name, LinkStateDigest: f.digest}
}

func (f *fakeNode) Ledger() *nodev1.NodeLedger {
	return &nodev1.NodeLedger{Node: f.name, Queued: &nodev1.LedgerLine{Messages: int64(len(f.name))}}
}

func (f *fakeNode) Topology() *topologyv1.ShowResponse {
	return &topologyv1.ShowResponse{Node: f.name, Connectors: []*topologyv1.Connector{{Name: "k", Kind: "SMTPConnector", Bridgeheads: []*topologyv1.Bridgehead{{Server: "paris"}}}, {Name: "idle"}}}
}

func (f *fakeNode) Traffic() *topologyv1.TrafficResponse {
	return &topologyv1.TrafficResponse{
		Node: f.name, Group: "g-" + f.name, Queued: map[string]int64{"k": int64(len(f.name))},
		Flows: []*topologyv1.Flow{{Connector: "k", TargetGroup: "x", Messages: 2, Bytes: 10}, {Connector: "k", AddressSpace: "SMTP:*", Messages: 1, Bytes: 1}},
	}
}

// WhatIf says which nodes' traffic it was given.
func (f *fakeNode) WhatIf(r *topologyv1.WhatIfRequest, of []*topologyv1.TrafficResponse) (*topologyv1.WhatIfResponse, error) {
	m := &topologyv1.WhatIfResponse{Node: f.name, MovedWays: int32(len(r.GetDown()))}
	for _, t := range of {
		m.CutOff = append(m.CutOff, &topologyv1.CutOff{Group: t.GetGroup()})
	}
	return m, f.failure
}

func (f *fakeNode) Explain(r *topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error) {
	return &topologyv1.ExplainResponse{Node: f.name, Address: r.GetAddress()}, f.failure
}

func (f *fakeNode) LinkState() *linkstatev1.ListResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &linkstatev1.ListResponse{Node: f.name, Digest: f.digest, Entries: f.table}
}

func (f *fakeNode) Queues() []*queuev1.Queue {
	var all []*queuev1.Queue
	for _, id := range f.queues {
		all = append(all, &queuev1.Queue{Node: f.name, Id: id})
	}
	return all
}

// Messages pages through f.messages, "QUEUE_ID.QUEUE" each; a page looks at f.pace
// of them at most, if that is set.
func (f *fakeNode) Messages(r *queuev1.MessagesRequest) (*queuev1.MessagesResponse, error) {
	f.limit = int(r.GetLimit())
	if f.failure != nil {
		return nil, f.failure
	}
	resp := &queuev1.MessagesResponse{}
	for i, place := range f.messages {
		if place <= r.GetPageToken() {
			continue
		}
		if n := int(resp.GetLookedAt()); n > 0 && n == f.pace || len(resp.GetMessages()) == f.limit {
			resp.NextPageToken = f.messages[i-1]
			break
		}
		resp.LookedAt++
		id, queue, _ := strings.Cut(place, ".")
		if r.GetFilter() == "" || queue == "meant" {
			resp.Messages = append(resp.Messages, &queuev1.Message{Node: f.name, QueueId: id, Queue: queue})
		}
	}
	return resp, nil
}

func (f *fakeNode) Shape(_ context.Context, by string) (*queuev1.ShapeResponse, error) {
	row := func(name string, n int64) *queuev1.ShapeRow {
		return &queuev1.ShapeRow{Name: name, Total: n, Counts: []int64{n, 0}}
	}
	return &queuev1.ShapeResponse{
		Minutes: []int32{5}, Total: row("TOTAL", 6), Rows: []*queuev1.ShapeRow{row("only "+f.name+by, 1), row("shared", 5)},
	}, f.failure
}

func (f *fakeNode) Quarantine(r *queuev1.QuarantineRequest) *queuev1.QuarantineResponse {
	return &queuev1.QuarantineResponse{Messages: r.GetMessages()}
}

func (f *fakeNode) Retry(string) (int, error) { return 3, f.failure }

func (f *fakeNode) Freezes() []*queuev1.StandingFreeze {
	return []*queuev1.StandingFreeze{{Node: f.name, Like: &queuev1.Likeness{NextHop: "h"}}}
}

// Show knows the messages that f.messages begins with.
func (f *fakeNode) Show(id string) (list []*queuev1.Outlook, err error) {
	for _, place := range f.messages {
		if own, queue, _ := strings.Cut(place, "."); own == id {
			list = append(list, &queuev1.Outlook{Message: &queuev1.Message{Node: f.name, QueueId: own, Queue: queue}})
		}
	}
	return list, f.failure
}

func (f *fakeNode) Act(_ context.Context, req *queuev1.ActRequest, who string) (*queuev1.ActResult, error) {
	if f.failure != nil {
		return nil, f.failure
	}
	return &queuev1.ActResult{Node: f.name, Messages: 2, Sample: []string{who + ": " + req.GetReason()}}, nil
}

func (f *fakeNode) Outbound(req *queuev1.OutboundRequest, who string) (*queuev1.OutboundResult, error) {
	return &queuev1.OutboundResult{Node: f.name, Disabled: req.GetDisable()}, f.failure
}

func (f *fakeNode) Find(r *trackingv1.FindRequest) ([]*trackingv1.Event, error) {
	if f.failure != nil {
		return nil, f.failure
	}
	var found []*trackingv1.Event
	for _, e := range f.events {
		if slices.Contains([]string{e.GetMessageId(), e.GetQueueId(), e.GetOriginId(), e.GetLinkedId()}, r.GetMessage()) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (f *fakeNode) Peers() []Peer { return f.peers }

// fakeDirectory gives what it holds, or fails.
type fakeDirectory struct {
	objs     []*directoryv1.Object
	changes  []directory.Change
	warnings []directory.Problem
	err      error
	// applied is what was, without dry runs; conflicts is how often somebody else
	// comes first.
	applied   []*directoryv1.Object
	conflicts int
}

func (f *fakeDirectory) Apply(_ context.Context, objs []*directoryv1.Object, dryRun bool) ([]directory.Change, int64, []directory.Problem, error) {
	if f.conflicts > 0 {
		f.conflicts--
		return nil, 0, nil, directory.ErrConflict
	}
	if !dryRun && f.err == nil {
		f.applied = append(f.applied, objs...)
	}
	return f.changes, 7, f.warnings, f.err
}

func (f *fakeDirectory) Get(_ context.Context, kind, name string) (*directoryv1.Object, error) {
	if f.err != nil {
		return nil, f.err
	}
	for _, o := range f.objs {
		if o.GetMetadata().GetKind() == kind && o.GetMetadata().GetName() == name {
			return proto.CloneOf(o), nil
		}
	}
	return nil, directory.ErrNotFound
}

func (f *fakeDirectory) List(_ context.Context, kind string) ([]*directoryv1.Object, int64, error) {
	var all []*directoryv1.Object
	for _, o := range f.objs {
		if o.GetMetadata().GetKind() == kind {
			all = append(all, o)
		}
	}
	return all, 7, f.err
}

func (f *fakeDirectory) Delete(context.Context, string, string, int64, bool) (directory.Change, int64, error) {
	if f.err != nil {
		return directory.Change{}, 0, f.err
	}
	return f.changes[0], 7, nil
}

type fakeCatalog struct {
	objs []*directoryv1.Object
	err  error
}

func (f *fakeCatalog) Objects(kind, name string) ([]*directoryv1.Object, int64, int64, error) {
	var all []*directoryv1.Object
	for _, o := range f.objs {
		m := o.GetMetadata()
		if (kind == "" || m.GetKind() == kind) && (name == "" || m.GetName() == name) {
			all = append(all, o)
		}
	}
	return all, 6, 90_000, f.err
}
