package up

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// follow asks a node for all events of a letter; that node asks the others.
func (c *cluster) follow(ctx context.Context, l letter) ([]*trackingv1.Event, error) {
	conn, err := grpc.NewClient("unix:"+c.at.socket(l.from.server), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, err := trackingv1.NewTrackingServiceClient(conn).Follow(ctx, &trackingv1.FollowRequest{Message: l.id})
	if err != nil {
		return nil, err
	}
	return r.GetEvents(), nil
}

// arrived says whether every expected mailbox has its copy, by the events.
func arrived(events []*trackingv1.Event, l letter) bool {
	return len(undelivered(events, l)) == 0
}

func undelivered(events []*trackingv1.Event, l letter) []mailbox {
	return slices.DeleteFunc(slices.Clone(l.expected), func(m mailbox) bool {
		return slices.ContainsFunc(events, func(e *trackingv1.Event) bool {
			return e.GetKind() == trackingv1.EventKind_EVENT_KIND_DELIVER &&
				slices.ContainsFunc(e.GetRecipients(), func(r string) bool { return strings.EqualFold(r, m.address) })
		})
	})
}

// waitFor follows the letter until it has arrived everywhere.
func (c *cluster) waitFor(ctx context.Context, l letter) ([]*trackingv1.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	for {
		events, err := c.follow(ctx, l)
		if err == nil && arrived(events, l) {
			return events, nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return events, fmt.Errorf("cannot follow %s: %w", l.id, err)
			}
			return events, fmt.Errorf("%s from %s to %s has not arrived within %v", l.id, l.from.address, l.to, deliverWithin)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// hops are the nodes a message was on, in order.
func hops(events []*trackingv1.Event) []string {
	var all []string
	for _, e := range events {
		if e.GetKind() == trackingv1.EventKind_EVENT_KIND_RECEIVE && !slices.Contains(all, e.GetNode()) {
			all = append(all, e.GetNode())
		}
	}
	return all
}

// printTrip shows a letter's way with the time since it was accepted.
func printTrip(w io.Writer, events []*trackingv1.Event) {
	if len(events) == 0 {
		return
	}
	start := events[0].GetTimeUnixUs()
	for _, e := range events {
		kind := strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_")
		line := fmt.Sprintf("  %8.1f ms  %-10s %-9s", float64(e.GetTimeUnixUs()-start)/1000, e.GetNode(), kind)
		switch e.GetKind() {
		case trackingv1.EventKind_EVENT_KIND_RECEIVE:
			line += fmt.Sprintf(" from %s", e.GetPeer())
		case trackingv1.EventKind_EVENT_KIND_DELIVER, trackingv1.EventKind_EVENT_KIND_SEND:
			line += fmt.Sprintf(" %s to %s", strings.Join(e.GetRecipients(), ", "), e.GetPeer())
		default:
			line += " " + strings.TrimSpace(strings.Join(e.GetRecipients(), ", ")+" "+e.GetPeer())
		}
		if e.GetConnector() != "" {
			line += " over " + e.GetConnector()
		}
		if e.GetDetail() != "" {
			line += " (" + e.GetDetail() + ")"
		}
		fmt.Fprintln(w, line)
	}
}
