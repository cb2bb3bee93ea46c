package admin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/postroad/postroad/node/trust"
	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// pair is two nodes that may pass on to each other, and one that is gone.
func pair(t *testing.T) (w *world, paris, oslo *running) {
	t.Helper()
	w = newWorld(t)
	nodes := func(c *Config) {
		c.FromNode = func(s tls.ConnectionState) bool {
			return len(s.PeerCertificates) > 0 && slices.Contains([]string{"paris", "oslo"}, s.PeerCertificates[0].Subject.CommonName)
		}
	}
	oslo = w.start(&fakeNode{name: "oslo"}, nodes)
	gone := listen(t)
	gone.Close()
	paris = w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}, {"gone", gone.Addr().String()}}}, nodes)
	return w, paris, oslo
}

// Who acts is named on every node by what was proved: the certificate, or the user
// of the socket; never by what a client says of itself over TCP.
func TestActIsPassedOn(t *testing.T) {
	w, paris, _ := pair(t)
	req := &queuev1.ActRequest{Reason: "why", By: "somebody", AllNodes: true}
	for name, tc := range map[string]struct {
		role trust.Role
		want string
	}{"alice": {trust.RoleAdmin, "alice: why"}, "socket": {"", "somebody (uid "}} {
		conn := w.local(paris)
		if tc.role == trust.RoleAdmin {
			conn = w.remote(paris, tc.role, name)
		}
		m, err := queuev1.NewQueueServiceClient(conn).Act(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var nodes []string
		for _, r := range m.GetResults() {
			nodes = append(nodes, r.GetNode())
			if !strings.HasPrefix(r.GetSample()[0], tc.want) {
				t.Errorf("%s: %s says %q, want %q", name, r.GetNode(), r.GetSample()[0], tc.want)
			}
		}
		if missing := slices.Collect(maps.Keys(m.GetMissing())); !slices.Equal(nodes, []string{"oslo", "paris"}) || !slices.Equal(missing, []string{"gone"}) {
			t.Errorf("%s: done on %v, missing %v", name, nodes, missing)
		}
	}
}

func TestActOnNamedNode(t *testing.T) {
	w, paris, oslo := pair(t)
	c := queuev1.NewQueueServiceClient(w.local(paris))
	m, err := c.Act(t.Context(), &queuev1.ActRequest{Node: "oslo"})
	if err != nil || len(m.GetResults()) != 1 || m.GetResults()[0].GetNode() != "oslo" {
		t.Errorf("%v, %v", m, err)
	}
	o, err := c.Outbound(t.Context(), &queuev1.OutboundRequest{Node: "oslo", Disable: true})
	if err != nil || len(o.GetResults()) != 1 || o.GetResults()[0].GetNode() != "oslo" {
		t.Errorf("%v, %v", o, err)
	}
	_, err = c.Act(t.Context(), &queuev1.ActRequest{Node: "nowhere"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Act(t.Context(), &queuev1.ActRequest{Node: "gone"})
	requireCode(t, err, codes.Unavailable)
	_, err = c.Act(t.Context(), &queuev1.ActRequest{Reason: strings.Repeat("x", 201)})
	requireCode(t, err, codes.InvalidArgument)
	paris.node.failure = errors.New("wrong")
	_, err = c.Act(t.Context(), &queuev1.ActRequest{AllNodes: true})
	requireCode(t, err, codes.InvalidArgument)
	// A node may act for its caller; it may not change the directory.
	_, err = queuev1.NewQueueServiceClient(w.remote(oslo, trust.RoleServer, "paris")).Retry(t.Context(), &queuev1.RetryRequest{})
	requireCode(t, err, codes.PermissionDenied)
}

// The log names who asked, not the node that passed it on, and names that node beside.
func TestAuditNamesTheCaller(t *testing.T) {
	w := newWorld(t)
	core, logs := observer.New(zap.InfoLevel)
	nodes := func(c *Config) {
		c.FromNode = func(s tls.ConnectionState) bool {
			return len(s.PeerCertificates) > 0 && s.PeerCertificates[0].Subject.CommonName == "paris"
		}
	}
	oslo := w.start(&fakeNode{name: "oslo"}, nodes, func(c *Config) { c.Logger = zap.New(core) })
	paris := w.start(&fakeNode{name: "paris", peers: []Peer{{"oslo", oslo.address}}}, nodes)
	for want, conn := range map[string]*grpc.ClientConn{"alice": w.remote(paris, trust.RoleAdmin, "alice"), fmt.Sprintf("uid %d", os.Getuid()): w.local(paris)} {
		c := queuev1.NewQueueServiceClient(conn)
		if m, err := c.Retry(t.Context(), &queuev1.RetryRequest{AllNodes: true}); err != nil || m.GetLinks() != 6 {
			t.Fatalf("%v, %v", m, err)
		}
		if _, err := c.Outbound(t.Context(), &queuev1.OutboundRequest{AllNodes: true, Disable: true, Reason: "why"}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range logs.TakeAll() {
			if e.Message != "admin_change" {
				continue
			}
			n++
			if f := e.ContextMap(); f["who"] != want || f["via"] != "paris" {
				t.Errorf("logged %v, want %s via paris", f, want)
			}
		}
		if n != 2 {
			t.Errorf("%d changes by %s were logged, want 2", n, want)
		}
	}
}

// A node may not ask for somebody who may not ask himself, nor for nobody.
func TestNodeAsksForSomebody(t *testing.T) {
	w, _, oslo := pair(t)
	conn := w.remote(oslo, trust.RoleServer, "paris")
	chain := func(id *trust.Identity) string {
		cert, err := id.ClientTLS("").GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(cert.Certificate[0])
	}
	other := newWorld(t)
	for name, c := range map[string]struct {
		md   []string
		want codes.Code
	}{
		"nobody":                   {nil, codes.PermissionDenied},
		"an administrator":         {[]string{callerChain, chain(w.identity(trust.RoleAdmin, "alice"))}, codes.OK},
		"a node":                   {[]string{callerChain, chain(w.identity(trust.RoleServer, "rome"))}, codes.PermissionDenied},
		"a stranger":               {[]string{callerChain, chain(other.identity(trust.RoleAdmin, "alice"))}, codes.PermissionDenied},
		"a stranger with a socket": {[]string{callerChain, chain(other.identity(trust.RoleAdmin, "bob")), callerName, "uid 0"}, codes.PermissionDenied},
		"no certificate":           {[]string{callerChain, "x"}, codes.PermissionDenied},
		"a user of its socket":     {[]string{callerName, "uid 7"}, codes.OK},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), c.md...)
		_, err := queuev1.NewQueueServiceClient(conn).Act(ctx, &queuev1.ActRequest{Reason: "why"})
		if got := status.Code(err); got != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		// It is for what is passed on only.
		_, err = queuev1.NewQueueServiceClient(conn).Quarantine(ctx, &queuev1.QuarantineRequest{All: true})
		requireCode(t, err, codes.PermissionDenied)
	}
	// Who is no node says nothing by it.
	ctx := metadata.AppendToOutgoingContext(t.Context(), callerName, "uid 0")
	_, err := queuev1.NewQueueServiceClient(w.remote(oslo, trust.RoleServer, "rome")).Act(ctx, &queuev1.ActRequest{Reason: "why"})
	requireCode(t, err, codes.PermissionDenied)
	m, err := queuev1.NewQueueServiceClient(w.remote(oslo, trust.RoleAdmin, "carol")).Act(ctx, &queuev1.ActRequest{Reason: "why"})
	if err != nil || m.GetResults()[0].GetSample()[0] != "carol: why" {
		t.Errorf("%v, %v", m, err)
	}
}

func TestRetryEverywhere(t *testing.T) {
	w, paris, oslo := pair(t)
	c := queuev1.NewQueueServiceClient(w.local(paris))
	m, err := c.Retry(t.Context(), &queuev1.RetryRequest{AllNodes: true})
	if err != nil || m.GetLinks() != 6 || len(m.GetMissing()) != 1 || m.GetMissing()["gone"] == "" {
		t.Errorf("%v, %v", m, err)
	}
	m, err = c.Retry(t.Context(), &queuev1.RetryRequest{Node: "oslo"})
	if err != nil || m.GetLinksOf()["oslo"] != 3 || len(m.GetLinksOf()) != 1 {
		t.Errorf("%v, %v", m, err)
	}
	// The queue is on oslo only.
	paris.node.failure = errors.New("no such queue")
	m, err = c.Retry(t.Context(), &queuev1.RetryRequest{Queue: "q", AllNodes: true})
	if err != nil || m.GetLinks() != 3 {
		t.Errorf("%v, %v", m, err)
	}
	_, err = c.Retry(t.Context(), &queuev1.RetryRequest{Queue: "q"})
	requireCode(t, err, codes.NotFound)
	// One that is nowhere may be on the node that is silent.
	oslo.node.failure = paris.node.failure
	if m, err = c.Retry(t.Context(), &queuev1.RetryRequest{Queue: "q", AllNodes: true}); err != nil || m.GetLinks() != 0 || m.GetMissing()["gone"] == "" {
		t.Errorf("%v, %v", m, err)
	}
	paris.node.peers = paris.node.peers[:1]
	_, err = c.Retry(t.Context(), &queuev1.RetryRequest{Queue: "q", AllNodes: true})
	requireCode(t, err, codes.NotFound)
}

func TestShowEverywhere(t *testing.T) {
	w, paris, oslo := pair(t)
	paris.node.messages, oslo.node.messages = []string{"06H0.q1"}, []string{"06H0.q2", "06H1.q1"}
	c := queuev1.NewQueueServiceClient(w.local(paris))
	m, err := c.Show(t.Context(), &queuev1.ShowRequest{Message: "06H0", AllNodes: true})
	if err != nil || len(m.GetOutlooks()) != 2 || m.GetOutlooks()[0].GetMessage().GetNode() != "oslo" || m.GetMissing()["gone"] == "" {
		t.Errorf("%v, %v", m, err)
	}
	if m, err = c.Show(t.Context(), &queuev1.ShowRequest{Message: "06H1", Node: "oslo"}); err != nil || len(m.GetOutlooks()) != 1 {
		t.Errorf("%v, %v", m, err)
	}
	_, err = c.Show(t.Context(), &queuev1.ShowRequest{Message: "06H1"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Show(t.Context(), &queuev1.ShowRequest{})
	requireCode(t, err, codes.InvalidArgument)
}

func TestFreezesOfAllNodes(t *testing.T) {
	w, paris, _ := pair(t)
	m, err := queuev1.NewQueueServiceClient(w.local(paris)).List(t.Context(), &queuev1.ListRequest{AllNodes: true})
	if err != nil || len(m.GetFreezes()) != 2 || m.GetFreezes()[0].GetNode() != "oslo" {
		t.Errorf("%v, %v", m.GetFreezes(), err)
	}
}
