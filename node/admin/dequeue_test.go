package admin

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/postroad/postroad/node/trust"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// turnOf makes a node ask itself, or name another one.
func turnOf(node string) func(string) (*queuev1.DequeueResponse, string, error) {
	return func(connector string) (*queuev1.DequeueResponse, string, error) {
		if connector == "nowhere" {
			return nil, "", nil
		}
		if connector != "k" {
			return nil, "", errors.New("SMTPConnector/" + connector + " fetches nothing: it has no setting dequeue")
		}
		if node != "" {
			return nil, node, nil
		}
		return &queuev1.DequeueResponse{Connector: connector, Node: "oslo"}, "oslo", nil
	}
}

func (f *fakeNode) Dequeue(_ context.Context, connector string) (*queuev1.DequeueResponse, string, error) {
	return f.dequeue(connector)
}

// The bridgehead whose turn it is asks, whichever node is told to; and only who may
// change things tells it to.
func TestDequeueIsPassedOn(t *testing.T) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo", dequeue: turnOf("")})
	paris := w.start(&fakeNode{name: "paris", dequeue: turnOf("oslo"), peers: []Peer{{"oslo", oslo.address}}})
	local := queuev1.NewQueueServiceClient(w.local(paris))
	m, err := local.Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "k"})
	if err != nil || m.GetNode() != "oslo" {
		t.Errorf("%v, %v", m, err)
	}
	if _, err = local.Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "other"}); err == nil || !strings.Contains(err.Error(), "no setting dequeue") {
		t.Errorf("%v", err)
	}
	_, err = local.Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "nowhere"})
	requireCode(t, err, codes.NotFound)
	_, err = local.Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "k", PassedOn: true})
	requireCode(t, err, codes.FailedPrecondition) // it never goes in circles
	server := queuev1.NewQueueServiceClient(w.remote(oslo, trust.RoleServer, "berlin"))
	_, err = server.Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "k"})
	requireCode(t, err, codes.PermissionDenied)
	admin := queuev1.NewQueueServiceClient(w.remote(oslo, trust.RoleAdmin, "alice"))
	if m, err = admin.Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "k"}); err != nil || m.GetNode() != "oslo" {
		t.Errorf("%v, %v", m, err)
	}
	lost := w.start(&fakeNode{name: "rome", dequeue: turnOf("nobody")})
	_, err = queuev1.NewQueueServiceClient(w.local(lost)).Dequeue(t.Context(), &queuev1.DequeueRequest{Connector: "k"})
	requireCode(t, err, codes.Unavailable)
}
