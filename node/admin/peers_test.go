package admin

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
	nodev1 "github.com/postroad/postroad/proto/postroad/node/v1"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// mute is the address of a host that takes connections and says nothing.
func mute(t *testing.T) string {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
		}
		for _, c := range open {
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// closed is the address of a host where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

// impatient makes a node give up on the others soon, but not on one of a loaded machine.
func impatient(c *Config) { c.PeerTimeout = 1500 * time.Millisecond }

// trio is a node that can reach one of its three peers.
func trio(t *testing.T) (*world, *running) {
	w := newWorld(t)
	oslo := w.start(&fakeNode{name: "oslo", digest: "aa", queues: []string{"o1"}})
	paris := w.start(&fakeNode{name: "paris", digest: "aa", queues: []string{"p1", "p2"}, peers: []Peer{
		{"oslo", oslo.address}, {"mute", mute(t)}, {"gone", closed(t)},
	}}, impatient)
	return w, paris
}

// bounded fails the test if ask takes longer than a node waits for another, with
// room for a loaded machine; without a bound it would hang for ever.
func bounded(t *testing.T, ask func()) {
	t.Helper()
	start := time.Now()
	ask()
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("the answer took %v", took)
	}
}

func TestEveryNodeIsAskedAndTheSilentAreNamed(t *testing.T) {
	w, paris := trio(t)
	conn := w.local(paris)
	want := []string{"gone", "mute"}

	bounded(t, func() {
		q, err := queuev1.NewQueueServiceClient(conn).List(t.Context(), &queuev1.ListRequest{AllNodes: true})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, q := range q.GetQueues() {
			ids = append(ids, q.GetNode()+"/"+q.GetId())
		}
		if want := []string{"oslo/o1", "paris/p1", "paris/p2"}; !slices.Equal(ids, want) {
			t.Errorf("queues %v, want %v", ids, want)
		}
		if got := slices.Sorted(maps.Keys(q.GetMissing())); !slices.Equal(got, want) {
			t.Errorf("missing %v, want %v", got, want)
		}
	})
	bounded(t, func() {
		n, err := nodev1.NewNodeServiceClient(conn).Nodes(t.Context(), &nodev1.NodesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(n.GetNodes()) != 2 || n.GetNodes()[0].GetName() != "oslo" || n.GetNodes()[1].GetName() != "paris" {
			t.Errorf("nodes %v, want oslo and paris", n.GetNodes())
		}
		if got := slices.Sorted(maps.Keys(n.GetMissing())); !slices.Equal(got, want) {
			t.Errorf("missing %v, want %v", got, want)
		}
		if reason := n.GetMissing()["gone"]; !strings.Contains(reason, paris.node.peers[2].Address) {
			t.Errorf("the reason %q does not name the address", reason)
		}
	})
	bounded(t, func() {
		l, err := nodev1.NewNodeServiceClient(conn).Ledger(t.Context(), &nodev1.LedgerRequest{AllNodes: true})
		if err != nil {
			t.Fatal(err)
		}
		if n := l.GetNodes(); len(n) != 2 || n[0].GetNode() != "oslo" || n[1].GetNode() != "paris" || n[0].GetQueued().GetMessages() != 4 {
			t.Errorf("ledgers %v, want those of oslo and paris", n)
		}
		if got := slices.Sorted(maps.Keys(l.GetMissing())); !slices.Equal(got, want) {
			t.Errorf("missing %v, want %v", got, want)
		}
	})
	bounded(t, func() {
		l, err := linkstatev1.NewLinkStateServiceClient(conn).List(t.Context(), &linkstatev1.ListRequest{AllNodes: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range l.GetNodes() {
			got = append(got, d.GetNode()+"="+d.GetDigest())
			if (d.GetDigest() == "") != (d.GetError() != "") {
				t.Errorf("%s: digest %q, error %q", d.GetNode(), d.GetDigest(), d.GetError())
			}
		}
		if want := []string{"oslo=aa", "paris=aa", "gone=", "mute="}; !slices.Equal(got, want) {
			t.Errorf("digests %v, want %v", got, want)
		}
	})
}

// Who asks learns in its own time who is silent, however long a node may take: an order
// that the others carried out is not to look like one that failed.
func TestSilentNodeHidesNoAnswer(t *testing.T) {
	w := newWorld(t)
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"mute", mute(t)}}}, func(c *Config) { c.PeerTimeout = time.Minute })
	conn := w.local(paris)
	within := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	a, err := queuev1.NewQueueServiceClient(conn).Act(within(), &queuev1.ActRequest{AllNodes: true})
	if err != nil || len(a.GetMissing()) != 1 || !strings.Contains(a.GetMissing()["mute"], "no answer within ") || strings.Contains(a.GetMissing()["mute"], "1m0s") {
		t.Errorf("act: %v, %v; want to hear that mute is silent", a, err)
	}
	f, err := trackingv1.NewTrackingServiceClient(conn).Find(within(), &trackingv1.FindRequest{AllNodes: true})
	if err != nil || f.GetMissing()["mute"] == "" {
		t.Errorf("find: %v, %v; want to hear that mute is silent", f, err)
	}
	_, err = topologyv1.NewTopologyServiceClient(conn).Explain(within(), &topologyv1.ExplainRequest{From: "mute"})
	if requireCode(t, err, codes.Unavailable); !strings.Contains(err.Error(), "mute at 127.0.0.1:") {
		t.Errorf("explain: error %v does not name the silent node", err)
	}
}

// Without AllNodes nobody else is asked.
func TestOwnAnswerOnly(t *testing.T) {
	w, paris := trio(t)
	q, err := queuev1.NewQueueServiceClient(w.local(paris)).List(t.Context(), &queuev1.ListRequest{})
	if err != nil || len(q.GetQueues()) != 2 || len(q.GetMissing()) != 0 {
		t.Errorf("got %v, %v; want paris' own two queues", q, err)
	}
}

func TestExplainIsAskedOfTheNodeConcerned(t *testing.T) {
	w, paris := trio(t)
	c := topologyv1.NewTopologyServiceClient(w.local(paris))
	for _, tc := range []struct {
		from, answers string
		code          codes.Code
	}{
		{"", "paris", codes.OK},
		{"paris", "paris", codes.OK},
		{"oslo", "oslo", codes.OK},
		{"nowhere", "", codes.NotFound},
		{"mute", "", codes.Unavailable},
		{"gone", "", codes.Unavailable},
	} {
		t.Run("from "+tc.from, func(t *testing.T) {
			resp, err := c.Explain(t.Context(), &topologyv1.ExplainRequest{Address: "a@example.test", From: tc.from})
			requireCode(t, err, tc.code)
			if tc.code == codes.Unavailable && !strings.Contains(err.Error(), tc.from+" at 127.0.0.1:") {
				t.Errorf("error %v does not name the silent node", err)
			}
			if resp.GetNode() != tc.answers {
				t.Errorf("%q answered, want %q", resp.GetNode(), tc.answers)
			}
		})
	}
	paris.node.failure = errors.New("address: has no @")
	_, err := c.Explain(t.Context(), &topologyv1.ExplainRequest{Address: "nonsense"})
	requireCode(t, err, codes.InvalidArgument)
}
