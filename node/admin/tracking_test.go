package admin

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

const (
	receive = trackingv1.EventKind_EVENT_KIND_RECEIVE
	send    = trackingv1.EventKind_EVENT_KIND_SEND
	deliver = trackingv1.EventKind_EVENT_KIND_DELIVER
	fail    = trackingv1.EventKind_EVENT_KIND_FAIL
	report  = trackingv1.EventKind_EVENT_KIND_DSN
)

func event(us int64, node string, kind trackingv1.EventKind, queue, origin, linked string, recipients ...string) *trackingv1.Event {
	return &trackingv1.Event{TimeUnixUs: us, Node: node, Kind: kind, QueueId: queue, OriginId: origin, LinkedId: linked, Recipients: recipients}
}

// journey is a message from paris to oslo with two recipients there, one of them
// unknown, and oslo's report that comes back to paris.
func journey(t *testing.T) (*world, *running) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo", events: []*trackingv1.Event{
		event(30, "oslo", receive, "o1", "p1", "", "olav", "nobody"),
		event(50, "oslo", fail, "o1", "p1", "", "nobody"),
		event(40, "oslo", deliver, "o1", "p1", "", "olav"),
		event(40, "oslo", deliver, "o1", "p1", "", "oda"), // same moment, another recipient
		event(60, "oslo", report, "r1", "r1", "o1"),
		event(70, "oslo", send, "r1", "r1", "", "alice"),
	}})
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}}, events: []*trackingv1.Event{
		{TimeUnixUs: 10, Node: "paris", Kind: receive, QueueId: "p1", OriginId: "p1", MessageId: "hello@example.test"},
		event(20, "paris", send, "p1", "p1", "", "olav", "nobody"),
		event(80, "paris", deliver, "p2", "r1", "", "alice"),
		event(90, "paris", receive, "x", "other", ""),
	}})
	return w, paris
}

func TestFollow(t *testing.T) {
	w, paris := journey(t)
	c := trackingv1.NewTrackingServiceClient(w.local(paris))
	want := []string{
		"10 paris RECEIVE []", "20 paris SEND [olav nobody]",
		"30 oslo RECEIVE [olav nobody]", "40 oslo DELIVER [oda]", "40 oslo DELIVER [olav]", "50 oslo FAIL [nobody]", "60 oslo DSN []",
		"70 oslo SEND [alice]", "80 paris DELIVER [alice]",
	}
	for _, id := range []string{"hello@example.test", "p1", "o1"} {
		t.Run(id, func(t *testing.T) {
			resp, err := c.Follow(t.Context(), &trackingv1.FollowRequest{Message: id})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range resp.GetEvents() {
				got = append(got, fmt.Sprint(e.GetTimeUnixUs(), " ", e.GetNode(), " ", e.GetKind().String()[len("EVENT_KIND_"):], " ", e.GetRecipients()))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
			if len(resp.GetMissing()) > 0 {
				t.Errorf("missing %v", resp.GetMissing())
			}
		})
	}
}

func TestFollowNobody(t *testing.T) {
	w, paris := journey(t)
	c := trackingv1.NewTrackingServiceClient(w.local(paris))
	_, err := c.Follow(t.Context(), &trackingv1.FollowRequest{})
	requireCode(t, err, codes.InvalidArgument)
	_, err = c.Follow(t.Context(), &trackingv1.FollowRequest{Message: "never seen"})
	requireCode(t, err, codes.NotFound)

	// The node that did not answer may be the one that knows.
	paris.node.peers = append(paris.node.peers, Peer{"gone", closed(t)})
	resp, err := c.Follow(t.Context(), &trackingv1.FollowRequest{Message: "never seen"})
	if err != nil || resp.GetMissing()["gone"] == "" {
		t.Errorf("got %v, %v; want the missing node named", resp, err)
	}
}

func TestFind(t *testing.T) {
	w, paris := journey(t)
	c := trackingv1.NewTrackingServiceClient(w.local(paris))
	resp, err := c.Find(t.Context(), &trackingv1.FindRequest{Message: "p1"})
	if err != nil || len(resp.GetEvents()) != 2 {
		t.Errorf("got %v, %v; want paris' own two events", resp, err)
	}
	paris.node.failure = errors.New("since: lies in the future")
	_, err = c.Find(t.Context(), &trackingv1.FindRequest{Message: "p1"})
	requireCode(t, err, codes.InvalidArgument)
}

// The order of what the nodes say does not matter, nor how often they say it.
func TestOrderedIgnoresOrderAndRepetition(t *testing.T) {
	a, b, c := event(1, "n", receive, "q", "o", "", "x"), event(1, "n", receive, "q", "o", "", "y"), event(2, "m", send, "q", "o", "")
	want := ordered([]*trackingv1.Event{a, b, c})
	if len(want) != 3 {
		t.Fatalf("%d events, want 3", len(want))
	}
	for _, given := range [][]*trackingv1.Event{{c, b, a}, {b, a, b, c, a}, {a, c, b, a, b, c}} {
		got := ordered(given)
		if !slices.EqualFunc(got, want, func(x, y *trackingv1.Event) bool { return proto.Equal(x, y) }) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// All nodes are searched, the latest events are given in order, and who is silent is named.
func TestFindEverywhere(t *testing.T) {
	w, paris := journey(t)
	gone := listen(t)
	gone.Close()
	paris.node.peers = append(paris.node.peers, Peer{"gone", gone.Addr().String()})
	c := trackingv1.NewTrackingServiceClient(w.local(paris))
	m, err := c.Find(t.Context(), &trackingv1.FindRequest{Message: "p1", AllNodes: true, Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range m.GetEvents() {
		got = append(got, fmt.Sprint(e.GetTimeUnixUs(), " ", e.GetNode()))
	}
	if want := []string{"40 oslo", "40 oslo", "50 oslo"}; !slices.Equal(got, want) || len(m.GetMissing()) != 1 || m.GetMissing()["gone"] == "" {
		t.Errorf("got %q, missing %v", got, m.GetMissing())
	}
	if m, err = c.Find(t.Context(), &trackingv1.FindRequest{Message: "p1", Node: "oslo"}); err != nil || len(m.GetEvents()) != 4 {
		t.Errorf("%v, %v", m, err)
	}
	if m, err = c.Find(t.Context(), &trackingv1.FindRequest{Message: "p1"}); err != nil || len(m.GetEvents()) != 2 {
		t.Errorf("%v, %v", m, err)
	}
	_, err = c.Find(t.Context(), &trackingv1.FindRequest{Message: "p1", Node: "nowhere"})
	requireCode(t, err, codes.NotFound)
	f, err := c.Follow(t.Context(), &trackingv1.FollowRequest{Message: "p1", Node: "oslo"})
	if err != nil || len(f.GetEvents()) == 0 || slices.ContainsFunc(f.GetEvents(), func(e *trackingv1.Event) bool { return e.GetNode() != "oslo" }) {
		t.Errorf("%v, %v", f, err)
	}
	f, err = c.Follow(t.Context(), &trackingv1.FollowRequest{Message: "p1", Node: "paris"})
	if err != nil || slices.ContainsFunc(f.GetEvents(), func(e *trackingv1.Event) bool { return e.GetNode() != "paris" }) || len(f.GetMissing()) > 0 {
		t.Errorf("%v, %v", f, err)
	}
}
