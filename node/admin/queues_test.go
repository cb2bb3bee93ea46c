package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/postroad/postroad/node/trust"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// place is the nth message, in a queue that the filter of these tests means or not.
func placeNumber(n int, queue string) string { return fmt.Sprintf("%026d.%s", n, queue) }

// Messages of all nodes come in one order, whatever the pages, and however far each
// node looks for one of them; nodes that are silent are named.
func TestMessagesOfAllNodes(t *testing.T) {
	w := newWorld(t)
	nodes := []*fakeNode{{name: "oslo", pace: 3}, {name: "rome"}, {name: "paris", pace: 5}}
	var want, meant []string
	for i := range 40 {
		n, queue := nodes[i*i%3], []string{"meant", "other"}[i%2]
		if i > 30 {
			n = nodes[1] // rome has the youngest alone
		}
		n.messages = append(n.messages, placeNumber(i, queue))
		want = append(want, placeNumber(i, queue))
		if queue == "meant" {
			meant = append(meant, placeNumber(i, queue))
		}
	}
	for _, n := range nodes[:2] {
		nodes[2].peers = append(nodes[2].peers, Peer{n.name, w.start(n).address})
	}
	nodes[2].peers = append(nodes[2].peers, Peer{"gone", closed(t)})
	c := queuev1.NewQueueServiceClient(w.local(w.start(nodes[2])))
	for _, filter := range []string{"", "queue = meant"} {
		for _, limit := range []int32{1, 4, 100} {
			req := &queuev1.MessagesRequest{AllNodes: true, Limit: limit, Filter: filter}
			var got []string
			for pages := 0; ; pages++ {
				resp, err := c.Messages(t.Context(), req)
				if err != nil || pages > 100 {
					t.Fatal(err, pages)
				}
				if len(resp.GetMissing()) != 1 || resp.GetMissing()["gone"] == "" || len(resp.GetMessages()) > int(limit) {
					t.Fatalf("%d messages, missing %v", len(resp.GetMessages()), resp.GetMissing())
				}
				for _, m := range resp.GetMessages() {
					got = append(got, placeOf(m))
				}
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			if all := map[string][]string{"": want, "queue = meant": meant}[filter]; !slices.Equal(got, all) {
				t.Errorf("filter %q, %d a page:\n got %v\nwant %v", filter, limit, got, all)
			}
		}
	}
	resp, err := c.Messages(t.Context(), &queuev1.MessagesRequest{Node: "rome"})
	if err != nil || len(resp.GetMessages()) == 0 || resp.GetMessages()[0].GetNode() != "rome" {
		t.Errorf("rome's messages: %v, %v", resp, err)
	}
	// A queue that is not here may be elsewhere; one that is nowhere is an error.
	nodes[2].failure = fmt.Errorf("no queue is called x")
	resp, err = c.Messages(t.Context(), &queuev1.MessagesRequest{AllNodes: true, Queue: "x"})
	if err != nil || len(resp.GetMessages()) == 0 {
		t.Errorf("of others: %v, %v", resp, err)
	}
	nodes[2].peers = nodes[2].peers[:0]
	_, err = c.Messages(t.Context(), &queuev1.MessagesRequest{AllNodes: true, Queue: "x"})
	requireCode(t, err, codes.NotFound)
}

func TestQueueQuestionsThatAreWrong(t *testing.T) {
	w := newWorld(t)
	c := queuev1.NewQueueServiceClient(w.local(w.start(&fakeNode{name: "paris", queues: []string{"a", "b"}, messages: []string{placeNumber(1, "a"), placeNumber(2, "a")}})))
	list, err := c.List(t.Context(), &queuev1.ListRequest{PageSize: 1})
	if err != nil || list.GetNextPageToken() == "" {
		t.Fatal(list, err)
	}
	for _, r := range []*queuev1.ListRequest{
		{Filter: "domain.example"}, {Filter: "sender = a"}, {PageToken: "x"}, {PageToken: "!"},
		{PageToken: list.GetNextPageToken(), Filter: "messages > 5"},
	} {
		_, err := c.List(t.Context(), r)
		requireCode(t, err, codes.InvalidArgument)
	}
	_, err = c.List(t.Context(), &queuev1.ListRequest{Node: "nowhere"})
	requireCode(t, err, codes.NotFound)
	for _, r := range []*queuev1.MessagesRequest{
		{Filter: "domain.example"}, {Filter: "oldest > 2h"}, {PageToken: "x"}, {PageToken: list.GetNextPageToken()},
	} {
		_, err := c.Messages(t.Context(), r)
		requireCode(t, err, codes.InvalidArgument)
	}
	_, err = c.Messages(t.Context(), &queuev1.MessagesRequest{Node: "nowhere"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Shape(t.Context(), &queuev1.ShapeRequest{By: "color"})
	requireCode(t, err, codes.InvalidArgument)
}

// The list's order does not depend on what is in a page, and a filter means the same
// on every node.
func TestListPages(t *testing.T) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo", queues: []string{"o2", "o1"}})
	paris := w.start(&fakeNode{name: "paris", queues: []string{"p1", "p3", "p2"}, peers: []Peer{{"oslo", oslo.address}, {"gone", closed(t)}}})
	c := queuev1.NewQueueServiceClient(w.local(paris))
	for filter, want := range map[string][]string{
		"": {"o1", "o2", "p1", "p2", "p3"}, "node = oslo": {"o1", "o2"}, "queue ~ ?2": {"o2", "p2"}, "messages > 0": nil, "not node = oslo": {"p1", "p2", "p3"},
	} {
		for _, size := range []int32{0, 1, 2} {
			req := &queuev1.ListRequest{AllNodes: true, PageSize: size, Filter: filter}
			var got []string
			for pages := 0; ; pages++ {
				resp, err := c.List(t.Context(), req)
				if err != nil || pages > 10 || resp.GetMissing()["gone"] == "" {
					t.Fatal(resp, err, pages)
				}
				for _, q := range resp.GetQueues() {
					got = append(got, q.GetId())
				}
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q, %d a page: %v, want %v", filter, size, got, want)
			}
		}
	}
	resp, err := c.List(t.Context(), &queuev1.ListRequest{Node: "oslo"})
	if err != nil || len(resp.GetQueues()) != 2 || resp.GetQueues()[0].GetNode() != "oslo" {
		t.Errorf("oslo's queues: %v, %v", resp, err)
	}
}

func TestListFields(t *testing.T) {
	q := &queuev1.Queue{
		Node: "n", Id: "i", Kind: "k", Destination: "d", NextHop: "h", Connector: "c", State: queuev1.State_STATE_READY,
		Messages: 3, Bytes: 2048, OldestAgeMs: 7200_001, WaitingFor: "a path", LastError: "e", Class: "high",
	}
	for text, want := range map[string]bool{
		"node = n and queue = i and kind = k and destination = d and nexthop = h and connector = c": true,
		"state = waiting and error = e and class = high and reason ~ a*":                            true,
		"messages = 3 and bytes = 2K and oldest > 2h":                                               true,
		"state = ready": false, "bytes > 2K": false, "oldest < 2h": false,
	} {
		f, err := parse(2, text)
		if err != nil || f.Match(listed{q}) != want {
			t.Errorf("%s: %v, %v", text, !want, err)
		}
	}
	q.Messages = 0
	if f, _ := parse(2, "state = ready"); !f.Match(listed{q}) {
		t.Error("an empty queue that could move is not ready")
	}
}

func TestShapeOfAllNodes(t *testing.T) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo"})
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}, {"gone", closed(t)}}})
	c := queuev1.NewQueueServiceClient(w.local(paris))
	resp, err := c.Shape(t.Context(), &queuev1.ShapeRequest{AllNodes: true})
	if err != nil || resp.GetMissing()["gone"] == "" {
		t.Fatal(resp, err)
	}
	var rows []string
	for _, r := range append(resp.GetRows(), resp.GetTotal()) {
		rows = append(rows, fmt.Sprint(r.GetName(), r.GetTotal(), r.GetCounts()))
	}
	if want := []string{"shared10 [10 0]", "only oslo1 [1 0]", "only paris1 [1 0]", "TOTAL12 [12 0]"}; !slices.Equal(rows, want) {
		t.Errorf("%q, want %q", rows, want)
	}
	resp, err = c.Shape(t.Context(), &queuev1.ShapeRequest{Node: "oslo", By: "sender-domain"})
	if err != nil || len(resp.GetRows()) != 2 || resp.GetRows()[1].GetName() != "only oslosender-domain" {
		t.Errorf("of oslo: %v, %v", resp, err)
	}
}

