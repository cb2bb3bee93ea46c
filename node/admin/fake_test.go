package admin

import (
	"context"
	"slices"

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
}

func (f *fakeNode) Status() *nodev1.StatusResponse {
	return &nodev1.StatusResponse{Name: f.name, LinkStateDigest: f.digest}
}

func (f *fakeNode) Topology() *topologyv1.ShowResponse {
	return &topologyv1.ShowResponse{Node: f.name}
}

func (f *fakeNode) Explain(r *topologyv1.ExplainRequest) (*topologyv1.ExplainResponse, error) {
	return &topologyv1.ExplainResponse{Node: f.name, Address: r.GetAddress()}, f.failure
}

func (f *fakeNode) LinkState() *linkstatev1.ListResponse {
	return &linkstatev1.ListResponse{Node: f.name, Digest: f.digest}
}

func (f *fakeNode) Queues() []*queuev1.Queue {
	var all []*queuev1.Queue
	for _, id := range f.queues {
		all = append(all, &queuev1.Queue{Node: f.name, Id: id})
	}
	return all
}

func (f *fakeNode) Messages(_ string, limit int) ([]*queuev1.Message, error) {
	f.limit = limit
	return []*queuev1.Message{{Node: f.name}}, f.failure
}

func (f *fakeNode) Retry(string) (int, error) { return 3, f.failure }

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
}

func (f *fakeDirectory) Apply(context.Context, []*directoryv1.Object, bool) ([]directory.Change, int64, []directory.Problem, error) {
	return f.changes, 7, f.warnings, f.err
}

func (f *fakeDirectory) Get(_ context.Context, kind, name string) (*directoryv1.Object, error) {
	if f.err != nil {
		return nil, f.err
	}
	for _, o := range f.objs {
		if o.GetMetadata().GetKind() == kind && o.GetMetadata().GetName() == name {
			return o, nil
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
