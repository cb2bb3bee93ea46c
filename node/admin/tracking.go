package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

type trackingService struct {
	trackingv1.UnimplementedTrackingServiceServer
	s *Server
}

func (t *trackingService) Find(_ context.Context, req *trackingv1.FindRequest) (*trackingv1.FindResponse, error) {
	events, err := t.s.cfg.Node.Find(req)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	return &trackingv1.FindResponse{Events: events}, nil
}

// Follow asks all nodes for the events of one message, puts them in order of
// time, and follows the reports that were made of it.
func (t *trackingService) Follow(ctx context.Context, req *trackingv1.FollowRequest) (*trackingv1.FollowResponse, error) {
	if req.GetMessage() == "" {
		return nil, status.Error(codes.InvalidArgument, "message: must be a Message-ID, a queue ID or an origin ID")
	}
	// A queue ID is known to one node only; the origin ID in its events is known
	// to all; and only then can it be known who gave up and reported.
	var events []*trackingv1.Event
	missing := make(map[string]string)
	ask := []string{req.GetMessage()}
	for i := 0; i < len(ask); i++ {
		more, silent, err := t.everywhere(ctx, ask[i], missing)
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
		return nil, status.Errorf(codes.NotFound, "no node has an event of message %q", req.GetMessage())
	}
	return &trackingv1.FollowResponse{Events: ordered(events), Missing: missing}, nil
}

// everywhere asks this node and those that are not known to be silent.
func (t *trackingService) everywhere(ctx context.Context, id string, silent map[string]string) ([]*trackingv1.Event, map[string]string, error) {
	find := &trackingv1.FindRequest{Message: id}
	events, err := t.s.cfg.Node.Find(find)
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "%v", err)
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