// A node that cannot read its messages is not one that has none.
func TestNodeThatCannotReadIsNamed(t *testing.T) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo", failure: errors.New("disk: input/output error")})
	paris := w.start(&fakeNode{name: "paris", failure: oslo.node.failure, peers: []Peer{{"oslo", oslo.address}}})
	c := queuev1.NewQueueServiceClient(w.local(paris))
	m, err := c.Messages(t.Context(), &queuev1.MessagesRequest{AllNodes: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"oslo", "paris"} {
		if !strings.Contains(m.GetMissing()[name], "input/output error") {
			t.Errorf("of %s is said %q", name, m.GetMissing()[name])
		}
	}
	_, err = c.Messages(t.Context(), &queuev1.MessagesRequest{})
	requireCode(t, err, codes.Internal)
}

// oddNode says that it has more, and gives less than a page: one of another version, with
// another order of its queues.
type oddNode struct {
	queuev1.UnimplementedQueueServiceServer
}

func (oddNode) List(context.Context, *queuev1.ListRequest) (*queuev1.ListResponse, error) {
	return &queuev1.ListResponse{Queues: []*queuev1.Queue{{Node: "odd", Id: "q"}}, NextPageToken: "more"}, nil
}

func TestShortPageOfAnotherNode(t *testing.T) {
	w := newWorld(t)
	l := listen(t)
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(w.identity(trust.RoleServer, "odd").ServerTLS())))
	queuev1.RegisterQueueServiceServer(g, oddNode{})
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	defer func() { g.Stop(); <-done }()
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"odd", l.Addr().String()}}})
	m, err := queuev1.NewQueueServiceClient(w.local(paris)).List(t.Context(), &queuev1.ListRequest{AllNodes: true, PageSize: 10})
	if err != nil || len(m.GetQueues()) != 1 || m.GetNextPageToken() == "" {
		t.Errorf("%v, %v", m, err)
	}
}
