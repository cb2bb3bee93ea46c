package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

type trackingService struct {
	trackingv1.UnimplementedTrackingServiceServer
	s *Server
}

// Find searches here, on another node, or on all; of all the latest events are given.
func (t *trackingService) Find(ctx context.Context, req *trackingv1.FindRequest) (*trackingv1.FindResponse, error) {
	to, err := t.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	one := proto.CloneOf(req)
	one.Node, one.AllNodes = "", false
	ask := func(ctx context.Context, c grpc.ClientConnInterface) (*trackingv1.FindResponse, error) {
		return trackingv1.NewTrackingServiceClient(c).Find(ctx, one)
	}
	if to.Name != "" {
		return passOnWithin(ctx, t.s.peers, to, searchWithin, ask)
	}
	events, err := t.s.cfg.Node.Find(one)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	resp := &trackingv1.FindResponse{Events: events}
	if !req.GetAllNodes() {
		return resp, nil
	}
	var answers map[string]*trackingv1.FindResponse
	answers, resp.Missing = all(patient(ctx, searchWithin), t.s.peers, ask)
	for _, a := range answers {
		resp.Events = append(resp.Events, a.GetEvents()...)
	}
	resp.Events = ordered(resp.Events)
	limit := int(req.GetLimit())
	if limit <= 0 {
		limit = defaultEvents
	}
	resp.Events = resp.Events[max(len(resp.Events)-limit, 0):]
	return resp, nil
}

const (
	// defaultEvents is how many events are given to who does not say.
	defaultEvents = 1000
	// searchWithin is how long a node may look through its log for another.
	searchWithin = 8 * time.Second
)

// elsewhere is the node that a question is for; without a name if it is this one.
func (t *trackingService) elsewhere(node string) (Peer, error) {
	return (&queueService{s: t.s}).elsewhere(node)
}

// Follow asks all nodes for the events of one message, puts them in order of
// time, whatever their clocks say, and follows the reports that were made of it.
func (t *trackingService) Follow(ctx context.Context, req *trackingv1.FollowRequest) (*trackingv1.FollowResponse, error) {
	if req.GetMessage() == "" {
		return nil, status.Error(codes.InvalidArgument, "message: must be a Message-ID, a queue ID or an origin ID")
	}
	to, err := t.elsewhere(req.GetNode())
	if err != nil {
		return nil, err
	}
	if to.Name != "" {
		return passOn(ctx, t.s.peers, to, func(ctx context.Context, c grpc.ClientConnInterface) (*trackingv1.FollowResponse, error) {
			return trackingv1.NewTrackingServiceClient(c).Follow(ctx, req)
		})
	}
	// A queue ID is known to one node only; the origin ID in its events is known
	// to all; and only then can it be known who gave up and reported.
	var events []*trackingv1.Event
	missing := make(map[string]string)
	ask := []string{req.GetMessage()}
	for i := 0; i < len(ask); i++ {
		more, silent, err := t.everywhere(ctx, ask[i], missing, req.GetNode() != "")
		if err != nil {
			return nil, err
		}
		events = append(events, more...)
		maps.Copy(missing, silent)
		for _, id := range related(more) {
			if !slices.Contains(ask, id) {
				ask = append(ask, id)
			}
		}
	}
	if len(events) == 0 && len(missing) == 0 {
		if req.GetNode() != "" {
			return nil, status.Errorf(codes.NotFound, "%s has no event of message %q; without --server all nodes are asked", req.GetNode(), req.GetMessage())
		}
		return nil, status.Errorf(codes.NotFound, "no node has an event of message %q", req.GetMessage())
	}
	events = ordered(events)
	off := ahead(events)
	return &trackingv1.FollowResponse{Events: byWay(events, off), Missing: missing, ClocksAheadUs: off}, nil
}

// everywhere asks this node and, unless it is meant alone, those that are not known to
// be silent.
func (t *trackingService) everywhere(ctx context.Context, id string, silent map[string]string, alone bool) ([]*trackingv1.Event, map[string]string, error) {
	find := &trackingv1.FindRequest{Message: id}
	events, err := t.s.cfg.Node.Find(find)
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	if alone {
		return events, nil, nil
	}
	answers, missing := allBut(ctx, t.s.peers, silent, func(ctx context.Context, c grpc.ClientConnInterface) (*trackingv1.FindResponse, error) {
		return trackingv1.NewTrackingServiceClient(c).Find(ctx, find)
	})
	for _, a := range answers {
		events = append(events, a.GetEvents()...)
	}
	return events, missing, nil
}

// related are the origin IDs of events, and the IDs under which a node reported
// on what it gave up: a report's own event is linked with that one.
func related(events []*trackingv1.Event) []string {
	var ids []string
	for _, e := range events {
		of := []string{e.GetOriginId()}
		if e.GetKind() == trackingv1.EventKind_EVENT_KIND_FAIL || e.GetKind() == trackingv1.EventKind_EVENT_KIND_DEFER {
			of = append(of, e.GetQueueId())
		}
		for _, id := range of {
			if id != "" && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// ordered sorts by time and drops what was found twice.
func ordered(events []*trackingv1.Event) []*trackingv1.Event {
	slices.SortStableFunc(events, func(a, b *trackingv1.Event) int {
		return cmp.Or(cmp.Compare(a.GetTimeUnixUs(), b.GetTimeUnixUs()), cmp.Compare(a.GetNode(), b.GetNode()), cmp.Compare(a.GetKind(), b.GetKind()), slices.Compare(a.GetRecipients(), b.GetRecipients()))
	})
	return slices.CompactFunc(events, func(a, b *trackingv1.Event) bool {
		return a.GetTimeUnixUs() == b.GetTimeUnixUs() && a.GetNode() == b.GetNode() && a.GetKind() == b.GetKind() &&
			a.GetQueueId() == b.GetQueueId() && slices.Equal(a.GetRecipients(), b.GetRecipients())
	})
}
